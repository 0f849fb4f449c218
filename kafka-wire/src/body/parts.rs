//! A body of which each element makes sense alone, read element by element. In: windows of the body; out: one [`Event::Message`] for the fields
//! before the array, one for each element, one for the fields behind it.
//!
//! What is held is one part, at most [`super::Limits::whole`].

use super::{Event, Step};
use crate::api;
use crate::reader::{Reader, Stop};

#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    decode: api::DecodePart,
    at: At,
}

/// The part that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Head,
    Element { left: u32 },
    Tail,
    Done,
}

impl At {
    /// `left` elements, then the tail.
    pub(crate) fn elements(left: u32) -> At {
        match left {
            0 => At::Tail,
            left => At::Element { left },
        }
    }
}

impl Parts {
    pub(super) fn new(decode: api::DecodePart) -> Parts {
        Parts {
            decode,
            at: At::Head,
        }
    }

    /// `left`: bytes of the body from here on; `most`: what a part may take.
    pub(super) fn step(
        &mut self,
        window: &[u8],
        (version, flexible): (i16, bool),
        (left, most): (u64, usize),
        emit: &mut impl FnMut(Event<'_>),
    ) -> Result<Step, &'static str> {
        if self.at == At::Done {
            return Ok(Step::Finished);
        }
        let mut reader = Reader::new(window, flexible);
        match (self.decode)(&mut reader, version, self.at) {
            Ok((message, next)) => {
                emit(Event::Message(message));
                self.at = next;
                Ok(Step::Took(reader.position()))
            }
            Err(Stop::Need(n)) if n > most => Err("too_large"),
            // Looked at again when there is twice as much, so that no byte is read more than twice or so.
            Err(Stop::Need(n)) => {
                let left = usize::try_from(left).unwrap_or(usize::MAX);
                let twice = window.len().saturating_mul(2).min(left).min(most);
                Ok(Step::Need(n.max(twice)))
            }
            Err(Stop::Bad(reason)) => Err(reason),
        }
    }

    /// Every part was seen.
    pub(super) fn is_complete(&self) -> bool {
        self.at == At::Done
    }
}

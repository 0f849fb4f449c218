//! One direction of a connection cut into frames. In: pieces of the stream, of any split, with gaps; out: where frames begin, and their bytes
//! in place.
//!
//! Nothing is buffered but a size word that came in parts, and the few bytes that [`Hunt`] needs to judge whether a frame begins at the
//! start of a call. What the bytes mean is not known here.

use std::collections::VecDeque;

use kafka_wire::Segment;
use kafka_wire::header::Plausible;

use crate::capture::{Nanos, Task};

/// A run of one direction, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    /// Stream offset of its first byte.
    pub offset: u64,
    pub began: Nanos,
    pub ended: Nanos,
    /// Its first byte was the first of a read or write call.
    pub starts_call: bool,
    /// Who called, if that is known.
    pub task: Option<Task>,
    pub segment: Segment<'a>,
}

impl<'a> Piece<'a> {
    pub fn len(&self) -> u64 {
        match self.segment {
            Segment::Bytes(bytes) => bytes.len() as u64,
            Segment::Elided(n) => n,
        }
    }

    /// Takes up to `n` bytes from the front.
    pub fn take(&mut self, n: u64) -> Segment<'a> {
        let (front, rest) = match self.segment {
            Segment::Bytes(bytes) => {
                let (front, rest) =
                    bytes.split_at(bytes.len().min(usize::try_from(n).unwrap_or(usize::MAX)));
                (Segment::Bytes(front), Segment::Bytes(rest))
            }
            Segment::Elided(all) => (
                Segment::Elided(all.min(n)),
                Segment::Elided(all.saturating_sub(n)),
            ),
        };
        let taken = self.len().min(n);
        self.offset = self.offset.saturating_add(taken);
        self.starts_call &= taken == 0;
        self.segment = rest;
        front
    }
}

/// A piece that had to be kept.
#[derive(Clone, Debug)]
pub(crate) struct OwnedPiece {
    offset: u64,
    began: Nanos,
    ended: Nanos,
    pub starts_call: bool,
    task: Option<Task>,
    bytes: Vec<u8>,
    elided: u64,
}

impl OwnedPiece {
    pub fn from(piece: Piece<'_>) -> OwnedPiece {
        let (bytes, elided) = match piece.segment {
            Segment::Bytes(bytes) => (bytes.to_vec(), 0),
            Segment::Elided(n) => (Vec::new(), n),
        };
        let Piece {
            offset,
            began,
            ended,
            starts_call,
            task,
            ..
        } = piece;
        OwnedPiece {
            offset,
            began,
            ended,
            starts_call,
            task,
            bytes,
            elided,
        }
    }

    pub fn piece(&self) -> Piece<'_> {
        let segment = if self.elided > 0 {
            Segment::Elided(self.elided)
        } else {
            Segment::Bytes(&self.bytes)
        };
        let OwnedPiece {
            offset,
            began,
            ended,
            starts_call,
            task,
            ..
        } = *self;
        Piece {
            offset,
            began,
            ended,
            starts_call,
            task,
            segment,
        }
    }

    /// Takes in what follows it in the same call. False: it is of another, or a hole is between.
    pub fn join(&mut self, next: Piece<'_>) -> bool {
        let same = (self.began, self.ended, self.elided) == (next.began, next.ended, 0);
        match next.segment {
            Segment::Bytes(bytes) if same => self.bytes.extend_from_slice(bytes),
            _ => return false,
        }
        true
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.bytes.len()
    }
}

/// Cuts a stream whose frame boundaries are known.
#[derive(Debug)]
pub(crate) struct Frames {
    word: [u8; 4],
    have: usize,
    start: Start,
    left: u64,
}

/// A frame whose size word is complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// Stream offset of the size word.
    pub offset: u64,
    /// The call that moved its first byte was entered.
    pub began: Nanos,
    /// Bytes after the size word, as on the wire (may be absurd).
    pub size: u32,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Step<'a> {
    /// The piece is used up.
    Empty,
    Start(Start),
    /// Bytes of the frame that started; its last when [`Frames::left`] is 0.
    Body(Segment<'a>),
    /// A gap hid a size word: boundaries are unknown from here on. The rest of the gap is used up.
    Lost,
}

impl Frames {
    /// At the start of a frame.
    pub fn new() -> Frames {
        Frames {
            word: [0; 4],
            have: 0,
            start: Start::default(),
            left: 0,
        }
    }

    /// Bytes of the frame that did not come yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// `most` bounds the next [`Step::Body`].
    pub fn step<'a>(&mut self, piece: &mut Piece<'a>, most: u64) -> Step<'a> {
        if piece.len() == 0 {
            return Step::Empty;
        }
        if self.left > 0 {
            let segment = piece.take(self.left.min(most));
            self.left -= length(segment);
            return Step::Body(segment);
        }
        if self.have == 0 {
            self.start = Start {
                offset: piece.offset,
                began: piece.began,
                size: 0,
            };
        }
        match piece.take(4 - self.have as u64) {
            Segment::Elided(_) => {
                piece.take(u64::MAX);
                *self = Frames::new();
                Step::Lost
            }
            Segment::Bytes(bytes) => {
                for (slot, byte) in self.word.iter_mut().skip(self.have).zip(bytes) {
                    *slot = *byte;
                }
                self.have += bytes.len();
                if self.have < 4 {
                    return Step::Empty;
                }
                self.have = 0;
                self.start.size = u32::from_be_bytes(self.word);
                self.left = u64::from(self.start.size);
                Step::Start(self.start)
            }
        }
    }
}

fn length(segment: Segment<'_>) -> u64 {
    match segment {
        Segment::Bytes(bytes) => bytes.len() as u64,
        Segment::Elided(n) => n,
    }
}

/// A judge that cannot decide sees at most this much; then the answer is no.
const LONGEST_HEAD: usize = 2048;

/// Looks for the start of a frame where boundaries are unknown: frames begin at the start of a call.
#[derive(Debug, Default)]
pub(crate) struct Hunt {
    held: VecDeque<OwnedPiece>,
}

pub(crate) enum Found {
    Nothing,
    /// A frame begins at this piece.
    Here,
    /// A frame begins at the first of these, the last of which is the piece offered.
    Held(VecDeque<OwnedPiece>),
}

impl Hunt {
    pub fn offer(&mut self, piece: Piece<'_>, judge: impl Fn(&[u8]) -> Plausible) -> Found {
        let Segment::Bytes(bytes) = piece.segment else {
            self.held.clear();
            return Found::Nothing;
        };
        if self.held.is_empty() {
            if !piece.starts_call {
                return Found::Nothing;
            }
            match judge(bytes) {
                Plausible::Yes => return Found::Here,
                Plausible::No => return Found::Nothing,
                Plausible::NeedMore if bytes.len() > LONGEST_HEAD => return Found::Nothing,
                Plausible::NeedMore => {}
            }
        }
        self.held.push_back(OwnedPiece::from(piece));
        while !self.held.is_empty() {
            let mut head = Vec::new();
            for held in &self.held {
                head.extend(
                    held.bytes
                        .iter()
                        .take(LONGEST_HEAD + 1 - head.len().min(LONGEST_HEAD + 1)),
                );
            }
            match judge(&head) {
                Plausible::Yes => return Found::Held(std::mem::take(&mut self.held)),
                Plausible::NeedMore if head.len() <= LONGEST_HEAD => return Found::Nothing,
                Plausible::NeedMore | Plausible::No => {
                    self.held.pop_front();
                    while self.held.front().is_some_and(|held| !held.starts_call) {
                        self.held.pop_front();
                    }
                }
            }
        }
        Found::Nothing
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.held.iter().map(OwnedPiece::held).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(offset: u64, starts_call: bool, bytes: &[u8]) -> Piece<'_> {
        Piece {
            offset,
            began: 10 + offset,
            ended: 20 + offset,
            starts_call,
            task: None,
            segment: Segment::Bytes(bytes),
        }
    }

    fn gap(offset: u64, n: u64) -> Piece<'static> {
        Piece {
            offset,
            began: 0,
            ended: 0,
            starts_call: false,
            task: None,
            segment: Segment::Elided(n),
        }
    }

    /// (offset, began, size, body bytes seen, bytes elided).
    type Cut = (u64, u64, u32, usize, u64);

    fn cut(pieces: &[Piece<'_>]) -> (Vec<Cut>, bool) {
        let (mut frames, mut out, mut lost) = (Frames::new(), Vec::new(), false);
        for piece in pieces {
            let mut piece = *piece;
            loop {
                match frames.step(&mut piece, u64::MAX) {
                    Step::Empty => break,
                    Step::Start(start) => out.push((start.offset, start.began, start.size, 0, 0)),
                    Step::Lost => lost = true,
                    Step::Body(segment) => {
                        if let Some(last) = out.last_mut() {
                            match segment {
                                Segment::Bytes(bytes) => last.3 += bytes.len(),
                                Segment::Elided(n) => last.4 += n,
                            }
                        }
                    }
                }
            }
        }
        (out, lost)
    }

    #[test]
    fn frames_over_pieces_and_gaps() {
        let stream = [0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 1, 9];
        let whole = vec![(0, 10, 3, 3, 0), (7, 10, 0, 0, 0), (11, 10, 1, 1, 0)];
        assert_eq!(cut(&[bytes(0, true, &stream)]), (whole, false));
        for at in 0..=stream.len() {
            let (first, second) = stream.split_at(at);
            let (frames, _) = cut(&[bytes(0, true, first), bytes(at as u64, true, second)]);
            let shape: Vec<_> = frames
                .iter()
                .map(|frame| (frame.0, frame.2, frame.3))
                .collect();
            assert_eq!(shape, [(0, 3, 3), (7, 0, 0), (11, 1, 1)], "split at {at}");
        }
        let inside = [
            bytes(0, true, &stream[..5]),
            gap(5, 2),
            bytes(7, true, &stream[7..]),
        ];
        assert_eq!(cut(&inside).0.first(), Some(&(0, 10, 3, 1, 2)));
        assert!(!cut(&inside).1);
        let over_word = [
            bytes(0, true, &stream[..5]),
            gap(5, 3),
            bytes(8, true, &stream[8..]),
        ];
        assert!(cut(&over_word).1);
    }

    #[test]
    fn a_hunt_judges_starts_of_calls_only() {
        // A frame begins with 7, 7.
        let judge = |bytes: &[u8]| match bytes {
            [7, 7, ..] => Plausible::Yes,
            [7] | [] => Plausible::NeedMore,
            _ => Plausible::No,
        };
        let mut hunt = Hunt::default();
        assert!(matches!(
            hunt.offer(bytes(0, false, &[7, 7]), judge),
            Found::Nothing
        ));
        assert!(matches!(
            hunt.offer(bytes(2, true, &[7, 7]), judge),
            Found::Here
        ));
        assert!(matches!(
            hunt.offer(bytes(4, true, &[7]), judge),
            Found::Nothing
        ));
        assert_eq!(hunt.held(), 1);
        assert!(matches!(hunt.offer(gap(5, 9), judge), Found::Nothing));
        assert_eq!(hunt.held(), 0);
        assert!(matches!(
            hunt.offer(bytes(14, true, &[7]), judge),
            Found::Nothing
        ));
        // The held 7 with 1 is no start, but this call is one for itself with what follows.
        assert!(matches!(
            hunt.offer(bytes(15, true, &[1]), judge),
            Found::Nothing
        ));
        assert!(matches!(
            hunt.offer(bytes(16, true, &[7]), judge),
            Found::Nothing
        ));
        match hunt.offer(bytes(17, true, &[7, 3]), judge) {
            Found::Held(held) => assert_eq!(
                held.iter().map(|piece| piece.offset).collect::<Vec<_>>(),
                [16, 17]
            ),
            _ => panic!("not found"),
        }
    }
}

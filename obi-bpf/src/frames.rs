//! A call on a connection of which nobody wants the bodies of record batches. In: where its bytes are; out: those that say something, and a gap for
//! each body. What frames are is in [`obi_abi::walk`].

use core::ptr;

use obi_abi::walk::{ASKED, Around, OF_ANSWER, Took, Walk, step};
use obi_abi::{direction, gap};

use crate::maps::{LAYOUT_OF, LAYOUTS, WALKS, Walks};
use crate::payload::{Work, send_gap};
use crate::read;

/// Steps of one call; what is left then is copied whole. An answer of 100 partitions takes a thousand.
const STEPS_MOST: u32 = 16 * 1024;
const ANY: u64 = 0;

static NOTHING: Walks = Walks {
    answers: Walk::NEW,
    written: Walk::NEW,
    asked: [0; ASKED],
    noted: 0,
};

/// The loop's state: its own, on the stack, and through it what belongs to the connection and to the call.
#[repr(C)]
struct Stepping {
    walks: *mut Walks,
    work: *mut Work,
    /// The next byte, and how many are left.
    user: u64,
    left: u64,
    /// What is to be copied begins here.
    from: u64,
}

/// Sends `length` bytes at `user`. A global function, as `copy_out`: the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn send_frames(work: *mut Work, user: u64, length: u64) -> u64 {
    let Some(work) = read::state(work) else {
        return 0;
    };
    let id = work.header.conn;
    let mut walks = read::value(WALKS.get_ptr_mut(id));
    if walks.is_none() {
        let _ = WALKS.insert(id, &NOTHING, ANY);
        walks = read::value(WALKS.get_ptr_mut(id));
    }
    let Some(walks) = walks else {
        work.range(user, length);
        return 0;
    };
    let requests = work.header.direction == direction::WRITE;
    let Walks {
        answers, written, ..
    } = walks;
    if requests { written } else { answers }.begin(work.header.offset, length);
    let mut stepping = Stepping {
        walks: ptr::from_mut(walks),
        work: ptr::from_mut(work),
        user,
        left: length,
        from: user,
    };
    read::repeat(STEPS_MOST, one_step, &mut stepping);
    if stepping.left > 0 {
        // Lost, or too many steps.
        if let Some(Walks {
            answers, written, ..
        }) = read::state(stepping.walks)
        {
            if requests { written } else { answers }.lose();
        }
    }
    let end = user.wrapping_add(length);
    if stepping.from != end
        && let Some(work) = read::state(stepping.work)
    {
        work.range(stepping.from, end.wrapping_sub(stepping.from));
    }
    0
}

extern "C" fn one_step(_round: u32, state: *mut Stepping) -> i64 {
    let Some(state) = read::state(state) else {
        return 1;
    };
    let left = state.left;
    if left == 0 {
        return 1;
    }
    let (Some(walks), Some(work)) = (read::state(state.walks), read::state(state.work)) else {
        return 1;
    };
    let requests = work.header.direction == direction::WRITE;
    let Walks {
        answers,
        written,
        asked,
        noted,
    } = walks;
    let walk = if requests { written } else { answers };
    let mut around = Here {
        user: state.user,
        asked,
        noted,
    };
    match walk.step(requests, left, &mut around) {
        Took::Copy(n) => {
            state.user += n;
            state.left -= n;
            0
        }
        Took::Over(n) => {
            let before = state.user.wrapping_sub(state.from);
            if before > 0 {
                work.range(state.from, before);
            }
            send_gap(&work.header, gap::RECORDS, n);
            work.header.offset += n;
            work.rest.remaining = work.rest.remaining.saturating_sub(n);
            state.user += n;
            state.left -= n;
            state.from = state.user;
            0
        }
        Took::Lost => 1,
    }
}

struct Here<'a> {
    user: u64,
    asked: &'a mut [u64; ASKED],
    noted: &'a mut u64,
}

impl Around for Here<'_> {
    /// Copying these costs less than a record in the ring. Control batches are shorter.
    const BODY_LEAST: u64 = 512;

    #[inline(always)]
    fn bytes(&mut self, n: u32) -> Option<u64> {
        read::user_number(self.user, n)
    }

    #[inline(always)]
    fn step(&mut self, layout: u8, at: u8) -> u32 {
        match LAYOUTS.get(layout as u32) {
            Some(layout) => *read::of(&layout.steps, at as u64),
            None => step::END,
        }
    }

    #[inline(always)]
    fn request(&mut self, key: u32, correlation_id: u32) -> Option<u8> {
        let known = *read::value(LAYOUT_OF.get_ptr_mut(key))?;
        if known & OF_ANSWER == 0 {
            return Some(known as u8);
        }
        let place = read::element(self.asked, *self.noted);
        *place = (correlation_id as u64) << 32 | known as u64;
        *self.noted += 1;
        None
    }

    #[inline(always)]
    fn answer(&mut self, correlation_id: u32) -> Option<u8> {
        macro_rules! look {
            ($($index:literal)*) => {
                $( let known = read::volatile(&self.asked[$index]);
                   if known >> 32 == correlation_id as u64 && known as u32 & OF_ANSWER != 0 {
                       self.asked[$index] = 0;
                       return Some(known as u8);
                   } )*
            };
        }
        look!(0 1 2 3 4 5 6 7);
        None
    }
}

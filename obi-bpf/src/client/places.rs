//! Where the words of a call stand: a register, the stack or a kept word, and a path from there.

use obi_abi::client::base;
use obi_abi::{NO_REG, Place};

use super::{UNPAIRED, Walk, shape};
use crate::read::{self, REGISTERS};

/// Places of a shape, by number.
pub const CLIENT: u64 = 0;
pub const GUARD: u64 = 1;
pub const AT: u64 = 2;
pub const COUNT: u64 = 3;
pub const TOPIC: u64 = 4;

/// Words that a place may begin with.
pub struct Words<'a> {
    pub registers: &'a [u64; REGISTERS],
    pub sp: u64,
    /// Zeroes when there are none.
    pub kept: [u64; obi_abi::client::KEPT],
    pub has_kept: bool,
}

impl Words<'_> {
    /// The word of a place; 0 when there is none, or when it cannot be read, which is noted.
    #[inline(always)]
    pub fn word(&self, walk: &mut Walk, which: u64, place: &Place) -> u64 {
        let start = if place.base == NO_REG {
            return 0;
        } else if place.base >= base::KEPT {
            if !self.has_kept {
                walk.flags |= UNPAIRED;
                walk.fault();
                return 0;
            }
            match place.base - base::KEPT {
                0 => self.kept[0],
                1 => self.kept[1],
                2 => self.kept[2],
                _ => self.kept[3],
            }
        } else if place.base == base::STACK {
            self.sp
        } else {
            read::register(self.registers, place.base)
        };
        word_of(walk, which, start)
    }
}

/// What stands at the end of the path. A global function: the verifier of 6.1 would else look at all that comes behind once for each way through it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn word_of(walk: *mut Walk, which: u64, start: u64) -> u64 {
    let Some(walk) = read::state(walk) else {
        return 0;
    };
    let Some(shape) = shape(walk.shape) else {
        return 0;
    };
    let place = match which {
        CLIENT => &shape.client,
        GUARD => &shape.guard,
        AT => &shape.at,
        COUNT => &shape.count,
        _ => &shape.topic,
    };
    match follow(place, start) {
        Some(word) => word,
        None => {
            walk.fault();
            0
        }
    }
}

/// From a word along the path of a place.
#[inline(always)]
pub fn follow(place: &Place, start: u64) -> Option<u64> {
    let mut at = start;
    if place.steps > 0 {
        if at == 0 {
            return Some(0);
        }
        at = read::user(at.wrapping_add(place.path[0] as u64))?;
    }
    if place.steps > 1 {
        if at == 0 {
            return Some(0);
        }
        at = read::user(at.wrapping_add(place.path[1] as u64))?;
    }
    if place.steps > 2 {
        if at == 0 {
            return Some(0);
        }
        at = read::user(at.wrapping_add(place.path[2] as u64))?;
    }
    Some(at.wrapping_add(place.add as u64))
}

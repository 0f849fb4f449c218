//! A message that a call names in parts (`walk::PARTS`): kinds and values, in an array or in the arguments of a function that takes any number.
//!
//! The arguments are five registers and then the stack; they wait in words of the walk that this form has no other use for.

use obi_abi::ClientShape;
use obi_abi::client::{PARTS_LIMIT, call_flag};

use super::{NOT_READ, NULL, Walk, shape, text};
use crate::read::{self, REGISTERS};

/// Words of `pt_regs` that hold the arguments of a C function behind the first.
const SI: usize = 13;
const DX: usize = 12;
const CX: usize = 11;
const R8: usize = 9;
const R9: usize = 8;

#[inline(always)]
pub fn keep_arguments(walk: &mut Walk, registers: &[u64; REGISTERS], sp: u64) {
    walk.at = sp;
    walk.topics = registers[SI];
    walk.topics_left = registers[DX];
    walk.partitions = registers[CX];
    walk.partitions_left = registers[R8];
    walk.topic = registers[R9];
    walk.left = 0;
}

#[inline(always)]
pub fn take(walk: &mut Walk) {
    walk.run.count = 1;
    walk.run.first = -1;
    walk.run.last = -1;
    walk.run.partition = -1;
    walk.run.key_len = NOT_READ;
    walk.run.value_len = NOT_READ;
    read::repeat(PARTS_LIMIT, part, walk);
}

/// One part of a message that is named in parts. 1: there are no more.
extern "C" fn part(index: u32, walk: *mut Walk) -> i64 {
    (read::opaque(part_of(walk, index)) & 1) as i64
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn part_of(walk: *mut Walk, index: u32) -> u64 {
    let Some(walk) = read::state(walk) else {
        return 1;
    };
    let Some(shape) = shape(walk.shape) else {
        return 1;
    };
    match take_part(walk, shape, index as u64) {
        Some(done) => done,
        None => {
            walk.flags |= call_flag::FAULT as u64;
            1
        }
    }
}

#[inline(always)]
fn take_part(walk: &mut Walk, shape: &ClientShape, index: u64) -> Option<u64> {
    let kinds = &shape.nested;
    let array = shape.stride != 0;
    if array && index >= walk.left {
        return Some(1);
    }
    let at = walk.at.wrapping_add(index * shape.stride as u64);
    let kind = if array {
        read::user::<u32>(at)?
    } else {
        variadic(walk, walk.left)? as u32
    };
    if kind == 0 {
        return Some(1);
    }
    let kind = kind as u64;
    let word = |walk: &Walk, number: u64| {
        if array {
            read::user::<u64>(at.wrapping_add(8 + number * 8))
        } else {
            variadic(walk, walk.left + 1 + number)
        }
    };
    let first = word(walk, 0)?;
    let mut words = 1;
    if kind == kinds.topics as u64 {
        walk.run.text = first;
    } else if kind == kinds.topic_stride as u64 {
        if first != 0 {
            (walk.run.text, walk.run.text_len) = text(shape, first)?;
        }
    } else if kind == kinds.partition as u64 {
        walk.run.partition = first as i32 as i64;
    } else if kind == kinds.partitions as u64 {
        walk.run.key_len = sized(first, word(walk, 1)?);
        words = 2;
    } else if kind == kinds.partition_stride as u64 {
        walk.run.value_len = sized(first, word(walk, 1)?);
        words = 2;
    } else if kind == shape.known as u64 {
        walk.run.message = first;
    } else if kind == kinds.messages as u64 {
        words = 3;
    }
    if !array {
        walk.left += 1 + words;
    }
    Some(0)
}

/// Word `number` of the arguments behind the first: five in registers, the rest above the return address.
#[inline(always)]
fn variadic(walk: &Walk, number: u64) -> Option<u64> {
    Some(match number {
        0 => walk.topics,
        1 => walk.topics_left,
        2 => walk.partitions,
        3 => walk.partitions_left,
        4 => walk.topic,
        above => read::user(walk.at.wrapping_add((above - 4) * 8))?,
    })
}

/// Length of a key or value whose pointer is known.
#[inline(always)]
fn sized(pointer: u64, length: u64) -> i32 {
    if pointer == 0 {
        NULL
    } else if length <= i32::MAX as u64 {
        length as i32
    } else {
        NOT_READ
    }
}

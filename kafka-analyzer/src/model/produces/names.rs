//! What messages are known by until they are acknowledged. In: calls that hand them over; out: whether acknowledgements tell which call is meant.
//!
//! In Go that is the message's address, or a number that the binding counts: no other has it. By what librdkafka knows a message (its opaque) its
//! application chooses: nothing, something of each message, or one thing for many. Only the second tells calls apart.

use super::queue::Queue;
use crate::capture::{ClientCall, Task};

/// So many calls in a row with another name each: messages that were handed over unseen have others, too.
const DISTINCT: u8 = 8;

/// A message on its way. Addresses are one for all clients of a process, names are of one client.
pub(super) type Name = (u64, u64);

pub(super) fn name(call: &ClientCall) -> Name {
    (if call.named { call.client } else { 0 }, call.message)
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Names {
    last: u64,
    distinct: u8,
    /// A message had no name, or that of another on its way: nothing is trusted from there on.
    pub are_shared: bool,
}

impl Names {
    /// False: the application's messages cannot be told apart.
    pub fn take(&mut self, call: &ClientCall, queue: &Queue) -> bool {
        if !call.named {
            return true;
        }
        if call.message == 0 || queue.holds(call) {
            self.are_shared = true;
        }
        self.distinct = match call.message == self.last {
            true => 0,
            false => self.distinct.saturating_add(1),
        };
        self.last = call.message;
        !self.are_shared
    }

    /// By a call that tells of an acknowledgement.
    pub fn are_trusted(&self, call: &ClientCall) -> bool {
        !call.named || !self.are_shared && (are_counted(call) || self.distinct >= DISTINCT)
    }
}

/// The binding for Go gives numbers to messages of which it tells what became.
pub(super) fn are_counted(call: &ClientCall) -> bool {
    call.named && matches!(call.task, Task::Goroutine(_))
}

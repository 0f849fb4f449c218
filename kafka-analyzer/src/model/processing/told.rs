//! What the calls of a process showed, before its labels are known. In: nothing; out: values that wait for who reads the partition.

use std::sync::Arc;

use crate::capture::{Nanos, Pid, Task};
use crate::losses::Losses;
use crate::observation::{Done, ProcessingBasis, Signal};

#[derive(Clone, Debug, PartialEq)]
pub(in crate::model) struct Told {
    pub time: Nanos,
    pub pid: Pid,
    pub topic: Arc<str>,
    pub partition: i32,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::model) enum What {
    Processed {
        first: i64,
        last: i64,
        count: u32,
        basis: ProcessingBasis,
        done: Done,
        began: Nanos,
        ended: Nanos,
        task: Task,
        error: Option<Signal>,
        /// When its run was handed over: known from the beginning on.
        handed: Nanos,
        /// Who worked on it, and since when at the earliest; None: nobody showed that.
        worker: Option<(Task, Nanos)>,
        /// Who named it, and when.
        named: Option<(Task, Nanos)>,
        /// With it all is done that its call gave.
        whole: bool,
    },
    Delivered {
        first: i64,
        last: i64,
        count: u32,
        /// The request for messages, if it was seen.
        asked: Option<Nanos>,
        task: Task,
        /// Hooks were away since the hand-over before, which ended in front of this offset, if there was one.
        after: Option<Option<i64>>,
        /// Messages that the application got meanwhile.
        unseen: u32,
        /// Of its own messages so many were told of already.
        counted: u32,
    },
    Wrong {
        offset: i64,
        count: u32,
        signal: Signal,
    },
    /// Left with the consumer or the process: wrong unless a commit covers it.
    Left { first: i64, last: i64, count: u32 },
    /// From a hand-over to the next request.
    Interval { nanos: Nanos },
}

/// Where a process puts what it finds.
pub(super) struct Out<'a> {
    pub told: &'a mut Vec<Told>,
    pub losses: &'a mut Losses,
}

impl Out<'_> {
    pub fn tell(&mut self, told: Told) {
        self.told.push(told);
    }
}

//! Hooks that run for each message come and go. In: when they do; out: what a process's open messages and its tasks are worth after it.
//!
//! A message is only told of when it began and ended within one window: what is open when hooks go is given up. While they are away batches are
//! still handed over by hooks that stay, and counted. When they are back, a task may stand anywhere in its calls (`ReadMessage` calls `FetchMessage`):
//! it counts from the first request after a hand-over on; where hooks come for the first time, from the first request on.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Name, PARTITIONS_MOST, Process};
use crate::capture::{ClientCall, Means, Nanos, Task, Window};
use crate::model::processing::told::{Out, Told, What};
use crate::observation::Signal;

/// So many messages of which nobody named one show that no pool works on them.
const UNNAMED: usize = 64;

/// The next offset to hand over, as of the last time that hooks came or went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    pub offset: i64,
    pub epoch: u32,
}

/// Messages that the application has.
pub(super) struct Given {
    pub client: u64,
    pub topic: Name,
    pub partition: i32,
    pub first: i64,
    pub last: i64,
    pub count: u32,
    pub time: Nanos,
    pub asked: Option<Nanos>,
    pub task: Task,
}

impl Given {
    fn of(call: &ClientCall) -> Given {
        Given {
            client: call.client,
            topic: Arc::clone(&call.topic),
            partition: call.partition,
            first: call.first,
            last: call.last,
            count: call.count,
            time: call.time,
            asked: None,
            task: call.task,
        }
    }
}

/// How a process stands to its windows.
#[derive(Debug)]
pub(super) struct Watch {
    window: Window,
    /// Number of times that hooks came or went.
    pub epoch: u32,
    /// Its first window, before which nothing was seen of it: it began lately, or the agent did.
    first: bool,
    /// The first offsets that were handed over in this window.
    handed: HashMap<(Name, i32), i64>,
    /// A task that never asked handed messages over; one asked.
    offers: bool,
    asks: bool,
    /// Somebody named a message in this window as a pool may do it.
    named: bool,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            window: Window::Open,
            epoch: 0,
            first: false,
            handed: HashMap::new(),
            offers: false,
            asks: false,
            named: false,
        }
    }
}

impl Watch {
    /// A message of this place was handed over in this window.
    pub fn hands(&mut self, topic: &Name, partition: i32, first: i64) {
        if self.epoch > 0 && self.handed.len() < PARTITIONS_MOST {
            let known = self.handed.entry((Arc::clone(topic), partition));
            let known = known.or_insert(first);
            *known = first.min(*known);
        }
    }

    /// Claims are offered their messages by others.
    pub fn offers(&mut self) {
        self.offers = true;
    }

    /// Its calls may stand within each other: not so where messages are only offered.
    fn may_nest(&self) -> bool {
        self.asks || !self.offers
    }

    /// The hand-over of this message would have been seen.
    pub fn saw(&self, call: &ClientCall) -> bool {
        let key = (Arc::clone(&call.topic), call.partition);
        self.epoch == 0
            || self
                .handed
                .get(&key)
                .is_some_and(|first| *first <= call.first)
    }
}

impl Process {
    /// Calls of this moment say what they say.
    pub fn listens(&self) -> bool {
        self.watch.window != Window::Changing
    }

    /// Hooks that run for each message are not there.
    pub fn is_away(&self) -> bool {
        self.watch.window != Window::Open
    }

    pub fn window(&mut self, window: Window, out: &mut Out<'_>) {
        let before = std::mem::replace(&mut self.watch.window, window);
        if before == window {
            return;
        }
        if window == Window::Shut {
            self.watch.first = false;
        }
        if before == Window::Open {
            self.watch.first = self.watch.epoch == 0 && self.tasks.is_empty();
            if !self.watch.named && self.undecided.len() >= UNNAMED {
                // A pool names as many as it is given, also those of before the window: here nobody does.
                self.decide_all(out);
            }
            let left = self.runs.values().map(|run| u64::from(run.left)).sum();
            out.losses.add("processing_window", left);
            self.runs.clear();
            self.places.clear();
            self.addresses.clear();
            self.undecided.clear();
            self.open = 0;
        }
        // Also what comes in the middle of an attach is not known whole.
        self.watch.epoch = self.watch.epoch.saturating_add(1);
        self.watch.handed.clear();
        self.watch.named = false;
        let strangers = self.watch.may_nest();
        for task in self.tasks.values_mut() {
            task.interrupted(strangers && window == Window::Open);
        }
    }

    /// A task that was not seen before may stand anywhere in its calls.
    pub(super) fn is_stranger(&self) -> bool {
        self.watch.epoch > 0 && self.watch.window == Window::Open && self.watch.may_nest()
    }

    /// True: the call says nothing of its message now.
    pub(super) fn passes_over(&mut self, call: &ClientCall, out: &mut Out<'_>) -> bool {
        let asks = matches!(call.means, Means::Asks | Means::AsksOnly);
        let polls = asks || call.means.gives();
        self.watch.named |= match call.means {
            Means::Settles | Means::Releases | Means::Rejects => true,
            Means::Frees => !self.is_asker(call.task),
            _ => false,
        };
        match self.watch.window {
            Window::Open if polls => self.is_unclear(call, out),
            Window::Open => false,
            // What lasts longer than a window.
            _ if lasts(call.means) => false,
            Window::Shut if polls => {
                self.counts(call, out);
                true
            }
            Window::Shut | Window::Changing => true,
        }
    }

    /// The task may stand within a call that began before the window.
    fn is_unclear(&mut self, call: &ClientCall, out: &mut Out<'_>) -> bool {
        // Within such a request stands no other.
        let only = matches!(call.means, Means::AsksOnly | Means::CallsBack);
        let asks = only || call.means == Means::Asks;
        // A request that is seen and stands within one that is not began between two instructions of it: while hooks were attached for 10 ms no call
        // counted. Who has windows again and again runs into that, who has his first does not, and his first message is as good as others.
        let first = self.watch.first;
        let task = self.task(call.task, call.time, out);
        if task.stranger && asks && (task.got || only || first) {
            task.stranger = false;
        }
        let asker = task.asker || asks;
        // Who was not seen to ask only offers messages to others: at once where requests stand within none (what such a library gives names no
        // consumer), else when it hands over again.
        task.stranger &= asker || (call.client != 0 && !task.got);
        task.got |= !asks && call.count > 0;
        let unclear = task.stranger;
        self.watch.asks |= asks;
        self.watch.offers |= !asks && !asker;
        unclear
    }

    /// Hand-overs of hooks that stay: what they say of messages is whole.
    fn counts(&mut self, call: &ClientCall, out: &mut Out<'_>) {
        let task = self.task(call.task, call.time, out);
        if !call.means.gives() {
            task.asks();
            if call.means == Means::AsksOnly {
                task.returns(false);
            }
            self.watch.asks = true;
            return;
        }
        let offers = !task.asker;
        let Some(calls) = task.gather(call) else {
            return;
        };
        let inner = task.returns(calls.iter().any(|call| call.count > 0));
        self.watch.offers |= offers;
        if inner {
            return;
        }
        for call in calls.iter().filter(|call| is_whole(call)) {
            self.delivered(&Given::of(call), out);
        }
    }

    /// The application has these messages.
    pub(super) fn delivered(&mut self, given: &Given, out: &mut Out<'_>) {
        let told = |what| Told {
            time: given.time,
            pid: self.pid,
            topic: Arc::clone(&given.topic),
            partition: given.partition,
            what,
        };
        let key = (given.client, Arc::clone(&given.topic), given.partition);
        let next = Next {
            offset: given.last.saturating_add(1),
            epoch: self.watch.epoch,
        };
        let before = self.next.get(&key).copied();
        let known = before.map(|before| before.offset);
        let away = match before {
            Some(before) => before.epoch != next.epoch,
            None => self.watch.epoch > 0,
        };
        out.tell(told(What::Delivered {
            first: given.first,
            last: given.last,
            count: given.count,
            asked: given.asked,
            task: given.task,
            after: away.then_some(known),
            unseen: 0,
            counted: 0,
        }));
        if let Some(known) = known.filter(|known| given.first < *known) {
            let again = known
                .saturating_sub(given.first)
                .min(i64::from(given.count));
            out.tell(told(What::Wrong {
                offset: given.first,
                count: u32::try_from(again).unwrap_or(given.count),
                signal: Signal::Redelivery,
            }));
        }
        self.watch.hands(&given.topic, given.partition, given.first);
        if before.is_none() && self.next.len() >= PARTITIONS_MOST {
            out.losses.add("processing_partition_table_full", 1);
        } else {
            let offset = next.offset.max(known.unwrap_or(0));
            self.next.insert(key, Next { offset, ..next });
        }
    }
}

/// It says something that holds beyond a window.
fn lasts(means: Means) -> bool {
    use Means::{ClaimBegins, ClaimEnds, Closes, Seeks, TaskEnds};
    matches!(means, Seeks | Closes | TaskEnds | ClaimBegins | ClaimEnds)
}

/// Of which messages it tells is known.
fn is_whole(call: &ClientCall) -> bool {
    !call.fault && call.count > 0 && call.is_place() && !call.topic.is_empty()
}

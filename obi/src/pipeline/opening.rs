//! Compressed batches opened beside the model thread. In: messages with facts that wait to be opened; out: the same messages in
//! the same order, opened.
//!
//! The pool is bounded, in facts and in bytes: what finds it full is passed on unopened, and the model counts it, because a header without its records is still exact in its
//! counts, while a model thread that waits would lose whole facts.

use std::collections::VecDeque;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use kafka_analyzer::fact::Says;
use kafka_analyzer::{Fact, Opening};

use super::shard::Message;
use crate::attach::privileges;

/// Facts that wait for a worker.
const JOBS: usize = 512;
/// Compressed bytes that wait for a worker.
const BYTES: usize = 16 << 20;
/// Messages held back behind one that is being opened.
const HELD: usize = 1024;

struct Job {
    message: u64,
    at: usize,
    bytes: usize,
    fact: Fact,
}

pub struct Openers {
    jobs: Option<Sender<Job>>,
    pub done: Receiver<Opened>,
    workers: Vec<JoinHandle<()>>,
    held: VecDeque<Held>,
    first: u64,
    /// Compressed bytes given to the workers.
    bytes: usize,
}

/// A fact back from its worker.
pub struct Opened(Job);

struct Held {
    message: Message,
    waiting: usize,
}

impl Openers {
    /// # Errors
    /// Threads cannot be started.
    pub fn start(workers: usize, opening: Opening) -> std::io::Result<Openers> {
        let (jobs, queue) = bounded::<Job>(JOBS);
        let (finished, done) = bounded(JOBS + workers);
        let workers = (0..workers)
            .map(|n| {
                let (queue, finished) = (queue.clone(), finished.clone());
                std::thread::Builder::new()
                    .name(format!("obi-open-{n}"))
                    .spawn(move || {
                        privileges::drop_unused_or_warn();
                        for mut job in queue {
                            job.fact.open(&opening);
                            if finished.send(Opened(job)).is_err() {
                                return;
                            }
                        }
                    })
            })
            .collect::<Result<_, _>>()?;
        Ok(Openers {
            jobs: Some(jobs),
            done,
            workers,
            held: VecDeque::new(),
            first: 0,
            bytes: 0,
        })
    }

    /// Takes the next message; facts to open go to the pool.
    pub fn take(&mut self, mut message: Message) {
        let number = self.first + self.held.len() as u64;
        let mut waiting = 0;
        if let Message::Facts { facts, .. } = &mut message {
            for (at, fact) in facts
                .iter_mut()
                .enumerate()
                .filter(|(_, fact)| fact.needs_opening())
            {
                let bytes = fact.says.held();
                if self.bytes > 0 && self.bytes + bytes > BYTES {
                    fact.leave_closed();
                    continue;
                }
                let place = Fact {
                    known: fact.known,
                    origin: fact.origin,
                    pid: fact.pid,
                    says: Says::Topics(Vec::new()),
                };
                let job = Job {
                    message: number,
                    at,
                    bytes,
                    fact: std::mem::replace(fact, place),
                };
                let Some(jobs) = &self.jobs else { continue };
                match jobs.try_send(job) {
                    Ok(()) => {
                        waiting += 1;
                        self.bytes += bytes;
                    }
                    Err(refused) => {
                        *fact = refused.into_inner().fact;
                        fact.leave_closed();
                    }
                }
            }
        }
        self.held.push_back(Held { message, waiting });
    }

    pub fn give_back(&mut self, Opened(job): Opened) {
        self.bytes = self.bytes.saturating_sub(job.bytes);
        let held = job
            .message
            .checked_sub(self.first)
            .and_then(|n| usize::try_from(n).ok())
            .and_then(|n| self.held.get_mut(n));
        if let Some(Held {
            message: Message::Facts { facts, .. },
            waiting,
        }) = held
            && let Some(place) = facts.get_mut(job.at)
        {
            *place = job.fact;
            *waiting -= 1;
        }
    }

    /// The next message in order, once it is whole.
    pub fn next(&mut self) -> Option<Message> {
        if self.held.front()?.waiting > 0 {
            return None;
        }
        self.first += 1;
        self.held.pop_front().map(|held| held.message)
    }

    /// Too much is held back: take nothing new before something is given back.
    pub fn is_full(&self) -> bool {
        self.held.len() >= HELD
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

impl Drop for Openers {
    fn drop(&mut self) {
        self.jobs = None;
        // Workers blocked on a full `done` would never see the end of their queue.
        while self.done.recv().is_ok() {}
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

//! Hooks are taken away on a thread of its own: the kernel waits until no CPU is in a probe any more, 30 ms for one link of many sites, and
//! 100 ms for each site on kernels without uprobe.multi. In: links; out: the places whose links are gone.

use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::attach::hooks::Detaching;
use crate::attach::privileges;
use crate::budget::windows::Place;

/// At most one job for each place is on its way: the queues are bounded by the number of attached files.
pub struct Detacher {
    jobs: Option<Sender<(Place, Detaching)>>,
    pub done: Receiver<Place>,
    thread: Option<JoinHandle<()>>,
}

impl Detacher {
    /// # Errors
    /// The thread cannot be started.
    pub fn start() -> std::io::Result<Detacher> {
        let (jobs, queue) = unbounded::<(Place, Detaching)>();
        let (say, done) = unbounded();
        let thread = std::thread::Builder::new()
            .name("obi-detach".to_owned())
            .spawn(move || {
                privileges::drop_unused_or_warn();
                for (place, links) in queue {
                    drop(links);
                    if say.send(place).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Detacher {
            jobs: Some(jobs),
            done,
            thread: Some(thread),
        })
    }

    pub fn detach(&self, place: Place, links: Detaching) {
        if let Some(jobs) = &self.jobs {
            // The thread lives as long as this value.
            let _ = jobs.send((place, links));
        }
    }
}

impl Drop for Detacher {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

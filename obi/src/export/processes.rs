//! Who a process is. In: what enrichment found for a pid; out: the same by pid, for labels and resources. Bounded: of processes
//! beyond the cap, the one not seen for longest is forgotten.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use kafka_analyzer::capture::{Pid, ProcessInfo};
use lru::LruCache;

const CAP: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

#[derive(Debug)]
pub struct Processes {
    known: Mutex<LruCache<Pid, Arc<ProcessInfo>>>,
    unknown: Arc<ProcessInfo>,
}

impl Default for Processes {
    fn default() -> Self {
        Processes {
            known: Mutex::new(LruCache::new(CAP)),
            unknown: Arc::new(ProcessInfo {
                service: "unknown".into(),
                ..ProcessInfo::default()
            }),
        }
    }
}

impl Processes {
    pub fn learn(&self, process: &ProcessInfo) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .put(process.pid, Arc::new(process.clone()));
    }

    /// A process that was never told has pid 0 and the service `unknown`.
    pub fn get(&self, pid: Pid) -> Arc<ProcessInfo> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.get(&pid).unwrap_or(&self.unknown))
    }
}

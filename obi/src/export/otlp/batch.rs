//! What goes into one request, by process. In: encoded spans or log records; out: the same in groups, each a resource.

use std::collections::HashMap;
use std::sync::Arc;

use kafka_analyzer::capture::ProcessInfo;
use prost::Message;

pub struct Batch<M> {
    processes: Vec<(Arc<ProcessInfo>, Vec<M>)>,
    index: HashMap<*const ProcessInfo, usize>,
    bytes: usize,
    count: u64,
}

impl<M> Default for Batch<M> {
    fn default() -> Self {
        Batch {
            processes: Vec::new(),
            index: HashMap::new(),
            bytes: 0,
            count: 0,
        }
    }
}

impl<M: Message> Batch<M> {
    pub fn add(&mut self, process: Arc<ProcessInfo>, message: M) {
        // Processes are compared by address: the same one is shared until an exec makes it another.
        let key = Arc::as_ptr(&process);
        let at = *self.index.entry(key).or_insert(self.processes.len());
        if at == self.processes.len() {
            self.processes.push((process, Vec::new()));
        }
        self.bytes += message.encoded_len();
        self.count += 1;
        if let Some((_, messages)) = self.processes.get_mut(at) {
            messages.push(message);
        }
    }

    /// Encoded size, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn len(&self) -> u64 {
        self.count
    }

    pub fn into_processes(self) -> impl Iterator<Item = (Arc<ProcessInfo>, Vec<M>)> {
        self.processes.into_iter()
    }
}

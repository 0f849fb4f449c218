//! The kernel's table of what hooks cost processes. In: a pid; out: hits and time within programs, summed over CPUs.

use kafka_analyzer::capture::Pid;
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use obi_abi::Costs;
use zerocopy::FromBytes;

pub struct CostTable(MapHandle);

impl CostTable {
    pub(super) fn new(map: MapHandle) -> CostTable {
        CostTable(map)
    }

    /// One system call. `None`: no hook was hit, or the kernel has forgotten the process for others.
    pub fn of(&self, pid: Pid) -> Option<Costs> {
        let of_each_cpu = self
            .0
            .lookup_percpu(&pid.to_ne_bytes(), MapFlags::ANY)
            .ok()??;
        let mut sum = Costs::NOTHING;
        for value in &of_each_cpu {
            sum.add(&Costs::read_from_bytes(value).ok()?);
        }
        Some(sum)
    }

    pub fn pids(&self) -> Vec<Pid> {
        self.0
            .keys()
            .filter_map(|key| key.try_into().ok().map(Pid::from_ne_bytes))
            .collect()
    }

    pub fn remove(&self, pid: Pid) {
        // Not there: the kernel had forgotten it.
        let _ = self.0.delete(&pid.to_ne_bytes());
    }
}

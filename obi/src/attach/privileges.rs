//! What the agent may do. In: the capabilities of this thread; out: what is missing, and fewer of them once all is loaded.
//!
//! Later attaches need most of what the first one needed, so only what no attach uses is given up: among others SYS_ADMIN,
//! NET_ADMIN, SYS_MODULE, DAC_OVERRIDE, SETUID, KILL. Capabilities belong to threads: [`drop_unused`] runs in each thread that
//! touches other processes' data, and threads started after it inherit the smaller set.

use caps::{CapSet, Capability, CapsHashSet};

/// Loading programs (BPF), attaching them and reading the side-band (PERFMON), reading other processes (SYS_PTRACE).
const NEEDED: [Capability; 3] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_PTRACE,
];

/// Kept besides: files of any owner (DAC_READ_SEARCH) and `/proc/PID/map_files` (CHECKPOINT_RESTORE).
const KEPT: [Capability; 5] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_CHECKPOINT_RESTORE,
];

/// Needed capabilities that this thread has not; CAP_SYS_ADMIN stands in for BPF and PERFMON.
pub fn missing() -> Vec<String> {
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    let admin = has(Capability::CAP_SYS_ADMIN);
    NEEDED
        .into_iter()
        .filter(|capability| {
            !(has(*capability) || admin && *capability != Capability::CAP_SYS_PTRACE)
        })
        .map(|capability| capability.to_string())
        .collect()
}

/// Gives up what no later step needs, for this thread and those that it starts.
///
/// # Errors
/// Only if the kernel refuses to lower capabilities, which it does not for sane sets.
pub fn drop_unused() -> Result<(), caps::errors::CapsError> {
    let held = caps::read(None, CapSet::Permitted)?;
    // Without BPF and PERFMON of its own, the thread lives on SYS_ADMIN and has to keep it.
    let mut kept: CapsHashSet = KEPT
        .into_iter()
        .filter(|capability| held.contains(capability))
        .collect();
    if !held.contains(&Capability::CAP_BPF) || !held.contains(&Capability::CAP_PERFMON) {
        kept.extend(held.get(&Capability::CAP_SYS_ADMIN).copied());
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)
}

/// [`drop_unused`] for threads that can go on without it.
pub fn drop_unused_or_warn() {
    if let Err(error) = drop_unused() {
        tracing::warn!(%error, "capabilities that are not needed any more are kept");
    }
}

/// BPF maps were charged to RLIMIT_MEMLOCK before 5.11, and the perf rings still are.
pub fn raise_memlock() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    if let Err(error) = setrlimit(Resource::Memlock, unlimited) {
        tracing::debug!(%error, "RLIMIT_MEMLOCK stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_what_later_attaches_need_and_nothing_else() {
        let thread = std::thread::spawn(|| {
            let before = caps::read(None, CapSet::Permitted).unwrap();
            drop_unused().unwrap();
            let after = caps::read(None, CapSet::Effective).unwrap();
            (before, after, missing())
        });
        let (before, after, missing) = thread.join().unwrap();
        let expected: CapsHashSet = KEPT.into_iter().filter(|c| before.contains(c)).collect();
        assert_eq!(after, expected, "tests of this crate run as root");
        assert_eq!(missing, Vec::<String>::new());
    }
}

//! What happens to processes, as it happens. In: the kernel's perf side-band (a dummy event on every CPU); out: [`ProcessEvent`]s
//! on a bounded channel: executable mappings (also those of an exec), forks, ends.
//!
//! Nothing is sampled: the dummy event never counts, only its records are read. When the channel is full or the kernel lost
//! records, a [`ProcessEvent::Missed`] asks for a scan.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::Sender;
use kafka_analyzer::capture::Pid;
use perf_event::events::Software;
use perf_event::{Builder, Sampler, data::Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::process::Mapping;

/// Bytes of each CPU's side-band ring; about 500 mappings.
const RING_BYTES: usize = 64 * 1024;
const PROT_EXEC: u32 = 4;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessEvent {
    /// The process runs a new program now; what was known of the pid no longer holds.
    Exec {
        pid: Pid,
    },
    /// A file was mapped executable: at an exec, by the dynamic linker, by dlopen.
    Mapped {
        pid: Pid,
        mapping: Mapping,
    },
    Forked {
        parent: Pid,
        child: Pid,
    },
    Exited {
        pid: Pid,
    },
    /// Events were lost: scan `/proc`.
    Missed,
}

/// Watches until dropped.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Opens the side-band on every online CPU.
///
/// # Errors
/// As the kernel refuses: `EACCES`/`EPERM` without CAP_PERFMON, `ENOENT` without perf events.
pub fn watch(events: Sender<ProcessEvent>) -> io::Result<Watch> {
    let mut samplers = Vec::new();
    let mut waiters = Vec::new();
    for cpu in online_cpus()? {
        let sampler = side_band(cpu)?;
        waiters.push(duplicate(&sampler)?);
        samplers.push(sampler);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::Builder::new()
        .name("obi-processes".into())
        .spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                let mut fds: Vec<_> = waiters
                    .iter()
                    .map(|fd| PollFd::new(fd, PollFlags::IN))
                    .collect();
                let timeout = Timespec {
                    tv_sec: 0,
                    tv_nsec: 200_000_000,
                };
                if poll(&mut fds, Some(&timeout)).is_err() {
                    continue;
                }
                for sampler in &mut samplers {
                    drain(sampler, &events);
                }
            }
        })?;
    Ok(Watch {
        stop,
        thread: Some(thread),
    })
}

fn side_band(cpu: usize) -> io::Result<Sampler> {
    let mut counter = Builder::new(Software::DUMMY)
        .any_pid()
        .one_cpu(cpu)
        .inherit(false)
        .include_kernel()
        .include_hv()
        .mmap(true)
        .mmap2(true)
        .comm(true)
        .comm_exec(true)
        .task(true)
        .wakeup_watermark(1)
        .build()?;
    counter.enable()?;
    counter.sampled(RING_BYTES)
}

/// A descriptor that `poll` may borrow: the sampler only offers a raw one.
fn duplicate(sampler: &Sampler) -> io::Result<OwnedFd> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(
        own,
        sampler.as_raw_fd(),
        PidfdGetfdFlags::empty(),
    )?)
}

fn drain(sampler: &mut Sampler, events: &Sender<ProcessEvent>) {
    while let Some(record) = sampler.next_record() {
        let exec = record.misc() & COMM_EXEC != 0;
        let event = record
            .parse_record()
            .ok()
            .and_then(|record| event(record, exec));
        // A full channel loses the event, not the fact: the scan that `Missed` asks for finds it.
        if let Some(event) = event
            && events.try_send(event).is_err()
        {
            let _ = events.try_send(ProcessEvent::Missed);
        }
    }
}

/// PERF_RECORD_MISC_COMM_EXEC: the new name comes from an exec.
const COMM_EXEC: u16 = 1 << 13;

fn event(record: Record<'_>, exec: bool) -> Option<ProcessEvent> {
    match record {
        Record::Mmap2(map)
            if map.prot & PROT_EXEC != 0
                && map.filename.starts_with(b"/")
                && *map.filename != *b"//anon" =>
        {
            let path = PathBuf::from(map.filename_os());
            Some(ProcessEvent::Mapped {
                pid: map.pid,
                mapping: Mapping {
                    start: map.addr,
                    end: map.addr.wrapping_add(map.len),
                    path,
                },
            })
        }
        Record::Comm(comm) if exec => Some(ProcessEvent::Exec { pid: comm.pid }),
        // Threads share the pid; a new process has one of its own.
        Record::Fork(fork) if fork.pid != fork.ppid => Some(ProcessEvent::Forked {
            parent: fork.ppid,
            child: fork.pid,
        }),
        Record::Exit(exit) if exit.pid == exit.tid => Some(ProcessEvent::Exited { pid: exit.pid }),
        Record::Lost(_) => Some(ProcessEvent::Missed),
        _ => None,
    }
}

fn online_cpus() -> io::Result<Vec<usize>> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online")?;
    cpu_list(&text)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unreadable list of online CPUs"))
}

/// `0-3,8`, as the kernel writes it.
fn cpu_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for range in text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cpus.extend(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?.min(65_535));
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_exec_a_mapping_and_an_end_are_seen() {
        let (sender, events) = crossbeam_channel::bounded(65_536);
        let _watch = watch(sender).unwrap();
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        child.wait().unwrap();
        let pid = child.id();
        let (mut exec, mut mapped) = (false, Vec::new());
        loop {
            match events.recv_timeout(Duration::from_secs(20)).unwrap() {
                ProcessEvent::Exec { pid: of } if of == pid => exec = true,
                ProcessEvent::Mapped { pid: of, mapping } if of == pid => mapped.push(mapping.path),
                ProcessEvent::Exited { pid: of } if of == pid => break,
                _ => {}
            }
        }
        assert!(exec);
        let real = std::fs::canonicalize("/bin/true").unwrap();
        assert!(mapped.contains(&real), "{mapped:?}");
        assert!(
            mapped
                .iter()
                .any(|path| path.to_string_lossy().contains("libc.so")),
            "{mapped:?}"
        );
    }

    #[test]
    fn cpu_lists() {
        assert_eq!(cpu_list("0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(cpu_list("0\n"), Some(vec![0]));
        assert_eq!(cpu_list(""), None);
        assert_eq!(cpu_list("a-b"), None);
    }
}

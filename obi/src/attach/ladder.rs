//! Which programs of the object this kernel takes. In: the object's programs by section; out: what to load, step by step.
//!
//! The first step that loads and attaches wins; each step lost is kept with the kernel's own reason, for `obi doctor` and the log.

use serde::Serialize;

/// Ways to see plaintext socket calls, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketPath {
    /// fentry/fexit on the TCP functions: touches TCP only.
    Fentry,
    /// The same places by kprobes.
    Kprobe,
    /// One typed pair on all system calls.
    TpBtf,
    /// One raw pair on all system calls.
    RawTp,
}

impl SocketPath {
    pub const ALL: [SocketPath; 4] = [
        SocketPath::Fentry,
        SocketPath::Kprobe,
        SocketPath::TpBtf,
        SocketPath::RawTp,
    ];

    pub fn feature(self) -> &'static str {
        match self {
            SocketPath::Fentry => "fentry",
            SocketPath::Kprobe => "kprobe",
            SocketPath::TpBtf => "tp_btf/sys_enter",
            SocketPath::RawTp => "raw_tp/sys_enter",
        }
    }

    /// It costs nobody who does not use TCP.
    pub fn is_for_tcp_alone(self) -> bool {
        matches!(self, SocketPath::Fentry | SocketPath::Kprobe)
    }

    /// The way that a program of this section belongs to.
    fn of_section(section: &str) -> Option<SocketPath> {
        let (kind, _) = section.split_once('/')?;
        match kind {
            "fentry" | "fexit" => Some(SocketPath::Fentry),
            "kprobe" | "kretprobe" => Some(SocketPath::Kprobe),
            "tp_btf" if section.starts_with("tp_btf/sys_") => Some(SocketPath::TpBtf),
            "raw_tp" | "raw_tracepoint" if section.contains("/sys_") => Some(SocketPath::RawTp),
            _ => None,
        }
    }
}

/// What a program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Hooks of TLS calls: `uprobe.multi`, `uretprobe.multi`.
    Hook,
    /// Processes and the ends of sockets: always attached.
    Life,
    Socket(SocketPath),
}

pub fn purpose(section: &str) -> Purpose {
    if section.starts_with("uprobe") || section.starts_with("uretprobe") {
        return Purpose::Hook;
    }
    SocketPath::of_section(section).map_or(Purpose::Life, Purpose::Socket)
}

/// A feature of the kernel that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    pub feature: &'static str,
    pub works: bool,
    /// The kernel's reason when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Step {
    pub fn works(feature: &'static str) -> Step {
        Step {
            feature,
            works: true,
            reason: None,
        }
    }

    pub fn lost(feature: &'static str, reason: impl Into<String>) -> Step {
        Step {
            feature,
            works: false,
            reason: Some(reason.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_that_others_pay_for() {
        let cheap = SocketPath::ALL.map(SocketPath::is_for_tcp_alone);
        assert_eq!(cheap, [true, true, false, false]);
    }

    #[test]
    fn sections_have_their_purpose() {
        for (section, expected) in [
            ("uprobe.multi", Purpose::Hook),
            ("uretprobe.multi", Purpose::Hook),
            ("tp_btf/sched_process_exec", Purpose::Life),
            ("tp_btf/inet_sock_set_state", Purpose::Life),
            ("tp_btf/sys_exit", Purpose::Socket(SocketPath::TpBtf)),
            ("raw_tp/sys_enter", Purpose::Socket(SocketPath::RawTp)),
            ("fexit/tcp_recvmsg", Purpose::Socket(SocketPath::Fentry)),
            ("kretprobe/tcp_recvmsg", Purpose::Socket(SocketPath::Kprobe)),
        ] {
            assert_eq!(purpose(section), expected, "{section}");
        }
    }
}

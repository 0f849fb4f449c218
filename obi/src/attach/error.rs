//! Why the agent cannot watch this machine: each cause with the one step that would mend it and the exit code of the command line.

use std::fmt;

/// Exit code "not permitted".
pub const NOT_PERMITTED: u8 = 3;
/// Exit code "unsupported".
pub const UNSUPPORTED: u8 = 4;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not permitted: the process lacks {0}")]
    Privileges(Missing),
    #[error("this kernel has no BTF (/sys/kernel/btf/vmlinux is missing)")]
    NoBtf,
    #[error("this kernel has no bpf system call")]
    NoBpf,
    #[error("the kernel does not let this process load BPF programs: {0}")]
    Refused(String),
    #[error("kernel {0} is too old: Linux 6.1 or newer is needed")]
    TooOld(String),
    #[error("the BPF object of this build cannot be used: {0}")]
    Object(String),
    #[error("the kernel refused the BPF programs: {0}")]
    Load(String),
}

/// Names of capabilities, for one sentence.
#[derive(Debug)]
pub struct Missing(pub Vec<String>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl Error {
    /// 3 (not permitted) or 4 (unsupported).
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Privileges(_) | Error::Refused(_) => NOT_PERMITTED,
            Error::NoBtf | Error::NoBpf | Error::TooOld(_) | Error::Object(_) | Error::Load(_) => {
                UNSUPPORTED
            }
        }
    }

    /// The one step that would mend it.
    pub fn mend(&self) -> &'static str {
        match self {
            Error::Privileges(_) => {
                "run as root (sudo obi run), or in a container with --privileged --pid=host, or grant the capabilities named above"
            }
            Error::Refused(_) => {
                "look for kernel lockdown (/sys/kernel/security/lockdown), an LSM policy or a seccomp profile that forbids bpf()"
            }
            Error::NoBtf => {
                "use a kernel built with CONFIG_DEBUG_INFO_BTF=y (Debian, Ubuntu, Fedora, RHEL kernels are)"
            }
            Error::NoBpf => "use a kernel built with CONFIG_BPF_SYSCALL=y and CONFIG_BPF_EVENTS=y",
            Error::TooOld(_) => "upgrade the kernel to 6.1 or newer",
            Error::Object(_) => "rebuild the object with: make bpf",
            Error::Load(_) => {
                "run: obi doctor (it tries each feature of this kernel by itself and says which is refused)"
            }
        }
    }
}

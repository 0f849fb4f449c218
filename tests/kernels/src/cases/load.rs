//! The object as the kernel takes it: each program for itself, and the code made of it.

use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result, bail, ensure};
use libbpf_rs::ProgramMut;
use obi_abi::Settings;

use crate::agent::{Agent, Site};

/// Programs of every kernel that is supported.
pub const EVERYWHERE: &[&str] = &[
    "call_entry",
    "call_return",
    "call_uretprobe",
    "sock_state",
    "sock_destroy",
    "exec",
    "exit",
];

/// Whether uprobe.multi can be attached: 6.1 loads such a program and refuses the link.
pub fn has_multi(object: &[u8]) -> Result<bool> {
    let mut agent = Agent::load(object, &["call_entry"], Settings::DEFAULT, None, true)?;
    let (entries, _) = crate::hooks::sites(&[(crate::hooks::Function::Free, 0)])?;
    let sites: Vec<Site> = entries;
    Ok(agent.attach_sites("call_entry", false, &sites).is_ok())
}

pub fn every_program(object: &[u8]) -> Result<()> {
    for multi in [true, false] {
        for program in EVERYWHERE {
            Agent::load(object, &[program], Settings::DEFAULT, None, multi)
                .with_context(|| format!("{program}, multi {multi}"))?;
        }
    }
    Ok(())
}

/// The code of each program must not add the base of a per-CPU area to r9 (`add r9, gs:..`): that is the private stack.
pub fn no_private_stack(object: &[u8]) -> Result<()> {
    for program in EVERYWHERE {
        let agent = Agent::load(object, &[program], Settings::DEFAULT, None, true)?;
        let loaded = agent
            .object()
            .progs_mut()
            .find(|p| p.name() == *program)
            .context("the program is gone")?;
        let code = jited(&loaded)?;
        ensure!(code.len() > 16, "{program}: no code, is the JIT off?");
        ensure!(
            !code.windows(5).any(|w| w == [0x65, 0x4c, 0x03, 0x0c, 0x25]),
            "{program} runs on a private stack"
        );
    }
    Ok(())
}

fn jited(program: &ProgramMut<'_>) -> Result<Vec<u8>> {
    let fd = program.as_fd().as_raw_fd();
    let mut length = 0;
    let mut code = Vec::new();
    // Once for the length, once for the code.
    for _ in 0..2 {
        let mut info = libbpf_rs::libbpf_sys::bpf_prog_info {
            jited_prog_len: length,
            jited_prog_insns: code.as_mut_ptr() as u64,
            ..Default::default()
        };
        let mut size = size_of_val(&info) as u32;
        // SAFETY: `info` is as long as `size` says, and `code` as long as `jited_prog_len`.
        let failed = unsafe {
            libbpf_rs::libbpf_sys::bpf_obj_get_info_by_fd(fd, (&raw mut info).cast(), &mut size)
        };
        if failed != 0 {
            bail!(
                "no information on the program: {}",
                std::io::Error::last_os_error()
            );
        }
        length = info.jited_prog_len;
        if code.is_empty() {
            code = vec![0u8; length as usize];
        }
    }
    Ok(code)
}

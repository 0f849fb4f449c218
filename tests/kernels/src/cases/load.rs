//! The object as the kernel takes it: each program for itself, and the code made of it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, bail, ensure};
use libbpf_rs::ObjectBuilder;
use obi_abi::Settings;

use crate::agent::{Agent, Site};

/// How the JIT sets a private stack up: `add r9, gs:..`, the base of a per-CPU area.
const PRIVATE_STACK: [u8; 5] = [0x65, 0x4c, 0x03, 0x0c, 0x25];

/// Name and section of every program in the object.
fn programs(object: &[u8]) -> Result<Vec<(String, String)>> {
    let mut open = ObjectBuilder::default();
    let open = open.open_memory(object)?;
    let text = |text: &OsStr| text.to_string_lossy().into_owned();
    Ok(open
        .progs()
        .map(|p| (text(p.name()), text(p.section())))
        .collect())
}

/// Loads one program. `None`: refused by a kernel that offers no fentry, which the stock ones under test do.
fn load(object: &[u8], name: &str, section: &str, multi: bool) -> Result<Option<Agent>> {
    match Agent::load(object, &[name], Settings::DEFAULT, None, multi) {
        Ok(agent) => Ok(Some(agent)),
        Err(error) if section.starts_with('f') && !super::sockets::is_stock() => {
            println!("     {name} is refused by this kernel: {error:#}");
            Ok(None)
        }
        Err(error) => Err(error.context(format!("{name}, multi {multi}"))),
    }
}

/// Whether uprobe.multi can be attached: 6.1 loads such a program and refuses the link.
pub fn has_multi(object: &[u8]) -> Result<bool> {
    let mut agent = Agent::load(object, &["call_entry"], Settings::DEFAULT, None, true)?;
    let (entries, _) = crate::hooks::sites(&[(crate::hooks::Function::Free, 0)])?;
    let sites: Vec<Site> = entries;
    Ok(agent.attach_sites("call_entry", false, &sites).is_ok())
}

pub fn every_program(object: &[u8]) -> Result<()> {
    let programs = programs(object)?;
    ensure!(
        programs.len() == 37,
        "{} programs: is one new, or lost?",
        programs.len()
    );
    for (name, section) in &programs {
        load(object, name, section, true)?;
        if section.contains(".multi") {
            load(object, name, section, false)?;
        }
    }
    Ok(())
}

/// No program runs on a private stack; a control without the dead tail call does, where the kernel has such stacks.
pub fn no_private_stack(object: &[u8]) -> Result<()> {
    for (name, section) in programs(object)? {
        let Some(agent) = load(object, &name, &section, true)? else {
            continue;
        };
        let mut loaded = agent.object().progs_mut();
        let loaded = loaded
            .find(|p| p.name() == OsStr::new(&name))
            .context("the program is gone")?;
        let code = jited(loaded.as_fd().as_raw_fd())?;
        ensure!(code.len() > 16, "{name}: no code, is the JIT off?");
        ensure!(!has_private_stack(&code), "{name} runs on a private stack");
    }
    let control = has_private_stack(&jited(control()?.as_raw_fd())?);
    let expected = kernel_version()? >= (6, 13);
    ensure!(
        control == expected,
        "the control has a private stack: {control}, expected {expected}"
    );
    Ok(())
}

fn has_private_stack(code: &[u8]) -> bool {
    code.windows(PRIVATE_STACK.len())
        .any(|w| w == PRIVATE_STACK)
}

fn kernel_version() -> Result<(u32, u32)> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => bail!("the kernel calls itself {release}"),
    }
}

/// A kprobe-type program with 128 bytes of stack and no tail call.
fn control() -> Result<OwnedFd> {
    // *(u64 *)(r10 - 128) = 1; r0 = *(u64 *)(r10 - 128); exit. Offset -128 is 0xff80.
    let instructions: [u64; 3] = [0x0000_0001_ff80_0a7a, 0x0000_0000_ff80_a079, 0x95];
    // SAFETY: the instructions and both strings live through the call.
    let fd = unsafe {
        libbpf_rs::libbpf_sys::bpf_prog_load(
            libbpf_rs::libbpf_sys::BPF_PROG_TYPE_KPROBE,
            c"control".as_ptr(),
            c"GPL".as_ptr(),
            instructions.as_ptr().cast(),
            instructions.len() as u64,
            std::ptr::null_mut(),
        )
    };
    ensure!(
        fd >= 0,
        "the control does not load: {}",
        std::io::Error::last_os_error()
    );
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The machine code that the kernel made of a program.
fn jited(fd: i32) -> Result<Vec<u8>> {
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

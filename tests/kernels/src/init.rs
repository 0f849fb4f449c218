//! The test binary as the first and only program of a virtual machine: mounts what the tests read, powers off.

use std::ffi::CStr;
use std::io::Error;

use anyhow::{Result, bail};

const MOUNTS: [(&CStr, &CStr); 4] = [
    (c"proc", c"/proc"),
    (c"sysfs", c"/sys"),
    (c"devtmpfs", c"/dev"),
    (c"tracefs", c"/sys/kernel/tracing"),
];

/// Whether this is process 1.
pub fn is_first() -> bool {
    std::process::id() == 1
}

pub fn prepare() -> Result<()> {
    for (kind, target) in MOUNTS {
        // SAFETY: all four are strings that live for the whole program; no data.
        let failed = unsafe {
            libc::mount(
                kind.as_ptr(),
                target.as_ptr(),
                kind.as_ptr(),
                0,
                std::ptr::null(),
            )
        };
        if failed != 0 {
            bail!("cannot mount {target:?}: {}", Error::last_os_error());
        }
    }
    raise_loopback()
}

fn raise_loopback() -> Result<()> {
    // SAFETY: `request` is the structure that both calls take, and lives through them.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        if libc::ioctl(socket, libc::SIOCGIFFLAGS, &raw mut request) != 0 {
            bail!("no loopback interface: {}", Error::last_os_error());
        }
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        if libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw mut request) != 0 {
            bail!(
                "cannot raise the loopback interface: {}",
                Error::last_os_error()
            );
        }
        libc::close(socket);
    }
    Ok(())
}

pub fn power_off() -> ! {
    // SAFETY: no memory is touched.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_POWER_OFF);
    }
    unreachable!("the machine is off")
}

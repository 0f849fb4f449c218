//! Free TCP ports on 127.0.0.1, below the range that the kernel hands out to clients, so that none is taken between asking and use.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that nothing listens on, another one at each call.
pub fn free() -> Result<u16> {
    // Two runs on one machine begin at different places.
    let start = (std::process::id() % u32::from(LAST - FIRST)) as u16;
    for _ in FIRST..=LAST {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start + step) % (LAST - FIRST);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {LAST}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn ports_differ() {
        let ports = [
            super::free().unwrap(),
            super::free().unwrap(),
            super::free().unwrap(),
        ];
        assert!(
            ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2],
            "{ports:?}"
        );
    }
}

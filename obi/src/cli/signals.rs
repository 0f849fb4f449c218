//! SIGTERM and SIGINT to [`Stop`]; and the service manager's notification socket (sd_notify).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::stop::Stop;

/// The first signal asks for a clean end; the second ends the process at once.
pub fn stop_on(stop: Stop) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        )
    };
    let wait = async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stop.requested() {
                std::process::exit(130);
            }
            tracing::info!("stopping");
            stop.request();
        }
    };
    let thread = std::thread::Builder::new().name("obi-signals".to_owned());
    thread
        .spawn(move || runtime.block_on(wait))
        .context("cannot start the signal thread")?;
    Ok(())
}

/// Sends a state such as `READY=1` when a service manager asked for it (`NOTIFY_SOCKET`).
pub fn tell_service_manager(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let sent = (|| {
        let socket = UnixDatagram::unbound()?;
        match name.to_string_lossy().strip_prefix('@') {
            Some(abstract_name) => socket.send_to_addr(
                state.as_bytes(),
                &SocketAddr::from_abstract_name(abstract_name)?,
            ),
            None => socket.send_to(state.as_bytes(), &name),
        }
    })();
    if let Err(error) = sent {
        tracing::warn!(%error, "the service manager could not be told {state}");
    }
}

//! The only wiring, top to bottom like the map in docs/architecture.md.
//!
//! control line: process events ─► discovery ─► attach ─► kernel. Data line: kernel ─► stream thread ─► model thread ─► sinks. The one arrow back is
//! the verdict. Every queue is bounded; plain threads, no async runtime.

mod callbacks;
mod findings;
mod live;
mod names;
mod opening;
pub mod replay;
mod shard;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{Receiver, bounded, select, tick};

use crate::attach::ladder::SocketPath;
use crate::attach::{self, Kernel, privileges};
use crate::budget::{self, bucket::Budget};
use crate::cli::exit::{Exit, Failure};
use crate::config::{Config, When};
use crate::discovery::control::{Control, Notice};
use crate::discovery::events::{self, ProcessEvent};
use crate::discovery::filter::Filter;
use crate::export::Sinks;
use crate::stop::Stop;
use crate::telemetry::Telemetry;
pub use findings::Finding;
use findings::Findings;
use live::StreamThread;
pub use live::{Tee, monotonic, wall};
use names::Keeper;
use opening::Openers;
use shard::Message;

/// The ring holds a few milliseconds of peak traffic, and a client must be hooked before its first byte: the threads that do this go before what
/// they watch. They use little; the model, which may use more, does not.
const URGENT: i32 = -10;

/// Runs the agent until `stop`.
///
/// # Errors
/// This machine cannot be watched; a [`Failure`] with its cause, exit code and mend.
pub fn run(
    config: Config,
    sinks: Sinks,
    telemetry: Arc<Telemetry>,
    stop: Stop,
) -> anyhow::Result<()> {
    run_with(&config, &sinks, &telemetry, &stop, None)
}

/// [`run`] with a listener on waist 1.
pub fn run_with(
    config: &Config,
    sinks: &Sinks,
    telemetry: &Arc<Telemetry>,
    stop: &Stop,
    tee: Option<Tee<'_>>,
) -> anyhow::Result<()> {
    if !config.instrumentation.kafka.enabled {
        tracing::warn!("instrumentation.kafka.enabled is false: nothing is watched");
        telemetry
            .ready
            .store(1, std::sync::atomic::Ordering::Release);
        while !stop.wait(Duration::from_secs(3600)) {}
        return Ok(());
    }
    let filter =
        Filter::new(&config.discovery).map_err(|e| Failure::new(Exit::Usage, e.to_string()))?;
    // Exact counts need the first large request of a connection whole, and it may follow the first bytes within the millisecond that a
    // verdict takes. So the limit before a verdict is that of a call; what is not Kafka is told so by its first bytes.
    let settings = obi_abi::Settings {
        undecided_limit: obi_abi::CALL_LIMIT as u64,
        by_hook: config.overhead.by_hook.into(),
        ..obi_abi::Settings::DEFAULT
    };
    let options = attach::Options {
        ring_bytes: ring_bytes(config),
        settings,
        client_hooks: config.instrumentation.kafka.client_hooks,
    };
    let mut kernel = Kernel::load(&options).map_err(failure)?;
    let config = &settled(config, &kernel, telemetry);
    kernel.app = config.instrumentation.app.enabled == When::Always;
    telemetry.ring_bytes.store(
        u64::from(options.ring_bytes),
        std::sync::atomic::Ordering::Relaxed,
    );

    let (process_events, happened) = bounded::<ProcessEvent>(16_384);
    let (notices, noticed) = bounded::<Notice>(16_384);
    let (announce, announcements) = bounded(16_384);
    let (messages, received) = bounded::<Message>(256);
    // The watch is open before the first scan, so that nothing falls between the two.
    let watch = events::watch(process_events.clone())
        .inspect_err(|error| tracing::warn!(%error, "no process events: /proc is scanned each second instead"))
        .ok();

    let stream = StreamThread {
        rings: kernel.rings().map_err(failure)?,
        settings: config.settings(),
        filter: filter.clone(),
        telemetry: Arc::clone(telemetry),
        stop: stop.clone(),
        announcements,
        notices,
        messages,
        process_events: watch.is_none().then_some(process_events),
    };
    prioritise(URGENT);
    let app = config.settings().reads_app();
    let ledger = budget::open(&mut kernel).map_err(failure)?;
    let budget = Budget::percent(config.overhead.budget);
    let control = Control::new(
        kernel,
        filter,
        (ledger, budget),
        app,
        announce,
        Arc::clone(telemetry),
    )
    .context("cannot start a thread")?;
    privileges::drop_unused_or_warn();
    let scanning = watch.is_none();
    std::thread::scope(|threads| {
        let control = spawn(threads, "obi-control", move || {
            control_line(control, &happened, &noticed, scanning, telemetry, stop)
        })?;
        let model = spawn(threads, "obi-model", || {
            prioritise(0);
            model_line(config, &received, sinks, telemetry, stop)
        })?;
        let streamed = stream.run(tee).context("the data ring cannot be read");
        stop.request();
        drop(stream);
        let _ = control.join();
        let modelled = model
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the model thread panicked")));
        streamed.and(modelled)
    })
}

/// What depends on the kernel, decided.
fn settled(config: &Config, kernel: &Kernel, telemetry: &Telemetry) -> Config {
    let mut config = config.clone();
    let app = &mut config.instrumentation.app.enabled;
    let cheap = kernel
        .socket_path()
        .is_some_and(SocketPath::is_for_tcp_alone);
    if *app == When::Auto && !cheap {
        tracing::info!(
            "requests and statements are not read: hooks on sockets would cost every system call of the node; instrumentation.app.enabled: true reads them"
        );
    }
    *app = app.settled(cheap);
    let reads = config.settings().reads_app();
    telemetry
        .reads_app
        .store(reads, std::sync::atomic::Ordering::Relaxed);
    config
}

/// Of this thread and those that it starts: on Linux a priority is a thread's.
fn prioritise(nice: i32) {
    if let Err(error) = rustix::process::setpriority_process(None, nice) {
        tracing::debug!(%error, nice, "a thread keeps its priority");
    }
}

fn spawn<'scope, T: Send + 'scope>(
    threads: &'scope std::thread::Scope<'scope, '_>,
    name: &str,
    run: impl FnOnce() -> T + Send + 'scope,
) -> anyhow::Result<std::thread::ScopedJoinHandle<'scope, T>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn_scoped(threads, run)
        .context("cannot start a thread")
}

fn control_line(
    mut control: Control,
    happened: &Receiver<ProcessEvent>,
    noticed: &Receiver<Notice>,
    scanning: bool,
    telemetry: &Telemetry,
    stop: &Stop,
) {
    control.look_at_installed();
    control.scan();
    let answers = control.answers();
    let second = tick(Duration::from_secs(1));
    let mut waiting = false;
    while !stop.requested() {
        let pause = control.pause(Duration::from_millis(if waiting { 5 } else { 100 }));
        select! {
            recv(happened) -> event => if let Ok(event) = event { control.event(&event) },
            recv(answers) -> looked => if let Ok(looked) = looked { control.looked(looked) },
            recv(noticed) -> notice => if let Ok(notice) = notice { control.notice(notice) },
            recv(second) -> _ => if scanning { control.scan() } else { control.tick() },
            default(pause) => {}
        }
        control.keep_budget();
        if happened.is_empty() {
            waiting = control.deferred();
        }
        if !telemetry.is_ready() && !control.is_looking() && !waiting {
            control.tick();
            telemetry
                .ready
                .store(1, std::sync::atomic::Ordering::Release);
        }
    }
}

fn model_line(
    config: &Config,
    received: &Receiver<Message>,
    sinks: &Sinks,
    telemetry: &Telemetry,
    stop: &Stop,
) -> anyhow::Result<()> {
    let mut findings = Findings::new(1, &config.settings());
    let mut keeper = config.state_dir().map(Keeper::new);
    if let Some(keeper) = &keeper {
        findings.model.restore_names(keeper.kept());
    }
    let mut openers = Openers::start(
        1,
        kafka_analyzer::StreamStage::new(&config.settings()).opening(),
    )?;
    let mut found = |finding: Finding<'_>| match finding {
        Finding::Observation(observation) => sinks.observe(observation),
        Finding::Process(info) => sinks.process(info),
        Finding::Clock { monotonic, wall } => sinks.clock(monotonic, wall),
    };
    let second = tick(Duration::from_secs(1));
    loop {
        let open: &Receiver<Message> = if openers.is_full() {
            &crossbeam_channel::never()
        } else {
            received
        };
        select! {
            recv(open) -> message => match message {
                Ok(message) => openers.take(message),
                Err(_) => break,
            },
            recv(openers.done) -> opened => if let Ok(opened) = opened { openers.give_back(opened) },
            recv(second) -> _ => {
                publish(&findings, telemetry);
                // At once, because an agent that is killed has no time for it: its successor joins clients that do not ask again for minutes.
                if let Some(keeper) = &mut keeper {
                    keeper.keep(findings.model.learnt_names());
                }
            }
        }
        while let Some(message) = openers.next() {
            findings.message(message, &mut found);
        }
    }
    while !openers.is_empty() {
        if let Ok(opened) = openers.done.recv() {
            openers.give_back(opened);
        }
        while let Some(message) = openers.next() {
            findings.message(message, &mut found);
        }
    }
    findings.finish(&mut found);
    publish(&findings, telemetry);
    if let Some(keeper) = &mut keeper {
        keeper.keep(findings.model.learnt_names());
    }
    stop.request();
    Ok(())
}

fn publish(findings: &Findings, telemetry: &Telemetry) {
    for (reason, total) in findings.losses() {
        telemetry.set_lost(reason, total);
    }
    telemetry.unresolved_topics.store(
        findings.model.unresolved_topics() as u64,
        std::sync::atomic::Ordering::Relaxed,
    );
}

/// The kernel takes powers of two. The ring of process events is small and beside it.
fn ring_bytes(config: &Config) -> u32 {
    let bytes = config.ring_bytes.clamp(64 * 1024, 1 << 30);
    if bytes.is_power_of_two() {
        bytes
    } else {
        bytes.next_power_of_two() / 2
    }
}

/// With exit code and mend, as the command line shows it.
pub fn failure(error: attach::error::Error) -> anyhow::Error {
    let exit = match error.exit_code() {
        attach::error::NOT_PERMITTED => Exit::NotPermitted,
        _ => Exit::Unsupported,
    };
    let mend = error.mend();
    Failure::new(exit, error.to_string()).hint(mend).into()
}

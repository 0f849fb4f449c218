//! A fast program under the default overhead budget, as `obi run` shows it. In: the program, and the agent that watches all tests; out: counts of the wire, equal to the
//! truth to the last message, and the share of time that the agent says its hooks were there, against the share of messages that it shows.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use obi_lab::metrics::Scrape;
use obi_lab::process::Process;

use super::cells::Cell;
use super::programs::Program;
use super::say_go;
use crate::check::{self, CONSUMED, PRODUCED};
use crate::world::World;

/// The default budget. Of all records spans are made: the truth holds all.
pub const CONFIG: &str = "instrumentation:\n  kafka:\n    spans_per_second: 1000000\n";
const SHARE: &str = "obi_sampled_share";
const SHOWN: &str = "kafka_processing_duration_seconds_count";
const DELIVERED: &str = "kafka_messages_delivered_total";
/// Windows begin at multiples of this many milliseconds of the wall clock. Early in a period there is time to use an account up and to save half of the next.
const PERIOD: u128 = 10_000;
const EARLY: std::ops::RangeInclusive<u128> = 500..=4000;
const PATIENCE: Duration = Duration::from_secs(120);
const EVERY: Duration = Duration::from_millis(300);
/// The agent publishes shares once a second, and the program does not always run at one speed.
const BOUND: f64 = 0.15;

/// What was to be seen at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Since the agent met the program, in seconds; until it got its first message.
    time: f64,
    waited: f64,
    worked: usize,
    shown: f64,
    share: f64,
}

/// Starts the program early in a period and looks until it ends. What was seen when the share changed last.
pub fn watch(
    world: &World,
    process: &mut Process,
    program: &Program,
    topic: &str,
    truth: &Path,
) -> Result<Seen> {
    world.agent()?.met(&program.hooked)?;
    let met = Instant::now();
    let into = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() % PERIOD;
    if !EARLY.contains(&into) {
        let wait = (PERIOD + EARLY.start() - into) % PERIOD;
        std::thread::sleep(Duration::from_millis(u64::try_from(wait)?));
    }
    say_go(process)?;
    let went = Instant::now();
    let (mut waited, mut seen) = (None, None::<Seen>);
    let status = loop {
        if let Some(status) = process.wait(EVERY)? {
            break status;
        }
        if went.elapsed() > PATIENCE {
            bail!("it does not end\n{}", process.log_tail(20));
        }
        // It may not have made the file yet.
        let lines = std::fs::read(truth).unwrap_or_default();
        let worked = lines.iter().filter(|byte| **byte == b'\n').count();
        let time = met.elapsed().as_secs_f64();
        if worked == 0 {
            continue;
        }
        let waited = *waited.get_or_insert(time);
        let scrape = world.agent()?.scrape()?;
        let share = scrape.sum(SHARE, &[("service", &program.service())]);
        let shown = scrape.sum(SHOWN, &[("topic", topic)]).unwrap_or(0.0);
        let Some(share) = share else { continue };
        if seen.is_none_or(|seen| seen.share != share) {
            seen = Some(Seen {
                time,
                waited,
                worked,
                shown,
                share,
            });
        }
    };
    if !status.success() {
        bail!("ended with {status}\n{}", process.log_tail(20));
    }
    seen.context("no share was told")
}

/// Counts, when all is there; and the share.
pub fn check(world: &World, topic: &str, cell: &Cell, seen: &Seen) -> Result<String> {
    let all = cell.records() as f64;
    check::settle(world.agent()?, |scrape| {
        let off = |name: &&str| scrape.sum(name, &[("topic", topic)]) != Some(all);
        let off = [PRODUCED, CONSUMED, DELIVERED]
            .into_iter()
            .filter(|name| off(name));
        off.map(|name| difference(scrape, name, topic, all))
            .collect()
    })?;
    let Seen {
        time,
        waited,
        worked,
        shown,
        share,
    } = seen;
    let expected = (waited + (time - waited) * shown / *worked as f64) / time;
    if (share - expected).abs() > BOUND {
        bail!("the agent says that it shows {share:.3}, and it is {expected:.3}: {seen:?}");
    }
    Ok(format!(
        "{all} produced, consumed and delivered; share {share:.2}, by messages {expected:.2}"
    ))
}

fn difference(scrape: &Scrape, name: &str, topic: &str, all: f64) -> String {
    let have = scrape.sum(name, &[("topic", topic)]);
    format!("{name} of {topic}: agent {have:?}, truth {all}")
}

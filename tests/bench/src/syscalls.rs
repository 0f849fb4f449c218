//! What the hooks on sockets cost programs that are no Kafka clients. In: a Kafka client over TLS that others may connect to, which keeps the hooks
//! attached while requests are read. Out: CPU time of a system call of this very process, with the agent off, without and with `app`.
//!
//! States come in turn, round by round; the median of the rounds is told, and their spread.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use obi_lab::agent::Settings;
use obi_lab::step::{StopSignal, say};
use rustix::time::{ClockId, clock_gettime};

/// For 10 s after its start the agent looks at every new connection of the node, and for 5 s more at what it found.
const LEARN: Duration = Duration::from_secs(16);
/// Calls of one measurement.
const CALLS: u32 = 100_000;
/// Measurements of which the cheapest counts: others of the machine may come between.
const TRIES: u32 = 5;

const STATES: [(&str, Option<&str>); 3] = [
    ("no agent", None),
    ("app: false", Some("false")),
    ("app: true", Some("true")),
];
const NAMES: [&str; 3] = [
    "getppid",
    "read /dev/zero, write /dev/null",
    "send, receive by TCP",
];

/// Nanoseconds of one call, by name.
type Costs = [f64; NAMES.len()];

pub fn run(settings: &Settings, rounds: u32, stop: &StopSignal) -> Result<String> {
    let mut found: [Vec<Costs>; STATES.len()] = Default::default();
    for round in 0..rounds {
        for ((state, app), costs) in STATES.iter().zip(&mut found) {
            ensure!(!stop.came(), "stopped by a signal");
            let agent = match app {
                Some(app) => {
                    let mut settings = settings.clone();
                    let app = ("OBI_APP_ENABLED".to_owned(), (*app).to_owned());
                    settings.environment.push(app);
                    Some(settings.start()?)
                }
                None => None,
            };
            std::thread::sleep(if agent.is_some() {
                LEARN
            } else {
                Duration::from_secs(1)
            });
            let measured = measure()?;
            say(&format!(
                "{}/{rounds} {state}: {measured:.0?} ns",
                round + 1
            ));
            costs.push(measured);
            agent.map_or(Ok(()), obi_lab::agent::Agent::stop)?;
        }
    }
    Ok(table(&found))
}

fn measure() -> Result<Costs> {
    let (mut zero, mut null) = (File::open("/dev/zero")?, File::create("/dev/null")?);
    let (mut near, mut far) = pair()?;
    let mut byte = [0];
    Ok([
        cheapest(1, || {
            let _ = rustix::process::getppid();
            Ok(())
        })?,
        cheapest(2, || {
            zero.read_exact(&mut byte)?;
            null.write_all(&byte)
        })?,
        cheapest(2, || {
            near.write_all(&byte)?;
            far.read_exact(&mut byte)
        })?,
    ])
}

fn pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    near.set_nodelay(true)?;
    Ok((near, listener.accept()?.0))
}

/// Nanoseconds of this thread a call; `step` makes several.
fn cheapest(calls: u32, mut step: impl FnMut() -> std::io::Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..TRIES {
        let before = cpu();
        for _ in 0..CALLS / calls {
            step().context("a system call failed")?;
        }
        best = best.min((cpu() - before) * 1e9 / f64::from(CALLS));
    }
    Ok(best)
}

/// CPU seconds of this thread.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn table(found: &[Vec<Costs>; STATES.len()]) -> String {
    let mut text = String::from("| ns a system call | no agent |");
    for (state, _) in STATES.iter().skip(1) {
        text += &format!(" {state} | more |");
    }
    text += "\n|---|---:|---:|---:|---:|---:|\n";
    for (at, name) in NAMES.iter().enumerate() {
        let medians = found.each_ref().map(|rounds| {
            let mut of_name: Vec<f64> = rounds.iter().map(|costs| costs[at]).collect();
            of_name.sort_by(f64::total_cmp);
            of_name[of_name.len() / 2]
        });
        text += &format!("| {name} | {:.0} |", medians[0]);
        for median in &medians[1..] {
            let more = median - medians[0];
            text += &format!(" {median:.0} | {more:+.0} ({:.2}x) |", median / medians[0]);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn medians_and_their_ratio_to_no_agent() {
        let rounds = |a: f64| vec![[a, a, 1000.0], [3.0 * a, a, 1000.0], [2.0 * a, a, 1000.0]];
        let text = table(&[rounds(50.0), rounds(50.0), rounds(75.0)]);
        assert_eq!(
            text.lines().nth(2),
            Some("| getppid | 100 | 100 | +0 (1.00x) | 150 | +50 (1.50x) |")
        );
    }
}

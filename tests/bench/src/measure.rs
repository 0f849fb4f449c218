//! One window, one pair of windows. In: a rate. Out: what load, agent and kernel said of it. CPU time is the kernel's own account of
//! each process; what probes cost is in the client's, because they run in its threads.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use obi_lab::agent::{Agent, Settings};
use obi_lab::step::say;

use crate::by_hook::{self, Figures};
use crate::hooks::{self, Hooks};
use crate::load::{Load, Window};

/// Between a change (agent stopped, rate changed) and the window that measures it.
const SETTLE: Duration = Duration::from_secs(2);
/// After the agent's start: for 10 s it looks at every new connection of the node, and for 5 s a topic id waits for its name.
pub const LEARN: Duration = Duration::from_secs(13);

pub struct Bench {
    pub load: Load,
    pub settings: Settings,
    pub window: Duration,
    /// After the agent's start; [`LEARN`] at least.
    pub learn: Duration,
    /// What the agent calls the load.
    pub service: String,
}

#[derive(Clone, Debug)]
pub struct Sample {
    pub window: Window,
    /// CPU seconds of the load.
    pub client: f64,
    pub agent: Option<AgentSample>,
}

#[derive(Clone, Debug)]
pub struct AgentSample {
    pub cpu: f64,
    pub resident_bytes: u64,
    pub ring_bytes: u64,
    pub lost: f64,
    /// Messages that the agent counted in the window, produced and consumed.
    pub counted: f64,
    /// What hooks cost the load in the window.
    pub hooks: Hooks,
}

#[derive(Clone, Debug)]
pub struct Pair {
    pub off: Sample,
    pub on: Sample,
}

impl Sample {
    pub fn messages(&self) -> f64 {
        self.window.messages()
    }

    pub fn client_nanos(&self) -> f64 {
        self.client * 1e9 / self.messages()
    }

    /// Share of one core, in percent.
    pub fn client_percent(&self) -> f64 {
        self.client * 100.0 / self.window.seconds
    }

    pub fn rate(&self) -> f64 {
        self.messages() / self.window.seconds
    }
}

impl AgentSample {
    /// Share of one core, in percent.
    pub fn percent(&self, window: &Window) -> f64 {
        self.cpu * 100.0 / window.seconds
    }
}

impl Pair {
    pub fn line(&self) -> String {
        let Self { off, on } = self;
        let agent = on
            .agent
            .as_ref()
            .map_or(0.0, |agent| agent.cpu * 1e9 / on.messages());
        format!(
            "off {:.0}/s, {:.0} ns, p99 {:.1} ms | on {:.0}/s, {:.0} ns + agent {agent:.0} ns, p99 {:.1} ms",
            off.rate(),
            off.client_nanos(),
            off.window.ack_micros[1] / 1000.0,
            on.rate(),
            on.client_nanos(),
            on.window.ack_micros[1] / 1000.0,
        )
    }
}

impl Bench {
    /// The wanted rate, or the highest below it at which all that is offered is acknowledged.
    pub fn highest_steady_rate(&mut self, wanted: u32) -> Result<u32> {
        let mut rate = wanted;
        loop {
            self.load.rate(i64::from(rate))?;
            // The first windows also warm the broker's compiler.
            std::thread::sleep(SETTLE * 3);
            self.load.window()?;
            std::thread::sleep(self.window);
            let window = self.load.window()?;
            let held = window.acked as f64 >= 0.99 * f64::from(rate) * window.seconds;
            if held && window.ack_micros[1] < 200_000.0 {
                return Ok(rate);
            }
            say(&format!(
                "{rate} messages/s are too many for this machine: {} offered, {} acknowledged in {:.1} s, p99 {:.0} ms",
                window.offered,
                window.acked,
                window.seconds,
                window.ack_micros[1] / 1000.0
            ));
            anyhow::ensure!(rate > 1000, "this machine does not hold 1000 messages/s");
            let held = (window.acked as f64 / window.seconds * 0.9) as u32;
            rate = held.min(rate / 5 * 4).max(1000);
        }
    }

    pub fn pair(&mut self, rate: i64, first_on: bool) -> Result<Pair> {
        if first_on {
            let on = self.on(rate)?;
            Ok(Pair {
                off: self.off(rate)?,
                on,
            })
        } else {
            let off = self.off(rate)?;
            Ok(Pair {
                off,
                on: self.on(rate)?,
            })
        }
    }

    fn off(&mut self, rate: i64) -> Result<Sample> {
        self.sample(rate, None)
    }

    fn on(&mut self, rate: i64) -> Result<Sample> {
        let agent = self.settings.start()?;
        let sample = self.sample(rate, Some(&agent))?;
        agent.stop()?;
        Ok(sample)
    }

    /// What each hook costs while all of them are attached.
    pub fn by_hook(&mut self, rate: i64) -> Result<Figures> {
        let mut settings = self.settings.clone().flag("--overhead-budget", "100");
        settings.flags.push("--cost-by-hook".to_owned());
        let agent = settings.start()?;
        self.load.rate(rate)?;
        std::thread::sleep(self.learn);
        let before = by_hook::ask(&settings.socket())?;
        self.load.window()?;
        std::thread::sleep(self.window);
        let window = self.load.window()?;
        let after = by_hook::ask(&settings.socket())?;
        agent.stop()?;
        Ok(Figures::new(window, &before, after))
    }

    /// The agent's totals so far.
    fn state(&self, agent: &Agent) -> Result<AgentSample> {
        let scrape = agent.scrape()?;
        let sum = |name: &str| scrape.sum(name, &[]).unwrap_or(0.0);
        let load = [("client_id", "load")];
        Ok(AgentSample {
            cpu: cpu_seconds(agent.pid())?,
            resident_bytes: resident_bytes(agent.pid())?,
            ring_bytes: sum("obi_ring_bytes") as u64,
            lost: sum("obi_events_lost_total")
                + sum("obi_stream_gaps_total")
                + sum("obi_undecodable_frames_total"),
            counted: scrape
                .sum("kafka_messages_produced_total", &load)
                .unwrap_or(0.0)
                + scrape
                    .sum("kafka_messages_consumed_total", &load)
                    .unwrap_or(0.0),
            hooks: hooks::of(
                &self.settings.program,
                &self.settings.socket(),
                &self.service,
            )?,
        })
    }

    fn sample(&mut self, rate: i64, agent: Option<&Agent>) -> Result<Sample> {
        self.load.rate(rate)?;
        std::thread::sleep(if agent.is_some() { self.learn } else { SETTLE });
        let before = agent.map(|agent| self.state(agent)).transpose()?;
        let client = cpu_seconds(self.load.pid())?;
        self.load.window()?;
        std::thread::sleep(self.window);
        let window = self.load.window()?;
        let client = cpu_seconds(self.load.pid())? - client;
        let after = agent.map(|agent| self.state(agent)).transpose()?;
        let agent = before.zip(after).map(|(before, after)| AgentSample {
            cpu: after.cpu - before.cpu,
            lost: after.lost - before.lost,
            counted: after.counted - before.counted,
            hooks: after.hooks.since(&before.hooks),
            ..after
        });
        Ok(Sample {
            window,
            client,
            agent,
        })
    }
}

/// User and system time of a process and its ended threads.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = Path::new("/proc").join(pid.to_string()).join("stat");
    let stat = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    ticks(&stat)
        .map(|ticks| ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
        .context("not a line of /proc/PID/stat")
}

/// utime + stime: fields 14 and 15; the name in field 2 may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn resident_bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let fields: BTreeMap<_, _> = status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .collect();
    let kib = fields
        .get("VmRSS")
        .and_then(|text| text.split_whitespace().next())
        .context("no VmRSS")?;
    Ok(kib.parse::<u64>()? * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "12 (a) b (c) S 1 12 12 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 5 0 1 2 3";
        assert_eq!(super::ticks(stat), Some(300));
    }
}

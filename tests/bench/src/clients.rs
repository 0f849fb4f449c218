//! What hooks on calls of client libraries cost, library by library; and that a client of many messages stays within its budget. In: libraries,
//! rates. Out: a line of a markdown table each.

use std::time::Duration;

use anyhow::Result;
use obi_lab::agent::Settings;
use obi_lab::kafka::Cluster;
use obi_lab::layout::Layout;
use obi_lab::step::{StopSignal, say};

use crate::hooks::Hooks;
use crate::load::Load;
use crate::measure::{Bench, Pair, Sample};
use crate::statistics::{Estimate, estimate};

pub const LIBRARIES: [&str; 4] = ["franz", "sarama", "segmentio", "confluent"];
/// Messages a second; 0: as many as go.
const RATES: [i64; 3] = [1000, 50_000, 0];
const PARTITIONS: u32 = 3;
/// The client whose budget is tried, and what it reads of messages.
const BUDGETED: &str = "segmentio";
const BUDGETED_RATE: i64 = 200_000;
const FILL: Duration = Duration::from_secs(10);

pub struct Plan {
    pub libraries: Vec<String>,
    pub rounds: u32,
    pub window: Duration,
    pub stop: StopSignal,
}

/// Each library at each rate.
pub fn run(layout: &Layout, cluster: &Cluster, agent: &Settings, plan: &Plan) -> Result<String> {
    let mut text = String::from(
        "| library | messages/s | client CPU off, ns a message | added | produce p99 off, ms | added | end to end p99 off, ms | added | \
         hooks, ns a message: TLS / batches / each message | hooks, % of a core | of the time attached |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for library in &plan.libraries {
        cluster.admin.create(library, PARTITIONS, 1)?;
        let load = Load::start(layout, cluster, library, &["-library", library])?;
        let mut bench = Bench {
            load,
            settings: agent.clone(),
            window: plan.window,
            service: library.clone(),
        };
        for rate in RATES {
            let rate = match rate {
                0 => 0,
                wanted => i64::from(bench.highest_steady_rate(u32::try_from(wanted)?)?),
            };
            let pairs = crate::rounds(plan.rounds, &plan.stop, |first_on| {
                bench.pair(rate, first_on)
            })?;
            text.push_str(&line(library, &pairs));
        }
        bench.load.end()?;
    }
    Ok(text)
}

/// A client that reads message by message what a topic holds, over and over.
pub fn budget(layout: &Layout, cluster: &Cluster, agent: &Settings, plan: &Plan) -> Result<String> {
    let topic = "budget";
    cluster.admin.create(topic, PARTITIONS, 1)?;
    let mut fill = Load::start(layout, cluster, topic, &["-size", "100"])?;
    fill.rate(0)?;
    std::thread::sleep(FILL);
    let filled = fill.window()?.acked;
    fill.end()?;
    say(&format!("{filled} messages to read over and over"));
    let load = Load::start(layout, cluster, topic, &["-library", BUDGETED, "-again"])?;
    let mut bench = Bench {
        load,
        settings: agent.clone(),
        window: plan.window,
        service: topic.to_owned(),
    };
    let mut text = String::from(
        "| messages/s off | on | client CPU off, ns a message | added | hooks, % of a core: TLS | batches | each message | all | of the time attached |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for rate in [BUDGETED_RATE, 0] {
        let pairs = crate::rounds(plan.rounds, &plan.stop, |first_on| {
            bench.pair(rate, first_on)
        })?;
        let percent = |of: fn(&Hooks) -> f64| {
            mean(&pairs, |pair| {
                hooks(pair).map(|hooks| of(&hooks) * 100.0 / pair.on.window.seconds)
            })
        };
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            mean(&pairs, |pair| Some(pair.off.rate())),
            mean(&pairs, |pair| Some(pair.on.rate())),
            mean(&pairs, |pair| Some(pair.off.client_nanos())),
            added(&pairs, Sample::client_nanos),
            percent(|hooks| hooks.tls),
            percent(|hooks| hooks.batches),
            percent(|hooks| hooks.each_message),
            percent(Hooks::total),
            sampled(&pairs),
        ));
    }
    bench.load.end()?;
    Ok(text)
}

fn line(library: &str, pairs: &[Pair]) -> String {
    let ack = |sample: &Sample| sample.window.ack_micros[1] / 1000.0;
    let end = |sample: &Sample| sample.window.end_micros[1] / 1000.0;
    let each = |of: fn(&Hooks) -> f64| {
        mean(pairs, |pair| {
            Some(of(&hooks(pair)?) * 1e9 / pair.on.messages())
        })
    };
    format!(
        "| {library} | {} | {} | {} | {} | {} | {} | {} | {} / {} / {} | {} | {} |\n",
        mean(pairs, |pair| Some(pair.off.rate())),
        mean(pairs, |pair| Some(pair.off.client_nanos())),
        added(pairs, Sample::client_nanos),
        mean(pairs, |pair| Some(ack(&pair.off))),
        added(pairs, ack),
        mean(pairs, |pair| Some(end(&pair.off))),
        added(pairs, end),
        each(|hooks| hooks.tls),
        each(|hooks| hooks.batches),
        each(|hooks| hooks.each_message),
        mean(pairs, |pair| Some(
            hooks(pair)?.total() * 100.0 / pair.on.window.seconds
        )),
        sampled(pairs),
    )
}

fn hooks(pair: &Pair) -> Option<Hooks> {
    Some(pair.on.agent.as_ref()?.hooks)
}

fn sampled(pairs: &[Pair]) -> String {
    mean(pairs, |pair| Some(hooks(pair)?.sampled? * 100.0))
}

fn mean(pairs: &[Pair], figure: impl Fn(&Pair) -> Option<f64>) -> String {
    let figures: Vec<f64> = pairs.iter().filter_map(figure).collect();
    estimate(&figures).map_or_else(|| "-".to_owned(), |found| number(found.mean))
}

fn added(pairs: &[Pair], figure: impl Fn(&Sample) -> f64) -> String {
    let differences: Vec<f64> = pairs
        .iter()
        .map(|pair| figure(&pair.on) - figure(&pair.off))
        .collect();
    match estimate(&differences) {
        Some(Estimate {
            mean,
            half: Some(half),
        }) => format!("{} ± {}", number(mean), number(half)),
        Some(Estimate { mean, half: None }) => number(mean),
        None => "-".to_owned(),
    }
}

fn number(x: f64) -> String {
    match x.abs() {
        large if large >= 100.0 => format!("{x:.0}"),
        middle if middle >= 10.0 => format!("{x:.1}"),
        _ => format!("{x:.3}"),
    }
}

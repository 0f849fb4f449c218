//! What hooks on calls of client libraries cost, library by library; and that a client of many messages stays within its budget. In: libraries,
//! rates. Out: a line of a markdown table each.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use obi_lab::agent::Settings;
use obi_lab::kafka::Cluster;
use obi_lab::layout::Layout;
use obi_lab::step::{StopSignal, say};

use crate::figures::{added, hooks, mean, sampled};
use crate::hooks::Hooks;
use crate::library::Library;
use crate::load::Load;
use crate::measure::{Bench, LEARN, Sample};
use crate::report::{self, Row};

/// Messages a second; 0: as many as go.
const RATES: [i64; 3] = [1000, 50_000, 0];
const PARTITIONS: u32 = 3;
/// The client whose budget is tried, and what it reads of messages.
const BUDGETED: Library = Library::KafkaGo;
const BUDGETED_RATE: i64 = 200_000;
/// As many as go: hooks on each message find no room there, however long one waits for it.
const SATURATED: Duration = Duration::from_secs(10);
/// Whoever is above the budget for 30 s is read without the bodies of record batches.
const LEARN_BUDGET: Duration = Duration::from_secs(75);
const FILL: Duration = Duration::from_secs(10);

pub struct Plan {
    pub libraries: Vec<Library>,
    pub rounds: u32,
    pub window: Duration,
    pub stop: StopSignal,
    /// Where the page goes.
    pub write: Option<PathBuf>,
}

/// Each library at each rate. What was measured is written whenever a library is done: a failure of the next does not lose it.
pub fn run(layout: &Layout, cluster: &Cluster, agent: &Settings, plan: &Plan) -> Result<String> {
    let mut rows = Vec::new();
    let mut each = Vec::new();
    let mut text = String::new();
    for library in &plan.libraries {
        let name = library.name();
        say(name);
        cluster.admin.create(name, PARTITIONS, 1)?;
        let load = Load::start(layout, cluster, *library, name, &[])?;
        let mut bench = Bench {
            load,
            settings: agent.clone(),
            window: plan.window,
            learn: LEARN,
            service: name.to_owned(),
        };
        for rate in RATES {
            let rate = match rate {
                0 => 0,
                wanted => i64::from(bench.highest_steady_rate(u32::try_from(wanted)?)?),
            };
            let pairs = crate::rounds(plan.rounds, &plan.stop, |first_on| {
                bench.pair(rate, first_on)
            })?;
            rows.push(Row {
                library: *library,
                rate,
                pairs,
            });
        }
        say("each hook by itself");
        let seldom = bench.by_hook(RATES[0])?;
        let often = bench.by_hook(0)?;
        each.push((*library, seldom, often));
        bench.load.end()?;
        text = report::render(layout.root(), &rows, &each);
        if let Some(file) = &plan.write {
            report::write(file, &text)?;
        }
    }
    Ok(text)
}

/// A client that reads message by message what a topic holds, over and over.
pub fn budget(layout: &Layout, cluster: &Cluster, agent: &Settings, plan: &Plan) -> Result<String> {
    let topic = "budget";
    cluster.admin.create(topic, PARTITIONS, 1)?;
    let mut fill = Load::start(layout, cluster, Library::FranzGo, topic, &["-size", "100"])?;
    fill.rate(0)?;
    std::thread::sleep(FILL);
    let filled = fill.window()?.acked;
    fill.end()?;
    say(&format!("{filled} messages to read over and over"));
    let load = Load::start(layout, cluster, BUDGETED, topic, &["-again"])?;
    let mut bench = Bench {
        load,
        settings: agent.clone(),
        window: plan.window,
        learn: LEARN_BUDGET,
        service: topic.to_owned(),
    };
    let mut text = String::from(
        "| messages/s off | on | client CPU off, ns a message | added | hooks, % of a core: TLS | batches | each message | all | of the time attached |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for (rate, window) in [(BUDGETED_RATE, plan.window), (0, SATURATED)] {
        bench.window = window;
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

//! A recording, replayed without privileges, gives the live run's metrics, and the same bytes each time; and nobody's password and no
//! record's value is in it, nor in the agent's log, its control socket or what it sent.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, bail};
use obi_lab::metrics::Scrape;

use crate::cells::Library;
use crate::check::{self, CONSUMED, PRODUCED};
use crate::clients::{Golden, Plan};
use crate::recording::{Recorder, Recording};
use crate::truth::{Did, Truth};
use crate::world::{MARKER, World};

/// Counters that say the same live and replayed: they hold no times.
const COMPARED: [&str; 9] = [
    PRODUCED,
    CONSUMED,
    "kafka_produced_bytes_total",
    "kafka_fetched_bytes_total",
    "kafka_producer_batch_size_sum",
    "kafka_producer_batch_size_count",
    "kafka_fetch_batch_size_sum",
    "kafka_message_size_bytes_sum",
    "kafka_message_size_bytes_count",
];

pub fn run(world: &World) -> Result<String> {
    let agent = world.agent()?;
    let settings = world.settings.as_ref().context("there is no agent")?;
    let folder = world.layout.run().join("replay");
    std::fs::create_dir_all(&folder)?;
    let bare = Recorder::start(&settings.program, &folder.join("bare"), &[])?;
    let whole = Recorder::start(&settings.program, &folder.join("whole"), &["--payload"])?;
    let mut topics = Vec::new();
    for library in [Library::Franz, Library::ConfluentPython] {
        let id = world.fresh("replay");
        world.cluster.admin.create(&id, 3, 1)?;
        let plan = Plan {
            library,
            client_id: id.clone(),
            codec: "none",
            tls: true,
            group: String::new(),
            marker: MARKER.to_owned(),
            intervals: false,
        };
        let mut client = Golden::start(&world.programs, &world.cluster, &folder, &plan)?;
        client.run(&format!("many 10000 {id}"))?;
        client.run(&format!("consume 10000 {id}"))?;
        client.close()?;
        let counts = Truth::read(&client.truth)?.counts(Did::Produced);
        check::settle(agent, |scrape| {
            check::differences(scrape, PRODUCED, Some(&id), &counts)
        })?;
        check::settle(agent, |scrape| {
            check::differences(scrape, CONSUMED, Some(&id), &counts)
        })?;
        topics.push(id);
    }
    let (bare, whole) = (bare.stop()?, whole.stop()?);
    let live = agent.scrape()?;
    let compared = same_metrics(&live, &bare.metrics()?, &topics)?;
    same_metrics(&live, &whole.metrics()?, &topics)?;
    for form in ["json", "metrics"] {
        for recording in [&bare, &whole] {
            if recording.replay(form)? != recording.replay(form)? {
                bail!(
                    "two replays of {} as {form} differ",
                    recording.file.display()
                );
            }
        }
    }
    secrets(world, &bare, &whole)?;
    Ok(format!(
        "{compared} series equal live and replayed; no password, no value anywhere"
    ))
}

/// Series of the topics, name and labels, must have one value in both.
fn same_metrics(live: &Scrape, replayed: &Scrape, topics: &[String]) -> Result<usize> {
    let table = |scrape: &Scrape| {
        let mut table = BTreeMap::new();
        for name in COMPARED {
            for topic in topics {
                let series = scrape
                    .series(name, &[])
                    .filter(|(labels, _)| labels.get("topic") == Some(topic));
                table.extend(
                    series.map(|(labels, value)| (format!("{name}{labels:?}"), value.to_string())),
                );
            }
        }
        table
    };
    let (live, replayed) = (table(live), table(replayed));
    let names = live.keys().chain(replayed.keys());
    let wrong: Vec<_> = names
        .filter(|name| live.get(*name) != replayed.get(*name))
        .map(|name| {
            format!(
                "{name}: live {:?}, replayed {:?}",
                live.get(name),
                replayed.get(name)
            )
        })
        .collect();
    if !wrong.is_empty() || live.is_empty() {
        bail!(
            "{} of {} series differ:\n{}",
            wrong.len(),
            live.len(),
            wrong.join("\n")
        );
    }
    Ok(live.len())
}

fn secrets(world: &World, bare: &Recording, whole: &Recording) -> Result<()> {
    let password = world.cluster.user.password.as_bytes();
    let value = MARKER.as_bytes();
    let settings = world.settings.as_ref().context("there is no agent")?;
    let mut stats = Command::new(&settings.program);
    stats
        .args(["kafka", "stats", "--output", "json", "--socket"])
        .arg(settings.socket());
    let mut places = vec![
        ("the recording", std::fs::read(&bare.file)?),
        ("the agent's log", std::fs::read(world.agent()?.log())?),
        ("obi kafka stats", stats.output()?.stdout),
        ("/metrics", world.agent()?.get("/metrics")?.into_bytes()),
        ("the replay", bare.replay("json")?),
        ("the replay with payload", whole.replay("json")?),
    ];
    // It is made when the first name is kept.
    for entry in std::fs::read_dir(settings.folder.join("state"))
        .into_iter()
        .flatten()
    {
        places.push(("the state directory", std::fs::read(entry?.path())?));
    }
    for (place, bytes) in &places {
        for (what, needle) in [("the password", password), ("a record's value", value)] {
            if holds(bytes, needle) {
                bail!("{place} holds {what}");
            }
        }
    }
    for (what, needle) in [("the password", password), ("a record's value", value)] {
        if world.sink.holds(needle) {
            bail!("what was sent by OTLP holds {what}");
        }
    }
    let payload = std::fs::read(&whole.file)?;
    if holds(&payload, password) {
        bail!("the recording with --payload holds the password");
    }
    if !holds(&payload, value) {
        bail!(
            "the recording with --payload holds no value: the search would find nothing anywhere"
        );
    }
    Ok(())
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

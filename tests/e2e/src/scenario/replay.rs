//! A recording, replayed without privileges, gives the live run's metrics, and the same bytes each time; and nobody's password and no
//! record's value is in it, nor in the agent's log, its control socket or what it sent.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, bail};
use obi_lab::metrics::{Labels, Scrape};

use crate::cells::Library;
use crate::check::{self, CONSUMED, PRODUCED};
use crate::clients::{Golden, Plan};
use crate::recording::{Recorder, Recording};
use crate::truth::{Did, Truth};
use crate::world::{MARKER, World};

/// Two captures of one call differ by microseconds: values that are sums of times, or sorted by them, are not compared. All others are.
const TIMES: [&str; 2] = ["_seconds_sum", "_seconds_bucket"];

/// The recorders are agents of their own: when the budget lets each have its hooks on single messages is theirs.
const OF_HOOKS: [&str; 4] = [
    "kafka_processing_",
    "kafka_messages_delivered_",
    "kafka_consumer_delivered_lag",
    "kafka_consumer_poll_interval_",
];

pub fn run(world: &World) -> Result<String> {
    let agent = world.agent()?;
    let settings = world.settings.as_ref().context("there is no agent")?;
    let folder = world.layout.run().join("replay");
    std::fs::create_dir_all(&folder)?;
    let bare = Recorder::start(&settings.program, &folder.join("bare"), &[])?;
    let whole = Recorder::start(&settings.program, &folder.join("whole"), &["--payload"])?;
    let mut topics = Vec::new();
    let libraries = [Library::Franz, Library::ConfluentPython];
    let before = agent.scrape()?;
    for library in libraries {
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
    let what = Compared {
        topics,
        services: libraries.map(Library::service),
    };
    let then = what.table(&before);
    let mut compared = 0;
    for recording in [&bare, &whole] {
        let replayed = without_zeros(what.table(&recording.metrics()?), &then);
        compared = replayed.len();
        check::settle(agent, |live| {
            differences(&since(what.table(live), &then), &replayed)
        })?;
    }
    if compared < 100 {
        bail!("only {compared} series were compared");
    }
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

/// Series of what this test did: of its topics, and of its services where a series has no topic.
struct Compared {
    topics: Vec<String>,
    services: [&'static str; 2],
}

type Table = BTreeMap<String, f64>;

impl Compared {
    fn table(&self, scrape: &Scrape) -> Table {
        let compared = |name: &&str| {
            name.starts_with("kafka_")
                && !TIMES.iter().any(|time| name.ends_with(time))
                && !OF_HOOKS.iter().any(|of| name.starts_with(of))
        };
        let names: BTreeSet<&str> = scrape.names().filter(compared).collect();
        let is_ours = |labels: &Labels| match labels.get("topic").filter(|topic| !topic.is_empty())
        {
            Some(topic) => self.topics.contains(topic),
            None => labels
                .get("service")
                .is_some_and(|service| self.services.contains(&service.as_str())),
        };
        let mut table = Table::new();
        for name in names {
            let series = scrape
                .series(name, &[])
                .filter(|(labels, _)| is_ours(labels));
            table.extend(series.map(|(labels, value)| (format!("{name}{labels:?}"), value)));
        }
        table
    }
}

/// What was added to each series; those of earlier tests alone are left out.
fn since(mut now: Table, then: &Table) -> Table {
    for (name, value) in &mut now {
        *value -= then.get(name).unwrap_or(&0.0);
    }
    without_zeros(now, then)
}

/// A sum to which only zeros were added since (records of empty fetches) cannot be told from one of earlier tests alone.
fn without_zeros(mut table: Table, then: &Table) -> Table {
    table.retain(|name, value| *value != 0.0 || !then.contains_key(name));
    table
}

fn differences(live: &Table, replayed: &Table) -> Vec<String> {
    let names: BTreeSet<&String> = live.keys().chain(replayed.keys()).collect();
    names
        .into_iter()
        .filter(|name| live.get(*name) != replayed.get(*name))
        .map(|name| {
            let (live, replayed) = (live.get(name), replayed.get(name));
            format!("{name}: live {live:?}, replayed {replayed:?}")
        })
        .collect()
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

//! A running member of a group. In: a plan, commands. Out: answers, and all that its library told since the start. Its lines are kept
//! beside its plan (`CLIENT_ID.events.jsonl`) for whoever looks into a failed run.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use obi_lab::kafka::Cluster;
use obi_lab::process::{Launch, Process};

use super::event::{self, At, Event};
use super::library::Library;
use crate::truth::Place;

/// What a process wrote may be read a little after its end.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The longest that one answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a member is configured with.
#[derive(Clone, Debug)]
pub struct Plan {
    pub library: Library,
    /// Unique in the run: names its files too.
    pub client_id: String,
    /// Empty: it only produces.
    pub group: String,
    pub topics: Vec<String>,
    /// `classic` or `consumer`.
    pub protocol: &'static str,
    /// Empty: the library's own.
    pub assignor: &'static str,
    pub auto_commit: bool,
    pub read_committed: bool,
    pub instance_id: String,
    pub max_poll_interval: Duration,
    pub session_timeout: Duration,
    pub transactional_id: String,
    pub out_topic: String,
    pub out_partitions: u32,
}

impl Plan {
    /// A member of the classic protocol that commits by hand.
    pub fn new(library: Library, client_id: &str, group: &str, topic: &str) -> Self {
        Self {
            library,
            client_id: client_id.to_owned(),
            group: group.to_owned(),
            topics: vec![topic.to_owned()],
            protocol: "classic",
            assignor: "",
            auto_commit: false,
            read_committed: false,
            instance_id: String::new(),
            max_poll_interval: Duration::from_secs(300),
            session_timeout: Duration::from_secs(9),
            transactional_id: String::new(),
            out_topic: String::new(),
            out_partitions: 1,
        }
    }

    pub fn json(&self, cluster: &Cluster) -> serde_json::Value {
        let tls = self.library.tls();
        let bootstrap = cluster.bootstrap(tls);
        serde_json::json!({
            "brokers": bootstrap.split(',').collect::<Vec<_>>(), "tls": tls, "mechanism": cluster.mechanism(self.library.mechanism()),
            "user": cluster.user.name, "password": cluster.user.password, "ca": cluster.certificates.authority,
            "client_id": self.client_id, "group": self.group, "topics": self.topics, "protocol": self.protocol,
            "assignor": self.assignor, "commit": if self.auto_commit { "auto" } else { "manual" },
            "isolation": if self.read_committed { "read_committed" } else { "" }, "instance_id": self.instance_id,
            "max_poll_interval_ms": self.max_poll_interval.as_millis() as u64,
            "session_timeout_ms": self.session_timeout.as_millis() as u64, "transactional_id": self.transactional_id,
            "out_topic": self.out_topic, "out_partitions": self.out_partitions,
        })
    }
}

pub struct Member {
    // The pipe goes first: the end of its input ends the member.
    commands: Option<ChildStdin>,
    events: Arc<Mutex<Vec<Event>>>,
    pub process: Process,
    pub plan: Plan,
    /// Events before the command told last.
    told_at: usize,
}

impl Member {
    pub fn start(launch: Launch, plan: Plan, folder: &Path) -> Result<Self> {
        let mut process = launch.piped().start()?;
        let (commands, stdout) = process.pipes().context("a member has no pipes")?;
        let events = Arc::new(Mutex::new(Vec::new()));
        let kept = folder.join(format!("{}.events.jsonl", plan.client_id));
        read(stdout, Arc::clone(&events), std::fs::File::create(kept)?);
        Ok(Self {
            commands: Some(commands),
            events,
            process,
            plan,
            told_at: 0,
        })
    }

    /// All that it told so far.
    pub fn events(&self) -> Vec<Event> {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn held(&self) -> BTreeSet<Place> {
        event::held(&self.events())
    }

    /// Waits until what it told satisfies `wanted`.
    pub fn wait<T>(
        &mut self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&[Event]) -> Option<T>,
    ) -> Result<T> {
        let began = Instant::now();
        let mut ended: Option<Instant> = None;
        loop {
            if let Some(found) = wanted(&self.events()) {
                return Ok(found);
            }
            if ended.is_none() && self.process.ended()?.is_some() {
                ended = Some(Instant::now());
            }
            let name = &self.plan.client_id;
            let silent = ended.is_some_and(|ended| ended.elapsed() > LAST_WORDS);
            if silent || began.elapsed() > limit {
                bail!(
                    "{name}: {what}: not within {:.0} s; it told {:?}\n{}",
                    began.elapsed().as_secs_f64(),
                    self.events(),
                    self.process.log_tail(20)
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it holds `n` partitions.
    pub fn wait_held(&mut self, n: usize) -> Result<BTreeSet<Place>> {
        self.wait(&format!("{n} partitions"), PATIENCE, |events| {
            Some(event::held(events)).filter(|held| held.len() == n)
        })
    }

    /// Sends a command without waiting for its answer.
    pub fn tell(&mut self, command: &str) -> Result<()> {
        self.told_at = self.events().len();
        let commands = self.commands.as_mut().context("the member was closed")?;
        writeln!(commands, "{command}").with_context(|| self.process.log_tail(20))
    }

    /// Waits for the answer of this command, told last.
    pub fn answer(&mut self, command: &str) -> Result<Event> {
        let word = command.split(' ').next().unwrap_or_default();
        let told_at = self.told_at;
        let answer = self.wait(command, PATIENCE, |events| {
            let new = events.get(told_at..).unwrap_or_default();
            new.iter().find(|event| event.answers(word)).cloned()
        })?;
        if let Event::Error { error, .. } = &answer {
            bail!("{}: `{command}`: {error}", self.plan.client_id);
        }
        Ok(answer)
    }

    pub fn ask(&mut self, command: &str) -> Result<Event> {
        self.tell(command)?;
        self.answer(command)
    }

    /// Hands over `n` records; gives the offsets after them.
    pub fn consume(&mut self, n: u64) -> Result<Vec<At>> {
        match self.ask(&format!("consume {n}"))? {
            Event::Consumed { offsets, .. } => Ok(offsets),
            other => bail!("consume was answered by {other:?}"),
        }
    }

    /// Commits what was handed over; gives the offsets, or Kafka's name of the error.
    pub fn commit(&mut self) -> Result<std::result::Result<Vec<At>, String>> {
        match self.ask("commit")? {
            Event::Committed {
                ok: true, offsets, ..
            } => Ok(Ok(offsets)),
            Event::Committed { error, .. } => Ok(Err(error)),
            other => bail!("commit was answered by {other:?}"),
        }
    }

    /// A transactional command; gives Kafka's name of the error when it failed.
    pub fn transact(&mut self, command: &str) -> Result<std::result::Result<(), String>> {
        match self.ask(command)? {
            Event::Begin(done)
            | Event::Produce(done)
            | Event::SendOffsets(done)
            | Event::End(done) => Ok(if done.ok { Ok(()) } else { Err(done.error) }),
            other => bail!("{command} was answered by {other:?}"),
        }
    }

    /// The same, where it must not fail.
    pub fn must(&mut self, command: &str) -> Result<()> {
        self.transact(command)?
            .map_err(|error| anyhow::anyhow!("{}: {command}: {error}", self.plan.client_id))
    }

    /// Leaves the group and ends.
    pub fn close(&mut self) -> Result<()> {
        self.ask("close")?;
        drop(self.commands.take());
        match self.process.wait(Duration::from_secs(30))? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!(
                "{} ended with {status}\n{}",
                self.plan.client_id,
                self.process.log_tail(20)
            ),
            None => bail!("{} did not end within 30 s", self.plan.client_id),
        }
    }
}

/// Lines as they come; what is no JSON belongs to the library and is only kept.
fn read(stdout: ChildStdout, events: Arc<Mutex<Vec<Event>>>, mut kept: std::fs::File) {
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = writeln!(kept, "{line}");
            if !line.starts_with('{') {
                continue;
            }
            let event = serde_json::from_str(&line).unwrap_or_else(|error| Event::Error {
                command: String::new(),
                error: format!("{error}: {line}"),
            });
            events
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(event);
        }
    });
}

//! What the client model costs when a node's clients read 10,000 partitions in 100 groups: memory, and CPU time of each kind of update.
//!
//! `cargo bench -p kafka-analyzer`. In: facts as the stream thread hands them over, 100 topics of 100 partitions, one member a group; each
//! group has an offset committed in every partition, so that 1,000,000 stand in the table. Out: a table. Facts are made before the clock
//! starts and go with it, as in the agent. Time is that of this thread's CPU; a figure is the median of its rounds.

use std::hint::black_box;
use std::sync::Arc;

use kafka_analyzer::capture::{ConnectionId, Nanos};
use kafka_analyzer::fact::detail::{Commit, CommittedOffset};
use kafka_analyzer::fact::group::Member;
use kafka_analyzer::fact::{Detail, Exchange, Fact, Partition, Says, Topic};
use kafka_analyzer::observation::{Batches, Observation, Origin};
use kafka_analyzer::{Model, Settings};
use kafka_wire::api;
use rustix::time::{ClockId, clock_gettime};

const TOPICS: i32 = 100;
const PARTITIONS: i32 = 100;
const GROUPS: i32 = 100;
const ROUNDS: usize = 9;
/// The agent lets time pass in steps of 50 ms.
const STEPS: usize = 20;
const SECOND: Nanos = 1_000_000_000;
/// Before the first fact: a model does not begin at the start of its machine.
const BEGIN: Nanos = 1000 * SECOND;

struct Bench {
    model: Model,
    out: Vec<Observation>,
    /// Event time.
    now: Nanos,
    /// Offsets rise with it.
    round: i64,
}

fn main() {
    let empty = resident();
    let mut bench = Bench {
        model: Model::new(&Settings::default()),
        out: Vec::new(),
        now: BEGIN,
        round: 0,
    };
    bench.eat(vec![cluster()]);
    bench.fetches();
    let partitions = resident();
    bench.commits();
    let offsets = resident();
    let (updates, all) = (
        f64::from(TOPICS * PARTITIONS),
        f64::from(TOPICS * PARTITIONS * GROUPS),
    );
    println!(
        "{:<64} {:>9}",
        "10,000 partitions x 100 groups = 1,000,000 offsets", ""
    );
    row("memory: a partition, bytes", (partitions - empty) / updates);
    row(
        "memory: a committed offset, bytes",
        (offsets - partitions) / all,
    );
    row(
        "memory: in all, MiB",
        (offsets - empty) / f64::from(1 << 20),
    );

    let fetched = median(|| bench.fetches() / updates);
    row(
        "a fetched partition (high watermark, position, marks), ns",
        fetched,
    );
    let committed = median(|| bench.commits() / all);
    row(
        "a committed offset (commits of 100 partitions), ns",
        committed,
    );

    // What the updates above left to say goes out first.
    bench.seconds(120);
    seconds(
        "nothing new, all of it said again each minute",
        &bench.seconds(180),
    );
    let mut busy = Vec::new();
    for _ in 0..60 {
        bench.fetches();
        busy.extend(bench.seconds(1));
    }
    seconds(
        "every log end moves each second, and every lag with it",
        &busy,
    );
    row(
        "memory after all this: in all, MiB",
        (resident() - empty) / f64::from(1 << 20),
    );
    let lost: u64 = bench.model.losses().iter().map(|(_, n)| n).sum();
    assert_eq!(lost, 0, "the tables hold all of it");
}

fn row(name: &str, figure: f64) {
    println!("{name:<64} {figure:>9.1}");
}

/// What time alone made the model say, as it passes.
struct Step {
    nanos: f64,
    said: usize,
}

fn seconds(name: &str, steps: &[Step]) {
    let count = (steps.len() / STEPS) as f64;
    let nanos: f64 = steps.iter().map(|step| step.nanos).sum();
    let said: usize = steps.iter().map(|step| step.said).sum();
    let most = steps.iter().map(|step| step.said).max().unwrap_or(0);
    let mut sorted: Vec<f64> = steps.iter().map(|step| step.nanos).collect();
    sorted.sort_by(f64::total_cmp);
    println!("as seconds pass: {name}");
    row("    observations a second", said as f64 / count);
    row("    ns an observation", nanos / said.max(1) as f64);
    row("    us a second", nanos / count / 1000.0);
    row("    observations at once, most", most as f64);
    row(
        "    us at once, one in a thousand is longer",
        sorted[sorted.len() * 999 / 1000] / 1000.0,
    );
}

impl Bench {
    /// CPU time for these facts.
    fn eat(&mut self, facts: Vec<Fact>) -> f64 {
        let began = cpu();
        for fact in facts {
            self.model.fact(fact, &mut self.out);
            black_box(&self.out);
            self.out.clear();
        }
        cpu() - began
    }

    /// Every partition is fetched once, by the member of one group.
    fn fetches(&mut self) -> f64 {
        self.round += 1;
        (0..TOPICS)
            .map(|topic| self.eat(vec![fetch(self.now, self.round, topic)]))
            .sum()
    }

    /// Each group commits every partition, a topic in a request.
    fn commits(&mut self) -> f64 {
        self.round += 1;
        let mut nanos = 0.0;
        for group in 0..GROUPS {
            let of = |topic| commit(self.now, self.round, group, topic);
            let facts = (0..TOPICS).map(of).collect();
            nanos += self.eat(facts);
        }
        nanos
    }

    fn seconds(&mut self, count: usize) -> Vec<Step> {
        let step = |_| {
            self.now += SECOND / STEPS as u64;
            let began = cpu();
            self.model.advance(self.now, &mut self.out);
            let said = black_box(&self.out).len();
            self.out.clear();
            Step {
                nanos: cpu() - began,
                said,
            }
        };
        (0..count * STEPS).map(step).collect()
    }
}

fn cluster() -> Fact {
    fact(
        BEGIN,
        0,
        Says::Cluster {
            id: "bench".into(),
            client_id: "member".into(),
            server: Some(server()),
            brokers: vec![server()],
        },
    )
}

fn fetch(now: Nanos, round: i64, topic: i32) -> Fact {
    // Decoders make the name once a message.
    let name = name(topic);
    let at = round * 100;
    let partition = |index| Partition {
        topic: name.clone(),
        index,
        error: None,
        base_offset: None,
        log_append_time: None,
        fetch_offset: Some(at),
        next_offset: Some(at + 100),
        records_end: Some(at + 100),
        high_watermark: Some(at + 100),
        last_stable_offset: Some(at + 100),
        log_start_offset: Some(0),
        sequence: None,
        marks: vec![(at, 1_700_000_000_000 + at)],
        records: 100,
        redelivered: 0,
        batches: Batches::default(),
        samples: Vec::new(),
    };
    let fetched = (0..PARTITIONS).map(partition).collect();
    let exchange = Exchange {
        fetched,
        ..exchange(now, api::FETCH)
    };
    fact(now, 0, Says::Exchange(Box::new(exchange)))
}

fn commit(now: Nanos, round: i64, group: i32, topic: i32) -> Fact {
    let name = name(topic);
    let offset = |partition| CommittedOffset {
        topic: name.clone(),
        partition,
        offset: round * 50,
        error: None,
    };
    let commit = Commit {
        member: Member {
            group: format!("group-{group}").into(),
            member_id: "member".into(),
            instance_id: None,
            epoch: 1,
        },
        transaction: None,
        offsets: (0..PARTITIONS).map(offset).collect(),
    };
    let exchange = Exchange {
        detail: Some(Box::new(Detail::Commit(commit))),
        ..exchange(now, api::OFFSET_COMMIT)
    };
    fact(now, group, Says::Exchange(Box::new(exchange)))
}

fn name(topic: i32) -> Topic {
    Topic::Name(format!("events-of-topic-{topic}").into())
}

fn server() -> std::net::SocketAddr {
    ([10, 0, 0, 1], 9092).into()
}

fn exchange(now: Nanos, api_key: i16) -> Exchange {
    Exchange {
        client_id: Arc::from("member"),
        task: None,
        api_key,
        api_version: 9,
        correlation_id: 1,
        began: now,
        ended: now,
        request_bytes: 100,
        response_bytes: Some(100),
        error: None,
        throttle_ms: None,
        server: Some(server()),
        produced: Vec::new(),
        fetched: Vec::new(),
        replica: false,
        decoded: true,
        acks_all: true,
        transactional_id: None,
        read_committed: false,
        asked: None,
        detail: None,
    }
}

/// Each group's member is a process of its own.
fn fact(now: Nanos, group: i32, says: Says) -> Fact {
    let id = group.unsigned_abs();
    Fact {
        known: now,
        origin: Origin {
            time: now,
            connection: ConnectionId(u64::from(id)),
            offset: 0,
        },
        pid: 1000 + id,
        says,
    }
}

fn median(mut figure: impl FnMut() -> f64) -> f64 {
    let mut figures: Vec<f64> = (0..ROUNDS).map(|_| figure()).collect();
    figures.sort_by(f64::total_cmp);
    figures[ROUNDS / 2]
}

/// CPU time of this thread, ns.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Bytes of this process in memory.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split(' ').nth(1).and_then(|n| n.parse::<u32>().ok());
    f64::from(pages.expect("two numbers")) * rustix::param::page_size() as f64
}

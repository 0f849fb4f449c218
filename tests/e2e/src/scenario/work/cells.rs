//! Which program is tried how. In: nothing. Out: cells, of which `make test` runs one for each library.

use obi_lab::golang::{Older, Symbols};

const RECORDS: usize = 120;
const PAUSE: u64 = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    Newest,
    Stripped,
    /// With client libraries that it can build; stripped, as layouts by DWARF are tried above.
    Go122,
    Go118,
}

impl Build {
    pub fn symbols(self) -> Symbols {
        match self {
            Build::Newest => Symbols::Kept,
            Build::Stripped | Build::Go122 | Build::Go118 => Symbols::Stripped,
        }
    }

    pub fn older(self) -> Option<Older> {
        let older = |toolchain, modfile| Some(Older { toolchain, modfile });
        match self {
            Build::Newest | Build::Stripped => None,
            Build::Go122 => older("go1.22.12", "go122.mod"),
            Build::Go118 => older("go1.18.10", "go118.mod"),
        }
    }
}

/// How exactly the agent can know when work began and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    Message,
    /// Messages of a poll that are not told apart; a poll that gave one gives that one by itself.
    Batch,
    /// The hand-over is bounded only.
    Estimated,
}

/// Whether it is known for which message a record was produced. If a parent is told, it is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sends {
    /// Of each, where the library acknowledges once it was seen to do so.
    Told,
    /// By order, which several tasks may leave open.
    Matched,
    /// Of none: the record goes through a channel.
    Unseen,
}

/// So many messages so fast that the default overhead budget is not enough: hooks on each come in windows. They last two periods of these.
#[derive(Clone, Copy, Debug)]
pub struct Fast {
    pub records: usize,
    /// As [`Cell::pause`].
    pub pause: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub library: &'static str,
    pub build: Build,
    pub pattern: &'static str,
    pub basis: Basis,
    pub sends: Sends,
    /// All run under the default overhead budget. None: it is enough, and each message is told of.
    pub fast: Option<Fast>,
    /// Run by `make test`.
    pub short: bool,
}

/// What the others process.
pub const FEED: Cell = cell("feed", Build::Newest, "feed", Basis::Message);

const fn cell(library: &'static str, build: Build, pattern: &'static str, basis: Basis) -> Cell {
    Cell {
        library,
        build,
        pattern,
        basis,
        sends: Sends::Matched,
        fast: None,
        short: false,
    }
}

impl Cell {
    const fn short(self) -> Cell {
        Cell {
            short: true,
            ..self
        }
    }

    const fn sends(self, sends: Sends) -> Cell {
        Cell { sends, ..self }
    }

    const fn fast(self, records: usize, pause: u64) -> Cell {
        let fast = Some(Fast { records, pause });
        Cell { fast, ..self }
    }

    pub fn id(&self) -> String {
        format!("{}-{}", self.program(), self.pattern)
    }

    pub fn records(&self) -> usize {
        self.fast.map_or(RECORDS, |fast| fast.records)
    }

    /// Microseconds; work takes twice that in the mean.
    pub fn pause(&self) -> u64 {
        self.fast.map_or(PAUSE, |fast| fast.pause)
    }

    pub fn program(&self) -> String {
        format!("{}-{:?}", self.library, self.build).to_lowercase()
    }

    pub fn name(&self) -> String {
        let windows = if self.fast.is_some() { "/windows" } else { "" };
        format!(
            "work/{}/{}/{:?}{windows}",
            self.library, self.pattern, self.build
        )
        .to_lowercase()
    }
}

#[rustfmt::skip]
const CELLS: &[Cell] = &[
    cell("segmentio", Build::Stripped, "simple", Basis::Message),
    cell("segmentio", Build::Newest, "batch", Basis::Message),
    cell("segmentio", Build::Stripped, "pool", Basis::Message).short(),
    cell("segmentio", Build::Newest, "async", Basis::Message),
    cell("segmentio", Build::Newest, "auto", Basis::Message),
    cell("segmentio", Build::Stripped, "retry", Basis::Message).sends(Sends::Told),
    cell("segmentio", Build::Newest, "results", Basis::Message).sends(Sends::Told),
    cell("segmentio", Build::Newest, "relay", Basis::Message),
    cell("segmentio", Build::Newest, "goroutines", Basis::Message),
    cell("segmentio", Build::Newest, "panic", Basis::Message),
    cell("segmentio", Build::Newest, "goexit", Basis::Message),
    cell("segmentio", Build::Newest, "crash", Basis::Message),
    cell("segmentio", Build::Newest, "leave", Basis::Message),
    cell("franz", Build::Stripped, "simple", Basis::Message),
    cell("franz", Build::Newest, "polled", Basis::Batch),
    cell("franz", Build::Stripped, "batch", Basis::Message),
    cell("franz", Build::Newest, "pool", Basis::Message),
    cell("franz", Build::Newest, "async", Basis::Message),
    cell("franz", Build::Stripped, "auto", Basis::Message),
    cell("franz", Build::Newest, "retry", Basis::Message).sends(Sends::Told).short(),
    cell("franz", Build::Newest, "transaction", Basis::Batch).sends(Sends::Told),
    cell("franz", Build::Newest, "results", Basis::Message).sends(Sends::Told),
    cell("franz", Build::Stripped, "relay", Basis::Message).sends(Sends::Told),
    cell("franz", Build::Newest, "goroutines", Basis::Message),
    cell("franz", Build::Newest, "panic", Basis::Message),
    cell("franz", Build::Newest, "goexit", Basis::Message),
    cell("franz", Build::Newest, "crash", Basis::Message),
    cell("franz", Build::Newest, "leave", Basis::Message),
    cell("sarama", Build::Newest, "simple", Basis::Estimated),
    cell("sarama", Build::Newest, "fails", Basis::Estimated).short(),
    cell("sarama", Build::Stripped, "retry", Basis::Estimated).sends(Sends::Told),
    cell("sarama", Build::Stripped, "async", Basis::Estimated),
    cell("sarama", Build::Newest, "pool", Basis::Estimated),
    cell("sarama", Build::Newest, "relay", Basis::Estimated).sends(Sends::Told),
    cell("sarama", Build::Newest, "input", Basis::Estimated).sends(Sends::Unseen),
    cell("confluent", Build::Stripped, "simple", Basis::Message),
    cell("confluent", Build::Newest, "batch", Basis::Message),
    cell("confluent", Build::Newest, "pool", Basis::Message),
    cell("confluent", Build::Newest, "async", Basis::Message).short(),
    cell("confluent", Build::Newest, "auto", Basis::Message),
    cell("confluent", Build::Newest, "channel", Basis::Estimated),
    cell("confluent", Build::Stripped, "retry", Basis::Message).sends(Sends::Told),
    cell("confluent", Build::Newest, "transaction", Basis::Message).sends(Sends::Told),
    cell("confluent", Build::Newest, "poll", Basis::Message),
    cell("confluent", Build::Newest, "results", Basis::Message).sends(Sends::Told),
    cell("confluent", Build::Stripped, "relay", Basis::Message).sends(Sends::Told),
    cell("confluent", Build::Newest, "goroutines", Basis::Message),
    cell("confluent", Build::Newest, "panic", Basis::Message),
    cell("confluent", Build::Newest, "goexit", Basis::Message),
    cell("confluent", Build::Newest, "crash", Basis::Message),
    cell("confluent", Build::Newest, "leave", Basis::Message),
    cell("python", Build::Newest, "simple", Basis::Message).short(),
    cell("python", Build::Newest, "polled", Basis::Batch),
    cell("python", Build::Newest, "async", Basis::Message),
    cell("python", Build::Newest, "auto", Basis::Message),
    cell("python", Build::Newest, "pool", Basis::Message),
    cell("python", Build::Newest, "retry", Basis::Message).sends(Sends::Told),
    cell("python", Build::Newest, "results", Basis::Message).sends(Sends::Told),
    cell("python-2.0", Build::Newest, "retry", Basis::Message),
    cell("python-2.0", Build::Newest, "simple", Basis::Message),
    cell("python-2.0", Build::Newest, "polled", Basis::Batch),
    cell("c", Build::Newest, "simple", Basis::Message),
    cell("c", Build::Newest, "polled", Basis::Batch),
    cell("c", Build::Newest, "auto", Basis::Message),
    cell("c", Build::Newest, "events", Basis::Message).sends(Sends::Told).short(),
    cell("c", Build::Newest, "transaction", Basis::Message).sends(Sends::Told),
    cell("c", Build::Newest, "callback", Basis::Message),
    cell("c", Build::Newest, "consume_cb", Basis::Message).short(),
    cell("segmentio", Build::Stripped, "async", Basis::Message).fast(28_000, 500),
    cell("franz", Build::Stripped, "pool", Basis::Message).fast(60_000, 800),
    cell("confluent", Build::Stripped, "async", Basis::Message).fast(60_000, 150),
    cell("python", Build::Newest, "async", Basis::Message).fast(60_000, 150),
    cell("c", Build::Newest, "auto", Basis::Message).fast(60_000, 150),
    cell("segmentio", Build::Go122, "retry", Basis::Message).sends(Sends::Told),
    cell("segmentio", Build::Go118, "retry", Basis::Message).sends(Sends::Told),
    cell("franz", Build::Go122, "retry", Basis::Message).sends(Sends::Told),
    cell("franz", Build::Go118, "retry", Basis::Message).sends(Sends::Told),
    cell("sarama", Build::Go122, "retry", Basis::Estimated).sends(Sends::Told),
    cell("sarama", Build::Go118, "retry", Basis::Estimated).sends(Sends::Told),
    cell("confluent", Build::Go122, "retry", Basis::Message).sends(Sends::Told),
    cell("confluent", Build::Go118, "retry", Basis::Message).sends(Sends::Told),
    cell("confluent", Build::Go118, "relay", Basis::Message).sends(Sends::Told),
];

pub fn chosen(full: bool) -> Vec<Cell> {
    let chosen = CELLS.iter().filter(|cell| full || cell.short);
    chosen.copied().collect()
}

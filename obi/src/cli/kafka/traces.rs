//! `obi kafka traces`: each trace as a waterfall, the newest first; or `obi.traces/1`.

mod draw;
mod tree;

use std::cell::Cell;
use std::collections::HashSet;

use kafka_analyzer::trace::key::hashed;

use super::screen;
use super::view::{View, names};
use crate::cli::Output;
use crate::cli::exit::{Exit, Failure};
use crate::export::filter::Names;
use crate::store::traces::cut;
use crate::store::traces::report::{Keys, Makes, Span, Trace, Traces};
use draw::{Glyphs, Look};

/// Traces drawn, unless another number is asked for.
const SHOWN: usize = 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    view: View,
    /// Those that took longest first
    #[arg(long)]
    slowest: bool,
    /// Only traces in which something failed
    #[arg(long)]
    errors: bool,
    /// Only traces with messages of this topic; may be repeated
    #[arg(long, value_name = "GLOB")]
    topic: Vec<String>,
    /// Only traces with messages of this key; where keys are hashed, it is hashed too
    #[arg(long)]
    key: Option<String>,
    /// Only traces in which this service has a span; may be repeated
    #[arg(long, value_name = "GLOB")]
    service: Vec<String>,
    /// This trace alone, with all that is known; the beginning of its id is enough
    #[arg(long, value_name = "ID", conflicts_with_all = ["slowest", "errors"])]
    trace: Option<String>,
    /// So many traces at most; 0 is all of them [default: 20; with json: all]
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<usize>,
    /// Draw traces that do nothing but link to others (polls of batches, commits) by themselves, too
    #[arg(long)]
    all: bool,
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let wanted = Wanted::new(&args)?;
    let known = Cell::new(0);
    args.view.show(
        "kafka_traces",
        |answer: &mut Traces| {
            known.set(answer.traces.len());
            pick(answer, &wanted, &args);
        },
        |answer| Ok(render(answer, known.get(), &args, &look(&args))),
    )
}

/// How it is drawn on what stdout is.
fn look(args: &Args) -> Look {
    let env = |name: &str| std::env::var(name).ok();
    Look {
        columns: screen::size().map(|(_, columns)| columns),
        glyphs: Glyphs::of(env),
        details: args.trace.is_some(),
    }
}

struct Wanted {
    topics: Names,
    services: Names,
    trace: Option<String>,
}

impl Wanted {
    fn new(args: &Args) -> anyhow::Result<Wanted> {
        let trace = args.trace.as_ref().map(|id| id.to_ascii_lowercase());
        if let Some(id) = &trace
            && (id.is_empty() || id.len() > 32 || !id.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            let message = format!("`{id}` is not a trace id");
            let hint = "a trace id has 32 hex digits; the first few are enough";
            return Err(Failure::new(Exit::Usage, message).hint(hint).into());
        }
        Ok(Wanted {
            topics: names(&args.topic)?,
            services: names(&args.service)?,
            trace,
        })
    }
}

/// Leaves what is asked for, in the order that is asked for.
fn pick(answer: &mut Traces, wanted: &Wanted, args: &Args) {
    let key = args.key.as_deref().map(|key| match answer.makes.keys {
        // Whoever has the hash may ask by it.
        Keys::Hash if !key.starts_with("hash:") => hashed(key.as_bytes()),
        _ => cut(key),
    });
    let of_topic = |span: &Span| {
        let topic = span.topic.as_deref();
        topic.is_some_and(|topic| wanted.topics.lets(topic))
    };
    answer.traces.retain(|trace| {
        let any = |fits: &dyn Fn(&Span) -> bool| trace.spans.iter().any(fits);
        let id = wanted.trace.as_ref();
        id.is_none_or(|id| trace.trace_id.starts_with(id))
            && (trace.failed || !args.errors)
            && (args.topic.is_empty() || any(&of_topic))
            && (key.is_none() || any(&|span| span.key == key))
            && any(&|span| wanted.services.lets(&span.service))
    });
    if args.slowest {
        let longest_first = |a: &Trace, b: &Trace| b.duration_ms.total_cmp(&a.duration_ms);
        answer.traces.sort_by(longest_first);
    }
    if let (Output::Json, Some(limit)) = (args.view.output, args.limit.filter(|n| *n > 0)) {
        answer.traces.truncate(limit);
    }
}

fn render(answer: &Traces, known: usize, args: &Args, look: &Look) -> String {
    let makes = &answer.makes;
    if answer.traces.is_empty() {
        return nothing(makes, known, args);
    }
    // Asked for by something that such a trace may have itself, it is shown.
    let plain = !(args.all || args.slowest || args.errors || args.trace.is_some());
    let folded: HashSet<&str> = if plain {
        followers(&answer.traces)
    } else {
        HashSet::new()
    };
    let limit = match args.limit {
        Some(0) => usize::MAX,
        limit => limit.unwrap_or(SHOWN),
    };
    let shown: Vec<&Trace> = answer
        .traces
        .iter()
        .filter(|trace| !folded.contains(trace.trace_id.as_str()))
        .take(limit)
        .collect();
    let mut out = draw::draw(&shown, look);
    out.push_str(&format!("\n{} of {known} traces", shown.len()));
    if !folded.is_empty() {
        let n = folded.len();
        out.push_str(&format!("; {n} that only link to others: --all"));
    }
    out.push_str(&format!(
        "; START and TIME: ms; spans of {} messages/s at most\n",
        makes.spans_per_second
    ));
    out
}

/// Traces whose roots all link to another trace of these, and have no children: they stand beside what they link to.
fn followers(traces: &[Trace]) -> HashSet<&str> {
    let links = |span: &Span| span.links.iter().any(|link| link.name.is_some());
    let follows = |trace: &&Trace| trace.spans.iter().all(links);
    let all = traces.iter().filter(follows);
    let all: HashSet<&str> = all.map(|trace| trace.trace_id.as_str()).collect();
    let leads = |trace: &&Trace| !all.contains(trace.trace_id.as_str());
    let leaders: HashSet<&str> = traces
        .iter()
        .filter(leads)
        .map(|trace| trace.trace_id.as_str())
        .collect();
    let beside_leader = |trace: &&Trace| {
        let links = trace.spans.iter().flat_map(|span| &span.links);
        links
            .into_iter()
            .any(|link| leaders.contains(link.trace_id.as_str()))
    };
    let found = traces.iter().filter(follows).filter(beside_leader);
    found.map(|trace| trace.trace_id.as_str()).collect()
}

/// Why there is no trace, and what would make one.
fn nothing(makes: &Makes, known: usize, args: &Args) -> String {
    let mut out = "no trace to show\n".to_owned();
    let mut say = |text: &str| out.push_str(&format!("{text}\n"));
    let reads = makes.read_records;
    if args.key.is_some() && !reads {
        say("keys are not read: instrumentation.kafka.read_records is false");
    } else if args.key.is_some() && makes.keys == Keys::None {
        say("keys are not kept: instrumentation.kafka.capture_key is false");
    }
    if known > 0 {
        say(&format!("none of {known} traces is what was asked for"));
        return out;
    }
    if !makes.kafka {
        say("nothing is watched: instrumentation.kafka.enabled is false");
    } else if makes.spans_per_second == 0 {
        say("no span is made: instrumentation.kafka.spans_per_second is 0");
    } else {
        if reads {
            say("a trace begins when a Kafka client of this node sends or gets a record");
        } else {
            say("records have no spans: instrumentation.kafka.read_records is false");
        }
        if reads && !makes.client_hooks {
            say("what applications do with records needs instrumentation.kafka.client_hooks: true");
        }
        if !makes.app {
            say(
                "their HTTP requests and PostgreSQL statements need instrumentation.app.enabled: true",
            );
        }
    }
    out
}

#[cfg(test)]
mod tests;

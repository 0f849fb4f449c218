//! Whole traces by value: what was done for a message hangs under its `process T`, or under nothing.

mod conversation;

use conversation::calls::*;
use conversation::database::{insert, session};
use conversation::*;
use kafka_analyzer::Settings;
use kafka_analyzer::capture::{Means, Nanos, Task};
use kafka_analyzer::observation::{Observation, Query, Span, SpanKind};

/// Goroutine 7 asks for messages; it, or others, ask the database.
struct Program {
    calls: Calls,
    database: Talk,
    more: Vec<Captured>,
}

impl Program {
    fn new() -> Program {
        Program {
            calls: Calls::default(),
            database: session(3),
            more: Vec::new(),
        }
    }

    /// A goroutine asks the database, in 3 µs.
    fn inserts(&mut self, goroutine: u64) {
        self.database.goroutine = Some(goroutine);
        self.database.clock = self.calls.clock + 1000;
        insert(&mut self.database);
        self.calls.clock = self.database.clock;
    }

    fn commits(&mut self, offset: i64) {
        let time = self.calls.clock + 1000;
        // A connection of its own.
        let connection = 10 + offset as u64;
        self.more.extend(commits_over(connection, offset, time));
        self.calls.clock += 100_000;
    }

    fn run(self) -> Vec<Observation> {
        let (said, losses) = self.run_lossy();
        assert_eq!(losses, [], "nothing is lost");
        said
    }

    fn run_lossy(self) -> (Vec<Observation>, Vec<(&'static str, u64)>) {
        let mut events = consumer();
        events.extend(self.calls.events);
        events.extend(self.database.events);
        events.extend(self.more);
        events.sort_by_key(time_of);
        let (said, losses) = told(&events);
        let shards = run_with(&Settings::default(), &events, 3).0;
        assert_eq!(family(&shards), family(&said), "shards say the same");
        (said, losses)
    }
}

fn queries(said: &[Observation]) -> Vec<&Query> {
    let queries = said.iter().filter_map(|observation| match observation {
        Observation::Query(query) => Some(query),
        _ => None,
    });
    queries.collect()
}

/// When it began, trace, span and parent.
type Member = (Nanos, [u8; 16], [u8; 8], Option<[u8; 8]>);

/// All that have a parent or may be one, sorted.
fn family(said: &[Observation]) -> Vec<Member> {
    let mut all: Vec<_> = said
        .iter()
        .filter_map(|observation| match observation {
            Observation::Span(x) => Some((x.began, x.trace_id, x.span_id, x.parent)),
            Observation::Query(x) => Some((x.began, x.ids.trace_id, x.ids.span_id, x.ids.parent)),
            _ => None,
        })
        .collect();
    all.sort_unstable();
    all
}

fn processed(said: &[Observation]) -> Vec<&Span> {
    spans(said, SpanKind::Process)
}

fn is_child(query: &Query, of: &Span) -> bool {
    (query.ids.trace_id, query.ids.parent) == (of.trace_id, Some(of.span_id))
}

#[test]
fn what_a_task_asks_the_database_it_asks_for_its_message() {
    let mut program = Program::new();
    for offset in 0..2 {
        program.calls.polls(offset, offset);
        program.inserts(7);
        program.calls.of(Means::Settles, offset, offset);
    }
    program.inserts(7);
    program.inserts(8);
    program.calls.says(Means::Asks);
    let said = program.run();
    let (works, asked) = (processed(&said), queries(&said));
    let ([first, second], [one, two, late, other]) = (&works[..], &asked[..]) else {
        panic!("{works:?} {asked:?}");
    };
    assert!(is_child(one, first) && is_child(two, second));
    assert_eq!((late.ids.parent, other.ids.parent), (None, None));
    assert_ne!(first.span_id, second.span_id);
}

#[test]
fn two_deliveries_of_a_message_are_two_spans() {
    let mut program = Program::new();
    for _ in 0..2 {
        program.calls.polls(5, 5);
        program.inserts(7);
        program.calls.of(Means::Settles, 5, 5);
    }
    program.calls.says(Means::Asks);
    let said = program.run();
    let (works, asked) = (processed(&said), queries(&said));
    assert_eq!(works[0].trace_id, works[1].trace_id);
    assert_ne!(works[0].span_id, works[1].span_id);
    assert!(is_child(asked[0], works[0]) && is_child(asked[1], works[1]));
}

#[test]
fn a_batch_that_is_not_told_apart_is_the_parent_itself() {
    let mut program = Program::new();
    program.calls.polls(0, 9);
    program.inserts(7);
    program.inserts(7);
    program.calls.says(Means::SettlesAll);
    program.calls.says(Means::Asks);
    let said = program.run();
    let [batch] = processed(&said)[..] else {
        panic!("one");
    };
    assert_eq!(batch.message_count, Some(10));
    let asked = queries(&said);
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|query| is_child(query, batch)));
}

#[test]
fn a_batch_whose_messages_are_named_in_order_is_told_apart() {
    let mut program = Program::new();
    program.calls.polls(0, 2);
    for offset in 0..3 {
        program.inserts(7);
        program.calls.of(Means::Settles, offset, offset);
    }
    program.calls.says(Means::Asks);
    let said = program.run();
    let (works, asked) = (processed(&said), queries(&said));
    assert_eq!((works.len(), asked.len()), (3, 3));
    for (query, work) in asked.iter().zip(works) {
        assert!(is_child(query, work));
    }
}

#[test]
fn messages_of_several_partitions_that_end_together_have_no_children() {
    let mut program = Program::new();
    program.calls.says(Means::Asks);
    program.calls.of(Means::HandsOver, 0, 0);
    let Some(Captured::Call(first)) = program.calls.events.last_mut() else {
        panic!("a call");
    };
    first.complete = false;
    let mut second = first.clone();
    (second.partition, second.complete) = (1, true);
    program.calls.push(second);
    program.inserts(7);
    program.calls.says(Means::SettlesAll);
    program.calls.says(Means::Asks);
    let (said, losses) = program.run_lossy();
    assert_eq!(processed(&said).len(), 2);
    assert_eq!(queries(&said)[0].ids.parent, None);
    assert_eq!(losses, [("cause_ambiguous", 1)]);
}

#[test]
fn a_pool_is_known_by_what_its_workers_name() {
    let mut program = Program::new();
    let calls = &mut program.calls;
    for offset in 0..4 {
        calls.polls(offset, offset);
    }
    calls.says(Means::Asks);
    // Two workers take turns; what one asks after its last word is nobody's.
    for (worker, offset) in [(20, 0), (21, 1), (20, 2), (21, 3)] {
        program.inserts(worker);
        program.calls.by(worker).of(Means::Settles, offset, offset);
    }
    program.inserts(20);
    let said = program.run();
    let works = processed(&said);
    let asked = queries(&said);
    assert_eq!((works.len(), asked.len()), (4, 5));
    for work in works {
        let own: Vec<_> = asked.iter().filter(|query| is_child(query, work)).collect();
        assert_eq!(own.len(), 1, "{:?}", work.offset);
        let order = asked.iter().position(|query| is_child(query, work));
        assert_eq!(order, work.offset.map(|offset| offset as usize));
    }
    assert_eq!(asked[4].ids.parent, None);
}

#[test]
fn who_offers_messages_works_on_none() {
    let mut program = Program::new();
    let calls = &mut program.calls;
    calls.by(30).of(Means::HandsOver, 0, 3);
    for offset in 0..4 {
        program.inserts(31);
        program.inserts(30);
        program.calls.by(31).of(Means::Settles, offset, offset);
    }
    let said = program.run();
    let (works, asked) = (processed(&said), queries(&said));
    assert_eq!((works.len(), asked.len()), (4, 8));
    for query in &asked {
        let expected = query.task == Some(Task::Goroutine(31));
        let found = works.iter().filter(|work| is_child(query, work)).count();
        assert_eq!(found, usize::from(expected));
    }
}

#[test]
fn a_commit_that_its_caller_waits_for_is_its_messages() {
    let mut program = Program::new();
    program.calls.polls(5, 5);
    program.calls.of(Means::Settles, 5, 5);
    program.commits(6);
    // In the background, once the task has asked again.
    program.calls.polls(6, 6);
    program.calls.of(Means::Settles, 6, 6);
    program.calls.says(Means::Asks);
    program.commits(7);
    let said = program.run();
    let [work, _] = processed(&said)[..] else {
        panic!("two");
    };
    let [waited, background] = spans(&said, SpanKind::Commit)[..] else {
        panic!("two");
    };
    assert_eq!(
        (waited.trace_id, waited.parent),
        (work.trace_id, Some(work.span_id))
    );
    assert_eq!(background.parent, None);
    assert_eq!(waited.links.len(), 1);
}

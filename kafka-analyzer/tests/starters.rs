//! Whose message a goroutine works on that a reader of messages started, by value: what it sends stands under the right message, or under none.

mod conversation;

use std::collections::BTreeMap;

use conversation::calls::*;
use conversation::messages::{Named, produce_request, produce_response};
use conversation::*;
use kafka_analyzer::capture::{Means, Nanos};
use kafka_analyzer::observation::{Observation, Signal, SpanKind};
use kafka_analyzer::{Merge, Model, Settings, StreamStage};
use kafka_protocol::records::Compression;

const AUDIT: Named = Named::Name("audit");
const READER: u64 = 7;

/// Goroutine 7 asks for messages; those that it started send records, whose places the library tells or not.
struct Program {
    calls: Calls,
    broker: Talk,
    sent: i64,
    tells: bool,
}

impl Program {
    fn new() -> Program {
        let mut broker = Talk::new(4);
        broker.greet();
        Program {
            calls: Calls::default(),
            broker,
            sent: 0,
            tells: true,
        }
    }

    fn polls(&mut self, first: i64, last: i64) {
        self.calls.by(READER).polls(first, last);
    }

    fn settles(&mut self, goroutine: u64, first: i64, last: i64) {
        self.calls.by(goroutine).of(Means::Settles, first, last);
    }

    fn sends(&mut self, goroutine: u64, starter: Option<u64>) {
        self.sends_to("audit", goroutine, starter);
    }

    fn sends_to(&mut self, topic: &'static str, goroutine: u64, starter: Option<u64>) {
        let address = 0xa000 + self.sent as u64;
        let record = record(0, "key", "value");
        let mut call = self.calls.by(goroutine).call(Means::Produces);
        (call.topic, call.message, call.count) = (topic.into(), address, 1);
        (call.key_len, call.value_len) = (Some(3), Some(5));
        call.parent = starter;
        self.calls.push(call);
        if topic != "audit" {
            return;
        }
        self.broker.clock = self.calls.clock;
        let request = produce_request(-1, &[(AUDIT, &[(0, batch(&[record], Compression::None))])]);
        let answer = produce_response(&[(AUDIT, &[(0, 0, self.sent)])]);
        self.broker
            .exchange(0, 9, 20 + self.sent as i32, &request, &answer);
        self.calls.clock = self.broker.clock;
        if self.tells {
            let orders = std::mem::replace(&mut self.calls.topic, "audit");
            self.calls.at(Means::Acknowledged, self.sent, address);
            self.calls.topic = orders;
        }
        self.sent += 1;
    }

    fn waits(&mut self, nanos: Nanos) {
        self.calls.works(nanos);
    }

    fn events(self) -> Vec<Captured> {
        let mut events = with(self.calls);
        events.extend(self.broker.events);
        events.sort_by_key(time_of);
        events
    }

    /// The messages under which the program's records were sent, in order.
    fn parents(self) -> Vec<Option<i64>> {
        let events = self.events();
        let said = told(&events).0;
        let shards = run_with(&Settings::default(), &events, 3).0;
        assert_eq!(parents(&shards), parents(&said), "shards say the same");
        parents(&said)
    }
}

/// Of a batch that of its first message.
fn parents(said: &[Observation]) -> Vec<Option<i64>> {
    let works = spans(said, SpanKind::Process).into_iter().map(|work| {
        let first = work.links.iter().map(|link| link.offset).min();
        ((work.trace_id, work.span_id), first.unwrap())
    });
    let works: BTreeMap<_, _> = works.collect();
    let mut sent = spans(said, SpanKind::Send);
    sent.retain(|span| span.topic.as_ref() == "audit");
    sent.sort_by_key(|span| span.offset);
    let parents = sent
        .iter()
        .map(|span| span.parent.map(|parent| works[&(span.trace_id, parent)]));
    parents.collect()
}

#[test]
fn workers_of_a_pool_send_for_what_they_name() {
    let mut program = Program::new();
    for offset in 0..5 {
        program.polls(offset, offset);
    }
    // The reader has 4 in hand, for which nobody is free.
    for (worker, offset) in [(23, 3), (20, 0), (22, 2), (21, 1)] {
        program.sends(worker, Some(READER));
        program.waits(MILLISECOND);
        program.settles(worker, offset, offset);
    }
    program.polls(5, 5);
    program.polls(6, 6);
    program.sends(20, Some(READER));
    program.sends(21, Some(READER));
    program.settles(21, 5, 5);
    program.settles(20, 4, 4);
    let expected = [3, 0, 2, 1, 4, 5].map(Some);
    assert_eq!(program.parents(), expected);
}

#[test]
fn what_is_known_to_be_sent_after_the_end_of_its_work_is_under_it() {
    let mut program = Program::new();
    program.tells = false;
    // Matches by order hold half a second later.
    for offset in 0..2 {
        program.polls(offset, offset);
    }
    program.sends(20, Some(READER));
    program.settles(20, 0, 0);
    program.waits(MILLISECOND);
    program.sends(20, Some(READER));
    program.settles(20, 1, 1);
    program.calls.by(READER).says(Means::Asks);
    assert_eq!(program.parents(), [Some(0), Some(1)]);
}

#[test]
fn workers_that_name_nothing_send_for_nobody() {
    // The library commits by itself.
    let mut program = Program::new();
    for offset in 0..40 {
        program.polls(offset, offset);
        // Each of the pool is a little behind; some send for the first time late.
        if offset > 2 {
            program.sends(20 + offset as u64 % 16, Some(READER));
        }
        program.waits(SECOND / 2);
    }
    program.calls.by(READER).says(Means::Asks);
    program.sends(20, Some(READER));
    assert_eq!(program.parents(), [None; 38]);

    // The reader names what comes back.
    let mut program = Program::new();
    for offset in 0..40 {
        program.polls(offset, offset);
        if offset > 2 {
            program.sends(20 + offset as u64 % 4, Some(READER));
            program.settles(READER, offset - 3, offset - 3);
        }
    }
    program.calls.by(READER).says(Means::Asks);
    assert_eq!(program.parents(), [None; 37]);
}

/// A reader that waits for the goroutines that it starts, and then names what it had got: all rounds but the last.
fn thorough(program: &mut Program) {
    for round in 0..2 {
        program.polls(round, round);
        program.sends(20 + round as u64, Some(READER));
        program.settles(READER, round, round);
    }
    program.polls(2, 2);
}

#[test]
fn a_goroutine_whose_starter_waits_for_it_sends_for_its_message() {
    let mut program = Program::new();
    thorough(&mut program);
    program.sends(30, Some(READER));
    program.settles(READER, 2, 2);
    // Also for a batch that is named at once, but for none of those that are told apart.
    program.polls(3, 5);
    program.sends(31, Some(READER));
    program.sends(32, Some(READER));
    program.settles(READER, 3, 5);
    program.polls(6, 8);
    program.sends(33, Some(READER));
    for offset in 6..9 {
        program.settles(READER, offset, offset);
    }
    program.calls.by(READER).says(Means::Asks);
    // At first nobody knows how it works.
    let first = [None, None];
    let expected = [Some(2), Some(3), Some(3), None];
    assert_eq!(program.parents(), [&first[..], &expected].concat());
}

#[test]
fn a_goroutine_that_outlives_its_message_sends_for_nobody() {
    let mut program = Program::new();
    thorough(&mut program);
    program.sends(30, Some(READER));
    program.settles(READER, 2, 2);
    program.polls(3, 3);
    program.sends(30, Some(READER));
    // Nor do others from here on.
    program.sends(31, Some(READER));
    program.settles(READER, 3, 3);
    program.calls.by(READER).says(Means::Asks);
    let expected = [None, None, Some(2), None, None];
    assert_eq!(program.parents(), expected);

    // Seen while the reader has nothing.
    let mut program = Program::new();
    thorough(&mut program);
    program.settles(READER, 2, 2);
    program.sends(30, Some(READER));
    program.polls(3, 3);
    program.sends(31, Some(READER));
    program.settles(READER, 3, 3);
    program.calls.by(READER).says(Means::Asks);
    assert_eq!(program.parents(), [None; 4]);
}

#[test]
fn a_goroutine_that_names_its_message_sends_for_it() {
    let mut program = Program::new();
    for offset in 0..6 {
        program.polls(offset, offset);
        let own = 20 + offset as u64;
        program.sends(own, Some(READER));
        // Two are at work at a time.
        if offset > 0 {
            program.settles(own - 1, offset - 1, offset - 1);
        }
    }
    program.settles(25, 5, 5);
    let expected = [0, 1, 2, 3, 4, 5].map(Some);
    assert_eq!(program.parents(), expected);
}

#[test]
fn a_dead_letter_of_a_worker_is_of_the_message_that_it_names() {
    let mut program = Program::new();
    program.polls(0, 0);
    program.polls(1, 1);
    program.sends_to("orders.dlq", 20, Some(READER));
    program.settles(20, 0, 0);
    program.polls(2, 2);
    program.sends_to("orders.dlq", 21, Some(READER));
    program.settles(21, 1, 1);
    let said = told(&program.events()).0;
    assert_eq!(
        wrong(&said),
        [(Signal::DeadLetter, 0, 1), (Signal::DeadLetter, 1, 1)]
    );
    // Of who names nothing it is known where its starter waits for it.
    let mut program = Program::new();
    thorough(&mut program);
    program.sends_to("orders.dlq", 30, Some(READER));
    program.settles(READER, 2, 2);
    let said = told(&program.events()).0;
    assert_eq!(wrong(&said), [(Signal::DeadLetter, 2, 1)]);
}

/// Spans that wait for their parents a second after the end.
fn waiting(events: &[Captured]) -> usize {
    let settings = Settings::default();
    let (mut stage, mut merge) = (StreamStage::new(&settings), Merge::new(1));
    let mut model = Model::new(&settings);
    let (mut facts, mut verdicts, mut ready, mut said) = Default::default();
    for event in events {
        stage.event(&event.event(), &mut facts, &mut verdicts);
        merge.push(0, &mut facts, stage.clock());
    }
    merge.finish(&mut ready);
    for fact in ready.drain(..) {
        model.fact(fact, &mut said);
    }
    let end = events.last().map_or(0, time_of) + SECOND;
    model.advance(end, &mut said);
    let causes = model
        .tables()
        .into_iter()
        .find(|(name, ..)| *name == "causes");
    causes.unwrap().1
}

#[test]
fn nothing_waits_for_a_process_that_is_no_more() {
    let mut program = Program::new();
    program.polls(0, 0);
    program.polls(1, 1);
    program.sends(20, Some(READER));
    let mut events = program.events();
    assert_eq!(waiting(&events), 1, "for what it names");
    let time = events.last().map(time_of).unwrap() + MILLISECOND;
    events.push(Captured::Exited { pid: PID, time });
    assert_eq!(waiting(&events), 0);
    assert_eq!(parents(&told(&events).0), [None]);
}

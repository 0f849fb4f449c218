//! What shows that a message went wrong, and of which message it is held: the one that its worker had, not the one that was offered last.

mod conversation;

use conversation::calls::*;
use conversation::transactions::Producing;
use kafka_analyzer::capture::Means;
use kafka_analyzer::observation::{Observation, Signal};

fn sends_on(calls: &mut Calls, topic: &str) {
    let mut produces = calls.call(Means::Produces);
    produces.topic = topic.into();
    calls.push(produces);
}

/// Offset and error of each message, as they end.
fn errors_of(said: &[Observation]) -> Vec<(i64, Option<Signal>)> {
    let works = said.iter().filter_map(|observation| match observation {
        Observation::Processing(work) => Some((work.first, work.error)),
        _ => None,
    });
    works.collect()
}

#[test]
fn a_worker_sends_the_message_on_that_it_names_next() {
    let mut calls = Calls::default();
    calls.by(30).of(Means::HandsOver, 0, 3);
    for offset in 0..4 {
        calls.by(31).works(MILLISECOND);
        if offset == 2 {
            sends_on(&mut calls, "orders.dlq");
        }
        calls.of(Means::Settles, offset, offset);
    }
    let said = told(&with(calls)).0;
    assert_eq!(wrong(&said), [(Signal::DeadLetter, 2, 1)]);
    let expected = [0, 1, 2, 3].map(|at| (at, (at == 2).then_some(Signal::DeadLetter)));
    assert_eq!(errors_of(&said), expected);
}

#[test]
fn only_one_message_of_a_batch_that_is_told_apart_went_wrong() {
    let mut calls = Calls::default();
    calls.polls(0, 2);
    for offset in 0..3 {
        if offset == 1 {
            sends_on(&mut calls, "orders-retry");
        }
        calls.of(Means::Settles, offset, offset);
    }
    calls.says(Means::Asks);
    let said = told(&with(calls)).0;
    assert_eq!(wrong(&said), [(Signal::Retry, 1, 1)]);
    assert_eq!(
        errors_of(&said),
        [(0, None), (1, Some(Signal::Retry)), (2, None)]
    );
}

/// Goroutine 7 has message 5 in hand, settles 4 before it if `settles`, and ends its transaction.
fn transaction(settles: bool, committed: bool) -> Vec<Observation> {
    let mut calls = Calls::default();
    calls.says(Means::BeginsTransaction);
    if settles {
        calls.polls(4, 4);
        calls.of(Means::Settles, 4, 4);
    }
    calls.polls(5, 5);
    calls.says(Means::EndsTransaction);
    let mut producing = Producing::new(9, "shop-1", false);
    producing.talk.clock = MILLISECOND;
    producing.init(60_000, (7, 0));
    producing.add("audit", &[0], 0);
    producing.talk.clock = calls.clock + 1000;
    producing.end(committed, 0);
    calls.clock = producing.talk.clock;
    calls.says(Means::Asks);
    let mut events = with(calls);
    events.extend(producing.talk.events);
    events.sort_by_key(time_of);
    told(&events).0
}

#[test]
fn messages_of_an_aborted_transaction_went_wrong() {
    assert_eq!(wrong(&transaction(true, true)), []);
    assert_eq!(wrong(&transaction(false, false)), [(Signal::Abort, 5, 1)]);
    let said = transaction(true, false);
    let mut all = wrong(&said);
    all.sort_by_key(|(_, offset, _)| *offset);
    assert_eq!(all, [(Signal::Abort, 4, 1), (Signal::Abort, 5, 1)]);
    assert_eq!(
        errors_of(&said),
        [(4, None), (5, Some(Signal::Abort))],
        "4 was done before the transaction was aborted"
    );
}

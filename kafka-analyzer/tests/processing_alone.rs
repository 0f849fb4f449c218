//! Calls that stand alone: requests of which no return is told, frees by another thread than the one that read, ways that are not followed.

mod conversation;

use conversation::calls::*;
use kafka_analyzer::capture::Means;
use kafka_analyzer::observation::{Done, ProcessingBasis};

use Done::{Ended, Freed, NextPoll};
use ProcessingBasis::Message;

#[test]
fn a_request_whose_return_is_not_told_ends_what_was_in_hand() {
    let mut calls = Calls::default();
    let mut expected = Vec::new();
    let client = calls.client;
    for offset in 0..3 {
        // Nothing came of the first.
        calls.says(Means::AsksOnly);
        calls.works(SECOND);
        calls.says(Means::AsksOnly);
        calls.client = 0;
        let began = calls.of(Means::HandsOver, offset, offset);
        calls.client = client;
        calls.works(20 * MILLISECOND);
        let next = calls.clock + 1000;
        expected.push((offset, offset, 1, Message, NextPoll, began, next));
    }
    calls.says(Means::AsksOnly);
    let began = calls.of(Means::HandsOver, 3, 3);
    let closed = calls.says(Means::Closes);
    expected.push((3, 3, 1, Message, Ended, began, closed));
    assert_eq!(worked(&run_calls(calls)), expected);
}

#[test]
fn a_producer_that_is_polled_ends_no_message() {
    let mut calls = Calls::default();
    let (consumer, producer) = (calls.client, 0xbeef);
    let mut expected = Vec::new();
    for offset in 0..3 {
        calls.says(Means::AsksOnly);
        calls.client = 0;
        let began = calls.of(Means::HandsOver, offset, offset);
        for _ in 0..3 {
            calls.works(MILLISECOND);
            calls.client = producer;
            calls.says(Means::AsksOnly);
        }
        calls.client = consumer;
        let next = calls.clock + 1000;
        expected.push((offset, offset, 1, Message, NextPoll, began, next));
    }
    calls.says(Means::AsksOnly);
    assert_eq!(worked(&run_calls(calls)), expected);
}

/// Node: the main thread copies what a worker read, and frees it at once.
#[test]
fn copies_on_another_thread_are_not_done_when_they_are_freed() {
    let mut calls = Calls::default();
    for round in 0..4 {
        for offset in 10 * round..10 * round + 10 {
            calls.by(7).says(Means::Asks);
            calls.at(Means::HandsOver, offset, 0x1000 + offset as u64);
        }
        calls.works(2 * MILLISECOND);
        for offset in 10 * round..10 * round + 10 {
            calls.by(1).at(Means::Frees, offset, 0x1000 + offset as u64);
        }
        calls.works(50 * MILLISECOND);
    }
    let said = run_calls(calls);
    let freed = worked(&said)
        .into_iter()
        .filter(|(.., done, _, _)| *done == Freed);
    assert_eq!(freed.count(), 1, "before it was known");
}

#[test]
fn messages_that_are_not_followed_are_counted() {
    let mut calls = Calls::default();
    calls.says(Means::LosesSight);
    let (said, losses) = told(&with(calls));
    assert_eq!(worked(&said), []);
    assert_eq!(losses, [("call_not_followed", 1)]);
}

//! Calls that stand alone: requests of which no return is told, frees by another thread than the one that read, ways that are not followed.

mod conversation;

use conversation::calls::*;
use kafka_analyzer::capture::Means;
use kafka_analyzer::observation::{Done, ProcessingBasis, Signal};

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

/// Without a request that is seen, within one, and several within one request.
#[test]
fn a_function_that_is_called_with_a_message_has_it_until_it_returns() {
    let mut calls = Calls::default();
    let mut expected = Vec::new();
    let client = calls.client;
    for offset in 0..9 {
        match offset {
            3..6 => drop(calls.says(Means::Asks)),
            6 => drop(calls.says(Means::AsksOnly)),
            _ => {}
        }
        calls.client = 0;
        let began = calls.of(Means::CallsBack, offset, offset);
        calls.works(3 * MILLISECOND);
        let ended = calls.of(Means::Frees, offset, offset);
        calls.works(MILLISECOND);
        calls.client = client;
        if let 3..6 = offset {
            // The poll itself gave nothing.
            calls.says(Means::HandsOver);
        }
        expected.push((offset, offset, 1, Message, Freed, began, ended));
    }
    let (said, losses) = told(&with(calls));
    assert_eq!(worked(&said), expected);
    assert_eq!(delivered(&said).len(), 9);
    assert_eq!((wrong(&said), losses), (vec![], vec![]));
}

/// Too short to be told from a copy: done when the next is there.
#[test]
fn short_work_of_such_a_function_ends_with_the_next_message() {
    let mut calls = Calls::default();
    let mut expected = Vec::new();
    let mut last = 0;
    for offset in 0..4 {
        let began = calls.of(Means::CallsBack, offset, offset);
        if offset > 0 {
            expected.push((offset - 1, offset - 1, 1, Message, NextPoll, last, began));
        }
        calls.of(Means::Frees, offset, offset);
        last = began;
    }
    let ended = calls.says(Means::Asks);
    expected.push((3, 3, 1, Message, NextPoll, last, ended));
    assert_eq!(worked(&run_calls(calls)), expected);
}

#[test]
fn an_error_of_a_claims_handler_is_held_against_the_first_message_that_it_did_not_name() {
    let mut calls = Calls::default();
    let begins = |calls: &mut Calls| {
        let mut begins = calls.by(9).call(Means::ClaimBegins);
        (begins.topic, begins.partition) = ("orders".into(), 0);
        calls.push(begins);
    };
    for (first, named) in [(0, 0), (3, 2)] {
        begins(&mut calls);
        calls.by(5).of(Means::HandsOver, first, first + 2);
        for offset in first..first + named {
            calls.by(9).of(Means::Settles, offset, offset);
        }
        // Of the connection, told by another goroutine.
        calls.by(6).says(Means::Fails);
        calls.by(9).says(Means::Fails);
        calls.says(Means::ClaimEnds);
        // Behind the claim.
        calls.says(Means::Fails);
        calls.says(Means::ClaimEnds);
    }
    // All that was offered is done.
    begins(&mut calls);
    calls.by(5).of(Means::HandsOver, 9, 9);
    calls.by(9).of(Means::Settles, 9, 9);
    calls.says(Means::Fails);
    let (said, losses) = told(&with(calls));
    assert_eq!(
        wrong(&said),
        [(Signal::HandlerError, 0, 1), (Signal::HandlerError, 5, 1)]
    );
    assert_eq!(losses, [("processing_unfinished", 4)]);
}

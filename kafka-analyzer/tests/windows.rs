//! Hooks that run for each message go and come back: what is open then is given up, what is told is exact, counts come from offsets.

mod conversation;

use conversation::Captured;
use conversation::calls::*;
use kafka_analyzer::capture::{Means, Window};
use kafka_analyzer::observation::{Done, LagBasis, Observation, ProcessingBasis};

use Done::{NextPoll, Settled};
use ProcessingBasis::{Estimated, Message};

/// As [`run_calls`], with what was lost.
fn run_windows(calls: Calls) -> (Vec<Observation>, Vec<(&'static str, u64)>) {
    told(&with(calls))
}

fn counts(said: &[Observation]) -> Vec<(u32, i64)> {
    let delivered = delivered(said);
    delivered.iter().map(|d| (d.count, d.next_offset)).collect()
}

#[test]
fn a_message_cut_by_a_window_is_given_up_and_counted_once() {
    let mut calls = Calls::default();
    let mut expected = Vec::new();
    // Handed over and named, twice.
    for offset in 0..2 {
        let began = calls.polls(offset, offset);
        calls.works(5 * MILLISECOND);
        let ended = calls.of(Means::Settles, offset, offset);
        expected.push((offset, offset, 1, Message, Settled, began, ended));
    }
    // In hand when hooks go.
    calls.polls(2, 2);
    calls.shuts();
    calls.works(SECOND);
    calls.opens();
    // 3 to 9 were handed over unseen. 9 is named, the task asks again: nothing of this window.
    calls.of(Means::Settles, 9, 9);
    calls.says(Means::Asks);
    calls.of(Means::HandsOver, 10, 10);
    calls.works(MILLISECOND);
    let mut clear = Vec::new();
    for offset in 11..13 {
        let began = calls.polls(offset, offset);
        calls.works(3 * MILLISECOND);
        let ended = calls.of(Means::Settles, offset, offset);
        clear.push((offset, offset, 1, Message, Settled, began, ended));
    }
    expected.extend(clear);
    let (said, losses) = run_windows(calls);
    assert_eq!(worked(&said), expected);
    assert_eq!(wrong(&said), []);
    // 11: with 3 to 10, of which the first seen one was not clear.
    assert_eq!(counts(&said), [(1, 1), (1, 2), (1, 3), (9, 12), (1, 13)]);
    assert_eq!(losses, [("processing_window", 1)]);
    let waits: Vec<u64> = intervals(&said).iter().map(|i| i.nanos).collect();
    assert!(
        waits.iter().all(|nanos| *nanos < 6 * MILLISECOND),
        "{waits:?}: none spans the gap"
    );
}

#[test]
fn a_read_that_began_before_the_window_gives_no_second_message() {
    let mut calls = Calls::default();
    calls.polls(0, 0);
    calls.shuts();
    // `ReadMessage` began unseen: it fetches and commits inside.
    calls.opens();
    calls.says(Means::Asks);
    calls.of(Means::HandsOver, 1, 1);
    calls.of(Means::Settles, 1, 1);
    calls.of(Means::HandsOver, 1, 1);
    calls.works(9 * MILLISECOND);
    // The next one is whole.
    let mut expected = Vec::new();
    for offset in 2..4 {
        calls.says(Means::Asks);
        calls.polls(offset, offset);
        calls.of(Means::Settles, offset, offset);
        let began = calls.of(Means::HandsOver, offset, offset);
        calls.works(9 * MILLISECOND);
        let mut probe = calls.clone();
        let ended = probe.says(Means::Asks);
        expected.push((offset, offset, 1, Message, NextPoll, began, ended));
    }
    calls.says(Means::Asks);
    let (said, _) = run_windows(calls);
    assert_eq!(worked(&said), expected);
    assert_eq!(wrong(&said), [], "nothing was handed over twice");
    assert_eq!(counts(&said), [(1, 1), (2, 3), (1, 4)]);
}

#[test]
fn messages_that_the_library_commits_by_itself_are_told_in_a_window_of_milliseconds() {
    let mut calls = Calls::default();
    let mut expected = Vec::new();
    let mut before = None;
    for offset in 0..4 {
        // `ReadMessage`: it fetches and commits inside.
        let asked = calls.says(Means::Asks);
        if let Some((offset, began)) = before {
            expected.push((offset, offset, 1, Message, NextPoll, began, asked));
        }
        calls.polls(offset, offset);
        calls.of(Means::Settles, offset, offset);
        before = Some((offset, calls.of(Means::HandsOver, offset, offset)));
        calls.works(MILLISECOND);
    }
    // The last one is in hand when hooks go.
    calls.shuts();
    let (said, losses) = run_windows(calls);
    assert_eq!(worked(&said), expected);
    assert_eq!(losses, [("processing_window", 1)]);
}

#[test]
fn what_hooks_tell_that_stay_is_counted_and_not_timed() {
    let mut calls = Calls::default();
    calls.polls(0, 9);
    calls.shuts();
    calls.polls(10, 19);
    calls.polls(20, 29);
    calls.window(Window::Changing);
    // Nobody knows which hooks are there already.
    calls.polls(30, 39);
    calls.window(Window::Open);
    calls.polls(40, 49);
    let began = calls.polls(50, 59);
    calls.works(MILLISECOND);
    let ended = calls.of(Means::Settles, 59, 59);
    let (said, losses) = run_windows(calls);
    let batch = (50, 59, 10, ProcessingBasis::Batch, Settled, began, ended);
    assert_eq!(worked(&said), [batch]);
    let expected = [(10, 10), (10, 20), (10, 30), (30, 60)];
    assert_eq!(counts(&said), expected);
    assert_eq!(losses, [("processing_window", 10)]);
}

#[test]
fn a_seek_within_a_gap_is_no_redelivery_and_is_not_counted_twice() {
    let mut calls = Calls::default();
    calls.polls(0, 49);
    calls.shuts();
    // Back to 20, to which it is bound to go on.
    calls.of(Means::Seeks, 20, 20);
    calls.opens();
    calls.polls(22, 22);
    calls.polls(23, 23);
    let (said, losses) = run_windows(calls);
    assert_eq!(wrong(&said).len(), 1, "{:?}", wrong(&said));
    // The wire did not bring them again.
    assert_eq!(counts(&said), [(50, 50), (1, 24)]);
    assert_eq!(losses, [("delivered_unseen", 1), ("processing_window", 50)]);
}

#[test]
fn a_settlement_of_what_was_handed_over_before_makes_no_pool() {
    let mut calls = Calls::default();
    calls.by(7).polls(0, 0);
    calls.works(MILLISECOND);
    calls.by(7).of(Means::Settles, 0, 0);
    calls.by(7).says(Means::Asks);
    calls.shuts();
    calls.opens();
    // Another task names what was handed over meanwhile: by a pool, or by chance.
    for offset in 1..9 {
        calls.by(8).of(Means::Settles, offset, offset);
    }
    calls.by(7).polls(9, 9);
    let mut expected = Vec::new();
    for offset in 10..12 {
        let began = calls.by(7).polls(offset, offset);
        calls.works(2 * MILLISECOND);
        let mut probe = calls.clone();
        let ended = probe.says(Means::Asks);
        expected.push((offset, offset, 1, Message, NextPoll, began, ended));
    }
    calls.by(7).says(Means::Asks);
    let (said, _) = run_windows(calls);
    assert_eq!(
        worked(&said).split_off(1),
        expected,
        "still a simple consumer"
    );
}

#[test]
fn a_commit_shows_what_was_handed_over_while_hooks_were_away() {
    let mut calls = Calls::default();
    calls.polls(0, 0);
    calls.shuts();
    let at = calls.clock + SECOND;
    calls.works(2 * SECOND);
    calls.opens();
    calls.polls(50, 50);
    calls.polls(51, 51);
    let mut events = with(calls);
    events.extend(commits(40, at));
    events.sort_by_key(time_of);
    let (said, losses) = told(&events);
    assert_eq!(counts(&said), [(1, 1), (39, 40), (12, 52)]);
    assert_eq!(losses, [("processing_window", 1)]);
    assert_eq!(wrong(&said), []);
}

#[test]
fn a_window_too_short_for_doubts_ends_them_when_nobody_names_a_message() {
    for (others, expected) in [(false, 69), (true, 0)] {
        let mut calls = Calls::default();
        calls.shuts();
        calls.opens();
        calls.polls(9, 9);
        for offset in 10..80 {
            calls.by(7).polls(offset, offset);
            calls.works(MILLISECOND);
            if others && offset == 40 {
                // Of before the window.
                calls.by(8).of(Means::Settles, 3, 3);
            }
        }
        calls.by(7).shuts();
        let (said, losses) = run_windows(calls);
        let worked = worked(&said);
        assert_eq!(worked.len(), expected, "others {others}");
        for (.., done, began, ended) in worked {
            assert_eq!((done, ended - began), (NextPoll, MILLISECOND + 1000));
        }
        assert_eq!(losses, [("processing_window", 70 - expected as u64)]);
    }
}

#[test]
fn a_process_that_is_hooked_for_the_first_time_is_told_of_from_its_first_request_on() {
    let mut calls = Calls::default();
    calls.opens();
    let began = calls.polls(0, 0);
    calls.works(5 * MILLISECOND);
    let ended = calls.of(Means::Settles, 0, 0);
    let (said, lost) = run_windows(calls);
    assert_eq!(worked(&said), [(0, 0, 1, Message, Settled, began, ended)]);
    assert_eq!(counts(&said), [(1, 1)]);
    assert_eq!(lost, []);
}

#[test]
fn a_first_hand_over_whose_request_was_not_seen_may_be_within_another() {
    let mut calls = Calls::default();
    calls.opens();
    // ReadMessage stood in FetchMessage, and commits.
    calls.of(Means::HandsOver, 0, 0);
    calls.of(Means::Settles, 0, 0);
    let first = calls.of(Means::HandsOver, 0, 0);
    calls.works(5 * MILLISECOND);
    let asked = calls.says(Means::Asks);
    let began = calls.of(Means::HandsOver, 1, 1);
    calls.works(5 * MILLISECOND);
    let ended = calls.of(Means::Settles, 1, 1);
    let (said, _) = run_windows(calls);
    let outer = (0, 0, 1, Message, NextPoll, first, asked);
    assert_eq!(
        worked(&said),
        [(1, 1, 1, Message, Settled, began, ended), outer]
    );
}

/// sarama: a goroutine of the library offers, one of the application works; nobody asks.
#[test]
fn what_is_only_offered_is_told_from_the_first_claim_that_was_seen_to_begin() {
    for (claim, first_told) in [(true, 0), (false, 1)] {
        let mut calls = Calls::default();
        calls.window(Window::Changing);
        calls.window(Window::Open);
        if claim {
            calls.of(Means::ClaimBegins, -1, -1);
        }
        let mut expected = Vec::new();
        for offset in 0..3 {
            let began = calls.by(9).of(Means::HandsOver, offset, offset);
            calls.works(MILLISECOND);
            let ended = calls.by(7).of(Means::Settles, offset, offset);
            expected.push((offset, began, ended));
        }
        let (said, _) = run_windows(calls);
        let told: Vec<_> = worked(&said)
            .iter()
            .map(|(first, _, _, _, _, began, ended)| (*first, *began, *ended))
            .collect();
        assert_eq!(told, expected[first_told..]);
    }
}

/// confluent-kafka-go: what fills the channel of `Events()` names no consumer, and its requests stand within none.
#[test]
fn what_fills_a_channel_is_told_from_the_first_on() {
    let mut calls = Calls::default();
    calls.window(Window::Changing);
    calls.window(Window::Open);
    let mut expected = Vec::new();
    for offset in 0..3 {
        calls.client = 0;
        let began = calls.by(9).of(Means::HandsOver, offset, offset);
        calls.works(MILLISECOND);
        calls.client = 0xc000;
        let ended = calls.by(7).of(Means::Settles, offset, offset);
        expected.push((offset, offset, 1, Estimated, Settled, began, ended));
    }
    assert_eq!(worked(&run_windows(calls).0), expected);
}

/// (time, offset; `None`: it is not known any more) of what is said of partition 0's hand-overs when that changes.
fn handed_over(said: &[Observation]) -> Vec<(u64, Option<i64>)> {
    let of = |observation: &Observation| match observation {
        Observation::Lag(lag) if lag.basis == LagBasis::Delivered && lag.partition == 0 => {
            assert_eq!(lag.messages, 200 - lag.offset as u64);
            Some((lag.origin.time / SECOND, Some(lag.offset)))
        }
        Observation::LagUnknown(unknown) => {
            assert_eq!(unknown.basis, LagBasis::Delivered);
            let of = (&*unknown.group, &*unknown.topic, unknown.partition);
            assert_eq!(of, ("billing", "orders", 0));
            Some((unknown.origin.time / SECOND, None))
        }
        _ => None,
    };
    let mut all: Vec<_> = said.iter().filter_map(of).collect();
    all.dedup_by_key(|(_, offset)| *offset);
    all
}

/// As a running agent does: each second is heard of, also when nothing happens.
fn with_ticks(mut events: Vec<Captured>) -> Vec<Captured> {
    let last = events.iter().map(time_of).max().unwrap_or(0);
    events.extend((1..=last / SECOND).map(|n| Captured::Tick { time: n * SECOND }));
    events.sort_by_key(time_of);
    events
}

#[test]
fn where_the_application_is_is_not_known_for_ever_while_hooks_are_away() {
    let mut calls = Calls::default();
    // At 1 s; nothing comes for half a minute, and would have been seen.
    calls.polls(0, 4);
    calls.works(30 * SECOND);
    calls.shuts();
    let committed = calls.clock + 4 * SECOND;
    calls.works(30 * SECOND);
    calls.opens();
    // At 61 s.
    calls.works(5 * SECOND);
    calls.polls(50, 50);
    calls.polls(51, 51);
    calls.works(60 * SECOND);
    calls.says(Means::TaskEnds);
    let mut events = with(calls.clone());
    events.extend(commits(40, committed));
    let (said, _) = told(&with_ticks(events));
    // Ten seconds after the commit of second 35.
    let expected = [(2, Some(5)), (36, Some(40)), (46, None), (67, Some(52))];
    assert_eq!(handed_over(&said), expected);
    // Without it, ten seconds after hooks went.
    let said = told(&with_ticks(with(calls))).0;
    assert_eq!(
        handed_over(&said),
        [(2, Some(5)), (42, None), (67, Some(52))]
    );
}

#[test]
fn what_hooks_tell_that_stay_does_not_grow_old() {
    let mut calls = Calls::default();
    calls.shuts();
    calls.polls(0, 9);
    calls.works(60 * SECOND);
    calls.polls(10, 19);
    calls.works(2 * SECOND);
    calls.says(Means::TaskEnds);
    let (said, _) = told(&with_ticks(with(calls)));
    assert_eq!(handed_over(&said), [(2, Some(10)), (62, Some(20))]);
}

/// A process ends while hooks are away: its consumer closes before or not, and commits this. What is counted of partition 0, and as not counted.
fn ended_while_away(closes: bool, commit: Option<i64>) -> (Vec<(u32, i64)>, u64) {
    // Of partition 1 all was seen.
    let mut calls = Calls {
        partition: 1,
        ..Calls::default()
    };
    calls.polls(0, 99);
    calls.partition = 0;
    calls.polls(0, 4);
    calls.works(SECOND);
    calls.shuts();
    calls.works(SECOND);
    if closes {
        calls.says(Means::Closes);
    }
    let time = calls.clock + MILLISECOND;
    calls.works(SECOND);
    calls.events.push(Captured::Exited {
        pid: PID,
        time: calls.clock,
    });
    let mut events = with(calls);
    if let Some(offset) = commit {
        events.extend(commits(offset, time));
    }
    events.sort_by_key(time_of);
    let (said, losses) = told(&events);
    let unseen = losses.iter().find(|(name, _)| *name == "delivered_unseen");
    let of_partition_0 = counts(&said).split_off(1);
    (of_partition_0, unseen.map_or(0, |(_, count)| *count))
}

#[test]
fn the_last_commit_tells_what_was_handed_over_before_the_end() {
    let seen = (5, 5);
    // The client commits while it closes: what it has fetched beyond that it throws away.
    assert_eq!(ended_while_away(true, Some(60)), (vec![seen, (55, 60)], 0));
    // All that was fetched.
    assert_eq!(
        ended_while_away(false, Some(100)),
        (vec![seen, (95, 100)], 0)
    );
    // Others may have been handed over since.
    assert_eq!(ended_while_away(false, Some(60)), (vec![seen, (55, 60)], 1));
    assert_eq!(ended_while_away(true, None), (vec![seen], 1));
    assert_eq!(ended_while_away(false, None), (vec![seen], 1));
}

#[test]
fn a_commit_in_a_window_tells_of_the_time_before_it() {
    let mut calls = Calls::default();
    calls.polls(0, 4);
    calls.shuts();
    calls.works(SECOND);
    calls.opens();
    let at = calls.clock + MILLISECOND;
    calls.works(SECOND);
    calls.polls(60, 60);
    calls.polls(61, 61);
    let mut events = with(calls);
    events.extend(commits(40, at));
    events.sort_by_key(time_of);
    let (said, losses) = told(&events);
    assert_eq!(counts(&said), [(5, 5), (35, 40), (22, 62)]);
    assert_eq!(losses, [("processing_window", 5)]);
}

//! Each way in which programs work on messages: what is said of a hand-over, and how it ends.

mod conversation;

use conversation::calls::*;
use conversation::*;
use kafka_analyzer::Settings;
use kafka_analyzer::capture::{Means, Task};
use kafka_analyzer::observation::{Done, LagBasis, Observation, ProcessingBasis, Signal};

use Done::{Ended, Freed, NextPoll, Settled};
use ProcessingBasis::{Batch, Estimated, Message};

#[test]
fn a_simple_consumer_is_done_when_it_asks_again() {
    let mut calls = Calls::default();
    let mut expected = Vec::new();
    calls.says(Means::Asks);
    // Nothing came for a second: no work.
    calls.works(SECOND);
    calls.says(Means::HandsOver);
    for offset in 0..3 {
        let began = calls.polls(offset, offset);
        calls.works(20 * MILLISECOND);
        let mut probe = calls.clone();
        expected.push((
            offset,
            offset,
            1,
            Message,
            NextPoll,
            began,
            probe.says(Means::Asks),
        ));
    }
    calls.says(Means::Asks);
    let said = run_calls(calls);
    assert_eq!(worked(&said), expected);
    let delivered = delivered(&said);
    let next: Vec<(u32, i64)> = delivered.iter().map(|d| (d.count, d.next_offset)).collect();
    assert_eq!(next, [(1, 1), (1, 2), (1, 3)]);
    let labels = delivered.first().map(|d| {
        (
            d.cluster.to_string(),
            d.group.to_string(),
            d.client_id.to_string(),
        )
    });
    assert_eq!(
        labels,
        Some((CLUSTER.to_owned(), "billing".to_owned(), "app".to_owned()))
    );
    let lag: Vec<(i64, u64)> = said
        .iter()
        .filter_map(|observation| match observation {
            Observation::Lag(lag) if lag.basis == LagBasis::Delivered && lag.partition == 0 => {
                Some((lag.offset, lag.messages))
            }
            _ => None,
        })
        .collect();
    assert_eq!(lag.last(), Some(&(3, 197)));
    let waits: Vec<(u64, Option<u32>)> = intervals(&said)
        .iter()
        .map(|i| (i.nanos, i.limit_ms))
        .collect();
    let wait = 20 * MILLISECOND + 1000;
    assert_eq!(waits, [(wait, Some(30_000)); 3]);
    assert_eq!(wrong(&said), []);
}

#[test]
fn what_is_named_before_the_next_request_is_done_then() {
    let mut calls = Calls::default();
    let mut expected = Vec::new();
    for offset in 0..3 {
        let began = calls.polls(offset, offset);
        calls.works(5 * MILLISECOND);
        let ended = calls.of(Means::Settles, offset, offset);
        expected.push((offset, offset, 1, Message, Settled, began, ended));
        // Stored first, committed then.
        calls.of(Means::Settles, offset, offset);
        calls.works(MILLISECOND);
    }
    assert_eq!(worked(&run_calls(calls)), expected);
}

#[test]
fn a_batch_is_one_unless_its_messages_are_named_in_order() {
    let mut calls = Calls::default();
    let began = calls.polls(0, 9);
    calls.works(50 * MILLISECOND);
    let ended = calls.says(Means::SettlesAll);
    let mut expected = vec![(0, 9, 10, Batch, Settled, began, ended)];
    // One by one: each begins when the one before was done.
    let mut began = calls.polls(10, 12);
    for offset in 10..13 {
        calls.works(7 * MILLISECOND);
        let ended = calls.of(Means::Settles, offset, offset);
        expected.push((offset, offset, 1, Message, Settled, began, ended));
        began = ended;
    }
    // Only the last is committed: it stands for all.
    let began = calls.polls(13, 19);
    calls.works(MILLISECOND);
    let ended = calls.of(Means::Settles, 19, 19);
    expected.push((13, 19, 7, Batch, Settled, began, ended));
    // Nothing is named.
    let began = calls.polls(20, 29);
    calls.works(MILLISECOND);
    let ended = calls.says(Means::Asks);
    expected.push((20, 29, 10, Batch, NextPoll, began, ended));
    assert_eq!(worked(&run_calls(calls)), expected);
}

#[test]
fn runs_of_one_call_belong_together() {
    let mut calls = Calls::default();
    calls.says(Means::Asks);
    let began = calls.of(Means::HandsOver, 0, 0);
    // Both runs have the time of their call.
    let mut second = match calls.events.last_mut() {
        Some(Captured::Call(first)) => {
            first.complete = false;
            first.clone()
        }
        _ => unreachable!(),
    };
    (second.partition, second.complete) = (1, true);
    calls.push(second);
    calls.works(MILLISECOND);
    let ended = calls.says(Means::Asks);
    let said = run_calls(calls);
    let one = (0, 0, 1, Batch, NextPoll, began, ended);
    assert_eq!(worked(&said), [one, one], "they cannot be told apart");
    assert_eq!(intervals(&said).len(), 1);
}

#[test]
fn a_pool_names_messages_after_their_task_asked_again() {
    let mut calls = Calls::default();
    let began: Vec<_> = (0..4).map(|offset| calls.polls(offset, offset)).collect();
    calls.says(Means::Asks);
    let mut expected = Vec::new();
    for offset in [2, 0, 3, 1] {
        calls.works(30 * MILLISECOND);
        let ended = calls
            .by(100 + offset as u64 % 2)
            .of(Means::Settles, offset, offset);
        expected.push((
            offset,
            offset,
            1,
            Message,
            Settled,
            began[offset as usize],
            ended,
        ));
    }
    // It is known now: a message that takes long is waited for.
    calls.by(7).of(Means::HandsOver, 4, 4);
    let began = calls.clock;
    calls.says(Means::Asks);
    calls.works(20 * SECOND);
    let ended = calls.by(100).of(Means::Settles, 4, 4);
    expected.push((4, 4, 1, Message, Settled, began, ended));
    assert_eq!(worked(&run_calls(calls)), expected);
}

#[test]
fn a_commit_that_was_put_off_does_not_make_work_longer() {
    let mut calls = Calls::default();
    let mut expected = Vec::new();
    let mut began = calls.polls(0, 0);
    for offset in 1..5 {
        calls.works(MILLISECOND);
        let ended = calls.says(Means::Asks);
        expected.push((offset - 1, offset - 1, 1, Message, NextPoll, began, ended));
        began = calls.of(Means::HandsOver, offset, offset);
    }
    calls.works(MILLISECOND);
    // CommitMessages(m0, … m4)
    let ended = calls.of(Means::Settles, 0, 4);
    expected.push((4, 4, 1, Message, Settled, began, ended));
    assert_eq!(worked(&run_calls(calls)), expected);
}

#[test]
fn a_message_that_is_freed_at_once_is_not_done() {
    let mut calls = Calls {
        task: Task::Thread(101),
        ..Calls::default()
    };
    let mut expected = Vec::new();
    let mut began = 0;
    for offset in 0..12 {
        let ended = calls.says(Means::Asks);
        if offset > 0 {
            expected.push((offset - 1, offset - 1, 1, Message, NextPoll, began, ended));
        }
        began = calls.at(Means::HandsOver, offset, 0x7000);
        // The last copy is put off the CPU.
        calls.works(if offset == 11 { 3 * MILLISECOND } else { 4000 });
        calls.at(Means::Frees, offset, 0x7000);
        calls.works(10 * MILLISECOND);
    }
    let ended = calls.says(Means::Asks);
    expected.push((11, 11, 1, Message, NextPoll, began, ended));
    assert_eq!(worked(&run_calls(calls)), expected);
}

#[test]
fn a_message_that_is_freed_after_work_is_done() {
    let mut calls = Calls::default();
    let mut expected = Vec::new();
    for offset in 0..3 {
        calls.says(Means::Asks);
        // The address is used again; no place is told with the free.
        let began = calls.at(Means::HandsOver, offset, 0x7000);
        calls.works(2 * MILLISECOND);
        let mut free = calls.call(Means::Frees);
        free.message = 0x7000;
        calls.push(free);
        expected.push((offset, offset, 1, Message, Freed, began, calls.clock));
        calls.works(5 * MILLISECOND);
    }
    assert_eq!(worked(&run_calls(calls)), expected);
}

#[test]
fn a_channel_gives_bounds() {
    let mut calls = Calls::default();
    // Offered by the library's own goroutine, which never asks.
    let offered: Vec<_> = (0..3)
        .map(|offset| calls.by(5).of(Means::HandsOver, offset, offset))
        .collect();
    let mut expected = Vec::new();
    let mut free = 0;
    for offset in 0..3 {
        calls.works(8 * MILLISECOND);
        let ended = calls.by(9).of(Means::Settles, offset, offset);
        let began = offered[offset as usize].max(free);
        expected.push((offset, offset, 1, Estimated, Settled, began, ended));
        free = ended;
    }
    let said = run_calls(calls);
    assert_eq!(worked(&said), expected);
    assert_eq!(intervals(&said).len(), 0, "nobody polls");
}

#[test]
fn what_was_offered_and_never_taken_is_not_work() {
    let mut calls = Calls::default();
    calls.by(5).of(Means::HandsOver, 0, 0);
    calls.of(Means::HandsOver, 1, 1);
    calls.by(9).of(Means::Settles, 0, 0);
    calls.says(Means::ClaimEnds);
    let (said, losses) = told(&with(calls));
    assert_eq!(worked(&said).len(), 1);
    assert_eq!(losses, [("processing_unfinished", 1)]);
    assert_eq!(wrong(&said), []);
}

#[test]
fn a_read_that_fetches_and_commits_within_is_one_hand_over() {
    let mut calls = Calls::default();
    let mut expected = Vec::new();
    let mut began = 0;
    for offset in 0..3 {
        let ended = calls.says(Means::Asks);
        if offset > 0 {
            expected.push((offset - 1, offset - 1, 1, Message, NextPoll, began, ended));
        }
        calls.says(Means::Asks);
        calls.of(Means::HandsOver, offset, offset);
        calls.works(MILLISECOND);
        calls.of(Means::Settles, offset, offset);
        began = calls.of(Means::HandsOver, offset, offset);
        calls.works(4 * MILLISECOND);
    }
    calls.says(Means::Asks);
    expected.push((2, 2, 1, Message, NextPoll, began, calls.clock));
    let said = run_calls(calls);
    assert_eq!(worked(&said), expected);
    assert_eq!(delivered(&said).len(), 3);
    assert_eq!(intervals(&said).len(), 3);
    assert_eq!(wrong(&said), []);
}

#[test]
fn a_read_may_poll_in_vain_within() {
    let mut calls = Calls::default();
    let mut expected = Vec::new();
    for offset in 0..3 {
        calls.says(Means::Asks);
        for _ in 0..offset {
            calls.says(Means::Asks);
            calls.says(Means::HandsOver);
        }
        calls.polls(offset, offset);
        let began = calls.of(Means::HandsOver, offset, offset);
        calls.works(4 * MILLISECOND);
        let ended = calls.of(Means::Settles, offset, offset);
        expected.push((offset, offset, 1, Message, Settled, began, ended));
    }
    calls.says(Means::Asks);
    let said = run_calls(calls);
    assert_eq!(worked(&said), expected);
    assert_eq!((delivered(&said).len(), intervals(&said).len()), (3, 3));
    assert_eq!(wrong(&said), []);
}

#[test]
fn hooks_that_come_in_the_middle_of_a_read_see_one_message() {
    let mut calls = Calls::default();
    // Neither request was seen.
    calls.of(Means::HandsOver, 0, 0);
    let began = calls.of(Means::HandsOver, 0, 0);
    calls.works(MILLISECOND);
    let ended = calls.says(Means::Asks);
    let said = run_calls(calls);
    assert_eq!(worked(&said), [(0, 0, 1, Message, NextPoll, began, ended)]);
    assert_eq!((delivered(&said).len(), wrong(&said)), (1, vec![]));
}

#[test]
fn a_return_that_was_lost_is_mended() {
    let mut calls = Calls::default();
    // Its HandsOver was lost.
    calls.says(Means::Asks);
    let began = calls.polls(0, 0);
    calls.works(MILLISECOND);
    let ended = calls.of(Means::Settles, 0, 0);
    let mut expected = vec![(0, 0, 1, Message, Settled, began, ended)];
    for offset in 1..4 {
        let began = calls.polls(offset, offset);
        calls.works(MILLISECOND);
        let ended = calls.of(Means::Settles, offset, offset);
        expected.push((offset, offset, 1, Message, Settled, began, ended));
    }
    let said = run_calls(calls);
    assert_eq!(worked(&said), expected);
    assert_eq!(delivered(&said).len(), 4);
}

#[test]
fn seeks_and_redeliveries() {
    let mut calls = Calls::default();
    calls.polls(0, 4);
    calls.works(MILLISECOND);
    calls.of(Means::Seeks, 3, 3);
    calls.polls(3, 4);
    // After a rebalance: from the committed offset.
    calls.polls(2, 5);
    calls.says(Means::Asks);
    let said = run_calls(calls);
    assert_eq!(
        wrong(&said),
        [(Signal::SeekBack, 3, 1), (Signal::Redelivery, 2, 3)]
    );
    let ends: Vec<_> = worked(&said).iter().map(|w| (w.0, w.1, w.4)).collect();
    assert_eq!(ends, [(0, 4, Ended), (3, 4, NextPoll), (2, 5, NextPoll)]);
}

#[test]
fn each_consumer_names_its_own_messages() {
    let mut calls = Calls::default();
    let began = calls.polls(0, 0);
    (calls.client, calls.task) = (0xd000, Task::Goroutine(8));
    let began_too = calls.polls(0, 0);
    calls.works(MILLISECOND);
    let ended_too = calls.of(Means::Settles, 0, 0);
    (calls.client, calls.task) = (0xc000, Task::Goroutine(7));
    calls.works(MILLISECOND);
    let ended = calls.of(Means::Settles, 0, 0);
    let of = |began, ended| (0, 0, 1, Message, Settled, began, ended);
    let expected = [of(began_too, ended_too), of(began, ended)];
    assert_eq!(worked(&run_calls(calls)), expected);
}

#[test]
fn two_consumers_of_a_process_are_no_redelivery() {
    let mut calls = Calls::default();
    calls.polls(0, 4);
    calls.says(Means::Asks);
    (calls.client, calls.task) = (0xd000, Task::Goroutine(8));
    calls.polls(0, 4);
    calls.says(Means::Asks);
    assert_eq!(wrong(&run_calls(calls)), []);
}

#[test]
fn a_consumer_closed_while_processing() {
    for (committed, expected) in [
        (None, vec![(Signal::LeftWithoutCommit, 5, 5)]),
        (Some(7), vec![(Signal::LeftWithoutCommit, 7, 3)]),
        (Some(10), vec![]),
    ] {
        let mut calls = Calls::default();
        let began = calls.polls(5, 9);
        calls.works(3 * MILLISECOND);
        let closed = calls.by(8).says(Means::Closes);
        let mut events = with(calls);
        // The client commits as it closes.
        if let Some(offset) = committed {
            events.extend(commits(offset, closed + MILLISECOND));
            events.sort_by_key(time_of);
        }
        let said = told(&events).0;
        assert_eq!(worked(&said), [(5, 9, 5, Batch, Ended, began, closed)]);
        assert_eq!(wrong(&said), expected, "{committed:?}");
    }
}

#[test]
fn a_process_that_ends_leaves_its_messages() {
    let mut calls = Calls::default();
    let began = calls.polls(5, 5);
    calls.works(3 * MILLISECOND);
    let ended = calls.says(Means::Panics);
    let time = calls.clock + MILLISECOND;
    calls.events.push(Captured::Exited { pid: PID, time });
    let events = with(calls);
    let said = told(&events).0;
    assert_eq!(worked(&said), [(5, 5, 1, Message, Ended, began, ended)]);
    assert_eq!(
        wrong(&said),
        [(Signal::Panic, 5, 1), (Signal::LeftWithoutCommit, 5, 1)]
    );
    let (settings, json) = (Settings::default(), |o: &Observation| {
        serde_json::to_string(o).unwrap()
    });
    let shards = |n| {
        run_with(&settings, &events, n)
            .0
            .iter()
            .map(json)
            .collect::<Vec<_>>()
    };
    assert_eq!(shards(1), shards(3), "each shard hears of the end");
}

#[test]
fn a_panic_that_is_recovered_does_not_end_the_message() {
    let mut calls = Calls::default();
    let began = calls.polls(5, 5);
    calls.says(Means::Panics);
    calls.works(MILLISECOND);
    let ended = calls.of(Means::Settles, 5, 5);
    let said = run_calls(calls);
    assert_eq!(worked(&said), [(5, 5, 1, Message, Settled, began, ended)]);
    assert_eq!(wrong(&said), [(Signal::Panic, 5, 1)]);
}

#[test]
fn a_panic_after_which_nothing_is_heard_ends_the_message() {
    let mut calls = Calls::default();
    let began = calls.polls(5, 5);
    calls.works(MILLISECOND);
    let ended = calls.says(Means::Panics);
    // Another goroutine goes on; this one is not heard of again.
    let next = calls.by(8).polls(6, 6);
    calls.works(2 * SECOND);
    let settled = calls.of(Means::Settles, 6, 6);
    let expected = [
        (5, 5, 1, Message, Ended, began, ended),
        (6, 6, 1, Message, Settled, next, settled),
    ];
    let found = |calls: Calls| {
        let (said, losses) = told(&with(calls));
        assert_eq!(losses, []);
        let mut found = worked(&said);
        found.sort_unstable_by_key(|work| work.0);
        found
    };
    assert_eq!(found(calls.clone()), expected);
    calls.by(1).says(Means::Closes);
    assert_eq!(found(calls), expected, "nor when the consumer is closed");
}

#[test]
fn a_long_work_after_a_recovered_panic_is_not_cut_while_its_task_is_heard_of() {
    let mut calls = Calls::default();
    let began = calls.polls(5, 5);
    calls.says(Means::Panics);
    calls.works(5 * SECOND);
    calls.says(Means::BeginsTransaction);
    calls.works(20 * SECOND);
    let ended = calls.of(Means::Settles, 5, 5);
    let said = run_calls(calls);
    assert_eq!(worked(&said), [(5, 5, 1, Message, Settled, began, ended)]);
}

#[test]
fn a_goroutine_that_ends_ends_its_message() {
    let mut calls = Calls::default();
    let began = calls.polls(5, 5);
    calls.works(MILLISECOND);
    let ended = calls.says(Means::TaskEnds);
    // Another goroutine at the same address has another id.
    calls.by(8).polls(6, 6);
    let said = run_calls(calls);
    assert_eq!(worked(&said), [(5, 5, 1, Message, Ended, began, ended)]);
}

#[test]
fn records_for_dead_letters_and_retries() {
    let mut calls = Calls::default();
    for (offset, topic) in [(0, "orders.dlq"), (1, "orders-retry-1"), (2, "invoices")] {
        calls.polls(offset, offset);
        let mut produces = calls.call(Means::Produces);
        produces.topic = topic.into();
        calls.push(produces);
    }
    calls.says(Means::Asks);
    // With nothing in hand it says nothing.
    let mut produces = calls.call(Means::Produces);
    produces.topic = "orders.dlq".into();
    calls.push(produces);
    let said = run_calls(calls);
    assert_eq!(
        wrong(&said),
        [(Signal::DeadLetter, 0, 1), (Signal::Retry, 1, 1)]
    );
}

#[test]
fn share_groups_release_and_reject() {
    let mut calls = Calls::default();
    calls.polls(0, 2);
    calls.of(Means::Settles, 0, 0);
    calls.of(Means::Releases, 1, 1);
    calls.of(Means::Rejects, 2, 2);
    let said = run_calls(calls);
    assert_eq!(
        wrong(&said),
        [(Signal::Release, 1, 1), (Signal::Reject, 2, 1)]
    );
    assert_eq!(worked(&said).len(), 3);
}

#[test]
fn a_topic_that_could_not_be_read_is_found_by_the_wire() {
    let mut calls = Calls::default();
    for (offset, partition) in [(3, 1), (500, 1)] {
        calls.topic = "";
        calls.partition = partition;
        calls.polls(offset, offset);
        calls.works(MILLISECOND);
    }
    calls.says(Means::Asks);
    let (said, losses) = told(&with(calls));
    let topics: Vec<_> = delivered(&said)
        .iter()
        .map(|d| (&*d.topic, d.partition))
        .collect();
    assert_eq!(topics, [("orders", 1)], "nobody fetched 500");
    assert_eq!(losses, [("call_without_topic", 1)]);
    assert_eq!(worked(&said).len(), 1);
}

#[test]
fn what_could_not_be_read_has_no_figure() {
    let mut calls = Calls::default();
    // More messages than were looked at: the batch's count is not known.
    calls.polls(0, 9);
    if let Some(Captured::Call(call)) = calls.events.last_mut() {
        call.truncated = true;
    }
    calls.works(MILLISECOND);
    // One that is named stands for itself.
    calls.of(Means::Settles, 0, 0);
    // The memory of this one was gone.
    calls.polls(10, 10);
    if let Some(Captured::Call(call)) = calls.events.last_mut() {
        call.fault = true;
    }
    calls.works(MILLISECOND);
    calls.says(Means::Asks);
    let (said, losses) = told(&with(calls));
    let first: Vec<_> = worked(&said).iter().map(|w| (w.0, w.1)).collect();
    assert_eq!(first, [(0, 0)]);
    assert_eq!(
        losses,
        [
            ("call_fault", 1),
            ("call_truncated", 1),
            ("processing_partial", 9)
        ]
    );
}

#[test]
fn what_is_never_done_is_counted() {
    let mut calls = Calls::default();
    calls.polls(0, 0);
    let mut events = with(calls);
    events.push(Captured::Tick { time: 700 * SECOND });
    let (said, losses) = told(&events);
    assert_eq!(worked(&said), []);
    assert_eq!(losses, [("processing_expired", 1)]);
}

#[test]
fn a_flood_is_bounded_and_the_oldest_go() {
    let mut calls = Calls::default();
    let offers = 20_000;
    for offset in 0..offers {
        calls.by(5).of(Means::HandsOver, offset, offset);
    }
    let ended = calls.by(9).of(Means::Settles, offers - 1, offers - 1);
    let (said, losses) = told(&with(calls));
    assert_eq!(
        worked(&said).iter().map(|w| (w.0, w.6)).collect::<Vec<_>>(),
        [(offers - 1, ended)]
    );
    assert_eq!(losses, [("processing_table_full", offers as u64 - 16_384)]);
    let handed: u64 = delivered(&said).iter().map(|d| u64::from(d.count)).sum();
    assert_eq!(handed, offers as u64, "counts stay exact");
}

#[test]
fn without_the_wire_there_are_figures_without_labels() {
    let mut calls = Calls::default();
    calls.polls(0, 0);
    calls.works(MILLISECOND);
    calls.says(Means::Asks);
    let (said, _) = told(&calls.events);
    let labels: Vec<_> = delivered(&said)
        .iter()
        .map(|d| (&*d.cluster, &*d.group))
        .collect();
    assert_eq!(labels, [("unknown", "")]);
    assert_eq!(worked(&said).len(), 1);
}

//! Transactions as a broker's client shows them: how they begin, what is in them, how they end, in both versions of the protocol.

mod conversation;

use conversation::messages::{Answered, Named, fetch_request, fetch_response};
use conversation::transactions::*;
use conversation::*;
use kafka_analyzer::capture::ConnectionId;
use kafka_analyzer::observation::{
    EventKind, Observation, Origin, SpanKind, Transaction, TransactionState,
};
use kafka_protocol::records::{Compression, Record};
use proptest::prelude::*;

use TransactionState::*;

const FENCED: i16 = 90;
const OLD_EPOCH: i16 = 47;
const ABORTABLE: i16 = 120;
const BUSY: i16 = 51;

fn states(observations: &[Observation]) -> Vec<TransactionState> {
    transactions(observations)
        .iter()
        .map(|transaction| transaction.state)
        .collect()
}

#[test]
fn version_1_begins_with_the_first_partition_that_the_coordinator_takes() {
    let mut app = Producing::new(1, "tx", false);
    app.init(60_000, (7, 0));
    app.wait(SECOND);
    app.add("orders", &[0], BUSY);
    let began = app.talk.clock;
    app.add("orders", &[0, 1], 0);
    app.produce("orders", 0, &app.records(0, 3), 0);
    app.produce("orders", 1, &app.records(0, 2), 0);
    app.add_offsets("readers");
    app.commit("readers", "in", &[(0, 42)], 0);
    app.end(true, 0);
    let observations = run(&app.talk.events);

    let all = transactions(&observations);
    assert_eq!(states(&observations), [Ongoing, Committed]);
    let ended = all[1].ended.unwrap();
    let expected = Transaction {
        origin: Origin {
            time: ended,
            connection: ConnectionId(1),
            offset: all[1].origin.offset,
        },
        pid: 100,
        cluster: CLUSTER.into(),
        client_id: "app".into(),
        transactional_id: "tx".into(),
        producer_id: 7,
        producer_epoch: 0,
        state: Committed,
        timeout_ms: Some(60_000),
        began: Some(began),
        ended: Some(ended),
        partitions: vec![("orders".into(), 0), ("orders".into(), 1)],
        groups: vec!["readers".into()],
        records: 5,
        error: None,
    };
    assert_eq!(*all[1], expected);
    assert_eq!(ended, app.talk.clock - 1000 + 10);

    let spans = spans(&observations, SpanKind::Transaction);
    assert_eq!(spans.len(), 1);
    let span = spans[0];
    assert_eq!((span.began, span.ended), (began, ended));
    assert_eq!((span.links.len(), span.links_dropped), (5, 0));
    assert_eq!((&*span.transactional_id, &*span.group), ("tx", "readers"));
    assert_eq!((span.error, span.message_count), (None, Some(5)));
    let sends = conversation::spans(&observations, SpanKind::Send);
    for (link, send) in span.links.iter().zip(sends) {
        assert_eq!((link.trace_id, link.span_id), (send.trace_id, send.span_id));
    }
    assert!(events(&observations).is_empty());
}

#[test]
fn version_2_begins_with_the_first_batch_or_offset() {
    let mut app = Producing::new(1, "tx", true);
    app.init(60_000, (7, 0));
    let first = app.talk.clock;
    app.produce("orders", 0, &app.records(0, 3), 0);
    app.end(true, 0);
    app.wait(2 * SECOND);
    let second = app.talk.clock;
    app.commit("readers", "in", &[(0, 42)], 0);
    app.produce("orders", 0, &app.records(0, 1), 0);
    app.end(false, 0);
    let observations = run(&app.talk.events);

    let all: Vec<_> = transactions(&observations)
        .into_iter()
        .filter(|transaction| transaction.state.is_ended())
        .map(|it| (it.state, it.producer_epoch, it.began, it.records))
        .collect();
    assert_eq!(
        all,
        [
            (Committed, 0, Some(first), 3),
            (Aborted, 1, Some(second), 1)
        ]
    );
    let spans = spans(&observations, SpanKind::Transaction);
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[1].error, Some("ABORTED"));
}

#[test]
fn many_short_transactions_are_told_once_each() {
    let mut app = Producing::new(1, "tx", true);
    app.init(60_000, (7, 0));
    for _ in 0..5 {
        app.produce("orders", 0, &app.records(0, 1), 0);
        app.end(true, 0);
    }
    let observations = run(&app.talk.events);
    assert_eq!(states(&observations)[0], Ongoing);
    assert_eq!(states(&observations)[1..], [Committed; 5]);
}

#[test]
fn a_long_one_is_told_at_most_once_a_second() {
    let mut app = Producing::new(1, "tx", true);
    app.init(60_000, (7, 0));
    for _ in 0..40 {
        app.produce("orders", 0, &app.records(0, 1), 0);
        app.wait(SECOND / 10);
    }
    app.end(true, 0);
    let observations = run(&app.talk.events);
    let all = transactions(&observations);
    let records: Vec<_> = all.iter().map(|it| it.records).collect();
    assert_eq!(records, [1, 10, 20, 30, 40, 40]);
}

#[test]
fn what_began_before_has_no_beginning() {
    for v2 in [false, true] {
        let mut app = Producing::new(1, "tx", v2);
        app.producer = (7, 3);
        app.produce("orders", 0, &app.records(0, 3), 0);
        app.end(true, 0);
        app.wait(2 * SECOND);
        let began = app.talk.clock;
        app.add("orders", &[0], 0);
        app.end(false, 0);
        let observations = run(&app.talk.events);
        let all: Vec<_> = transactions(&observations)
            .into_iter()
            .filter(|it| it.state.is_ended())
            .map(|it| (it.state, it.began, it.timeout_ms))
            .collect();
        let expected = [(Committed, None, None), (Aborted, Some(began), None)];
        assert_eq!(all, expected);
        assert_eq!(spans(&observations, SpanKind::Transaction).len(), 1);
    }
    // Only its end was seen.
    let mut app = Producing::new(1, "tx", false);
    app.producer = (7, 3);
    app.end(true, 0);
    assert_eq!(ended(&run(&app.talk.events)), [(Committed, 0, None)]);
}

#[test]
fn an_end_is_asked_for_until_it_is_answered() {
    let mut app = Producing::new(1, "tx", false);
    app.init(60_000, (7, 0));
    app.add("orders", &[0], 0);
    app.produce("orders", 0, &app.records(0, 3), 0);
    app.end(true, BUSY);
    app.ask_end(true);
    app.talk.close();
    let mut again = Producing::new(2, "tx", false);
    again.producer = app.producer;
    again.wait(SECOND);
    again.end(true, 0);
    again.end(true, 0);
    let events = [app.talk.events, again.talk.events].concat();
    let observations = run(&events);
    assert_eq!(ended(&observations), [(Committed, 3, None)]);
    assert_eq!(states(&observations), [Ongoing, Committed]);
}

#[test]
fn another_process_takes_the_id() {
    let mut old = Producing::new(1, "tx", true);
    old.init(60_000, (7, 0));
    old.produce("orders", 0, &old.records(0, 3), 0);
    // Connections from 100 on are of another process.
    let mut new = Producing::new(100, "tx", true);
    new.wait(SECOND);
    new.init(60_000, (7, 1));
    new.produce("orders", 0, &new.records(0, 1), 0);
    old.wait(2 * SECOND);
    old.produce("orders", 0, &old.records(3, 1), OLD_EPOCH);
    old.end(false, FENCED);
    new.wait(3 * SECOND);
    new.end(true, 0);
    let mut all = [old.talk.events, new.talk.events].concat();
    all.sort_by_key(|event| match event {
        Captured::Data { ended, .. } => *ended,
        Captured::Opened { time, .. } => *time,
        _ => 0,
    });
    let observations = run(&all);
    let told = ended(&observations);
    assert_eq!(told, [(Fenced, 3, None), (Committed, 1, None)]);
    let pids: Vec<_> = transactions(&observations)
        .into_iter()
        .filter(|it| it.state.is_ended())
        .map(|it| (it.pid, it.producer_epoch))
        .collect();
    assert_eq!(pids, [(100, 0), (101, 1)]);
    let events = events(&observations);
    assert_eq!(events.len(), 1, "{events:?}");
    let event = events[0];
    assert_eq!((event.event, event.pid), (EventKind::Fencing, 100));
    assert_eq!(
        event.message,
        "process 101 took tx while a transaction was open"
    );
    let span = spans(&observations, SpanKind::Transaction)[0];
    assert_eq!(event.span, Some((span.trace_id, span.span_id)));
    assert_eq!(span.error, Some("ABORTED"));
}

#[test]
fn a_producer_that_is_fenced_from_elsewhere() {
    for (v2, error, name) in [
        (true, OLD_EPOCH, "INVALID_PRODUCER_EPOCH"),
        (false, FENCED, "PRODUCER_FENCED"),
    ] {
        let mut app = Producing::new(1, "tx", v2);
        app.init(60_000, (7, 0));
        app.add("orders", &[0], 0);
        app.produce("orders", 0, &app.records(0, 3), 0);
        app.end(true, error);
        app.end(false, error);
        let observations = run(&app.talk.events);
        assert_eq!(ended(&observations), [(Fenced, 3, Some(name))]);
        let events = events(&observations);
        assert_eq!(events.len(), 1);
        assert_eq!(
            (events[0].event, events[0].error),
            (EventKind::Fencing, Some(name))
        );
        assert_eq!(
            events[0].message,
            "the producer of tx in process 100 was fenced"
        );
    }
}

#[test]
fn a_client_that_begins_anew_gave_its_transaction_up() {
    let mut app = Producing::new(1, "tx", false);
    app.init(60_000, (7, 0));
    app.add("orders", &[0], 0);
    app.produce("orders", 0, &app.records(0, 2), 0);
    app.init(60_000, (7, 1));
    app.add("orders", &[0], 0);
    app.end(true, 0);
    let observations = run(&app.talk.events);
    assert_eq!(
        ended(&observations),
        [(Aborted, 2, None), (Committed, 0, None)]
    );
    assert!(events(&observations).is_empty());
}

#[test]
fn an_abortable_error_stays_with_the_transaction() {
    let mut app = Producing::new(1, "tx", true);
    app.init(60_000, (7, 0));
    app.produce("orders", 0, &app.records(0, 2), 0);
    app.produce("orders", 1, &app.records(0, 2), ABORTABLE);
    app.end(false, 0);
    let observations = run(&app.talk.events);
    let expected = [(Aborted, 2, Some("TRANSACTION_ABORTABLE"))];
    assert_eq!(ended(&observations), expected);
    let span = spans(&observations, SpanKind::Transaction)[0];
    assert_eq!(
        (span.error, span.links.len()),
        (Some("TRANSACTION_ABORTABLE"), 2)
    );
}

#[test]
fn a_transaction_hangs_and_is_then_timed_out_by_the_coordinator() {
    let mut app = Producing::new(1, "tx", true);
    app.init(5_000, (7, 0));
    let began = app.talk.clock;
    app.produce("orders", 0, &app.records(0, 2), 0);
    app.wait(20 * SECOND);
    app.produce("orders", 0, &app.records(2, 1), OLD_EPOCH);
    let observations = run(&app.talk.events);
    assert_eq!(states(&observations), [Ongoing, Hanging, TimedOut]);
    let all = transactions(&observations);
    assert_eq!(all[1].origin.time, began + 10 * SECOND);
    assert_eq!(all[2].error, Some("INVALID_PRODUCER_EPOCH"));
    let events = events(&observations);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event, EventKind::HangingTransaction);
    assert_eq!(
        events[0].message,
        "transaction of tx is open for 10000 ms, its timeout is 5000 ms"
    );
}

#[test]
fn a_hanging_transaction_may_still_be_committed() {
    let mut app = Producing::new(1, "tx", true);
    app.init(5_000, (7, 0));
    app.produce("orders", 0, &app.records(0, 2), 0);
    app.wait(12 * SECOND);
    app.end(true, 0);
    let observations = run(&app.talk.events);
    assert_eq!(states(&observations), [Ongoing, Hanging, Committed]);
}

#[test]
fn the_coordinator_ends_what_a_dead_process_left_open() {
    let mut app = Producing::new(1, "tx", true);
    app.init(5_000, (7, 0));
    let began = app.talk.clock;
    app.produce("orders", 0, &app.records(0, 2), 0);
    app.talk.close();
    let observations = run(&app.talk.events);
    assert_eq!(states(&observations), [Ongoing, TimedOut]);
    let all = transactions(&observations);
    assert_eq!(all[1].ended, Some(began + 15 * SECOND));
    assert!(events(&observations).is_empty());
}

#[test]
fn a_transaction_links_to_what_it_was_made_of() {
    let mut app = Producing::new(1, "tx", true);
    app.init(60_000, (7, 0));
    let input: Vec<Record> = records(40, 4);
    let answered = [Answered {
        high_watermark: 44,
        records: Some(batch(&input, Compression::None)),
        ..Answered::default()
    }];
    let inputs = Named::Name("in");
    app.talk.exchange(
        1,
        12,
        5,
        &fetch_request((0, 0), 1, &[(inputs, &[(0, 40)])]),
        &fetch_response(0, &[(inputs, &answered)]),
    );
    app.produce("orders", 0, &app.records(0, 1), 0);
    app.commit("readers", "in", &[(0, 43)], 0);
    app.end(true, 0);
    let observations = run(&app.talk.events);
    let span = spans(&observations, SpanKind::Transaction)[0];
    let polls = spans(&observations, SpanKind::Poll);
    let sends = spans(&observations, SpanKind::Send);
    let links: Vec<_> = span.links.iter().map(|link| link.span_id).collect();
    let mut expected = vec![sends[0].span_id];
    expected.extend(polls[0].links[..3].iter().map(|link| link.span_id));
    assert_eq!(links, expected, "the one sent, and 40 to 42");
}

#[test]
fn links_are_capped_and_the_rest_is_counted() {
    let mut app = Producing::new(1, "tx", true);
    app.init(60_000, (7, 0));
    app.produce("orders", 0, &app.records(0, 150), 0);
    app.end(true, 0);
    let observations = run(&app.talk.events);
    let span = spans(&observations, SpanKind::Transaction)[0];
    assert_eq!((span.links.len(), span.links_dropped), (128, 22));
}

/// What a client may do next.
#[derive(Clone, Debug)]
enum Do {
    Init,
    Add(i32, i16),
    Produce(i32, i16),
    Commit(i64, i16),
    End(bool, i16),
    Vanish,
    Wait(u64),
}

fn next() -> impl Strategy<Value = Do> {
    let error =
        prop_oneof![6 => Just(0), 1 => Just(BUSY), 1 => Just(ABORTABLE), 1 => Just(OLD_EPOCH)];
    prop_oneof![
        1 => Just(Do::Init),
        3 => (0..3i32, error.clone()).prop_map(|(index, error)| Do::Add(index, error)),
        4 => (0..3i32, error.clone()).prop_map(|(index, error)| Do::Produce(index, error)),
        2 => (0..99i64, error.clone()).prop_map(|(offset, error)| Do::Commit(offset, error)),
        4 => (any::<bool>(), error).prop_map(|(committed, error)| Do::End(committed, error)),
        1 => Just(Do::Vanish),
        1 => (1..30u64).prop_map(Do::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Two processes with the same transactional id do anything in any order.
    #[test]
    fn whatever_happens_a_transaction_ends_once(
        all in prop::collection::vec((any::<bool>(), next()), 1..60), v2: bool,
    ) {
        let mut apps = [Producing::new(1, "tx", v2), Producing::new(100, "tx", v2)];
        let (mut epoch, mut clock, mut asked, mut acknowledged) = (0, 0, 0, 0);
        for (which, what) in all {
            let app = &mut apps[usize::from(which)];
            app.talk.clock = app.talk.clock.max(clock);
            match what {
                Do::Init => {
                    epoch += 1;
                    app.init(10_000, (7, epoch));
                }
                Do::Add(index, error) => app.add("orders", &[index], error),
                Do::Produce(index, error) => {
                    acknowledged += u64::from(error == 0);
                    app.produce("orders", index, &app.records(0, 1), error);
                }
                Do::Commit(offset, error) => app.commit("readers", "in", &[(0, offset)], error),
                Do::End(committed, error) => {
                    asked += usize::from(error == 0);
                    app.end(committed, error);
                    epoch = epoch.max(app.producer.1);
                }
                Do::Vanish => app.ask_end(true),
                Do::Wait(seconds) => app.wait(seconds * SECOND),
            }
            clock = app.talk.clock;
        }
        let mut all = [apps[0].talk.events.clone(), apps[1].talk.events.clone()].concat();
        all.sort_by_key(|event| match event {
            Captured::Data { ended, .. } => *ended,
            Captured::Opened { time, .. } => *time,
            _ => 0,
        });
        let observations = run(&all);
        let told = transactions(&observations);
        let done: Vec<_> = told.iter().filter(|it| it.state.is_ended()).collect();
        // Each end is told at a time of its own: none ends twice.
        let mut places: Vec<_> = done.iter().map(|it| it.origin).collect();
        places.dedup();
        prop_assert_eq!(places.len(), done.len());
        let by_client = done.iter().filter(|it| matches!(it.state, Committed | Aborted));
        let inits = usize::try_from(epoch).unwrap();
        prop_assert!(by_client.count() <= asked + inits);
        let records: u64 = done.iter().map(|it| it.records).sum();
        prop_assert!(records <= acknowledged);
        for it in &told {
            prop_assert_eq!(it.ended.is_some(), it.state.is_ended());
            prop_assert!(it.began.zip(it.ended).is_none_or(|(began, ended)| began < ended));
        }
        let spans = spans(&observations, SpanKind::Transaction);
        let whole = done.iter().filter(|it| it.began.is_some());
        prop_assert_eq!(spans.len(), whole.count());
        // Sharding changes nothing.
        let (sharded, _) = run_with(&kafka_analyzer::Settings::default(), &all, 3);
        prop_assert_eq!(transactions(&sharded), told);
        prop_assert_eq!(events(&sharded), events(&observations));
    }
}

//! Spans of what the application was given: whose child they are, what they link to, what they say.

mod conversation;

use conversation::calls::*;
use conversation::*;
use kafka_analyzer::capture::{Means, Task};
use kafka_analyzer::observation::{Observation, SpanKind};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_message_has_a_span_under_its_creation_context() {
    let mut calls = Calls::default();
    let asked = calls.says(Means::Asks);
    let began = calls.of(Means::HandsOver, 1, 1);
    calls.works(MILLISECOND);
    calls.says(Means::Panics);
    let ended = calls.of(Means::Settles, 1, 1);
    let said = run_calls(calls);
    // The Fetch answer came before any hand-over was seen: it made the poll, with a link to each record.
    let [poll, _] = spans(&said, SpanKind::Poll)[..] else {
        panic!("one for each partition");
    };
    assert_eq!(poll.task, None);
    let creation = poll.links.iter().find(|link| link.offset == 1).unwrap();
    let [span] = spans(&said, SpanKind::Process)[..] else {
        panic!("one");
    };
    assert_eq!(span.trace_id, creation.trace_id);
    assert_eq!(span.parent, Some(creation.span_id));
    assert_eq!(span.links, std::slice::from_ref(creation));
    assert_eq!((span.began, span.ended), (began, ended));
    assert!(asked < began);
    assert_eq!((span.offset, span.key.as_deref()), (Some(1), Some("k1")));
    assert_eq!(
        (span.task, span.error),
        (Some(Task::Goroutine(7)), Some("panic"))
    );
    assert_eq!(
        (&*span.group, &*span.client_id, span.server),
        ("billing", "app", None)
    );
    assert_eq!(span.message_count, None);
    let ids = said.iter().find_map(|observation| match observation {
        Observation::Processing(work) => work.span,
        _ => None,
    });
    assert_eq!(ids, Some((span.trace_id, span.span_id)), "the exemplar");
}

/// sarama: the first call that is seen comes after the Fetch answer.
#[test]
fn messages_fetched_before_the_first_call_have_spans() {
    let mut calls = Calls::default();
    calls.by(5).of(Means::HandsOver, 0, 2);
    for offset in 0..3 {
        calls.by(9).of(Means::Settles, offset, offset);
    }
    let mut events = with(calls);
    events.retain(|event| !matches!(event, Captured::Call(call) if call.means == Means::TaskEnds));
    let said = told(&events).0;
    let [poll, _] = spans(&said, SpanKind::Poll)[..] else {
        panic!("told from the answer");
    };
    let found = spans(&said, SpanKind::Process);
    assert_eq!(found.len(), 3);
    for span in found {
        let creation = poll
            .links
            .iter()
            .find(|link| Some(link.offset) == span.offset);
        assert_eq!(span.parent, creation.map(|link| link.span_id));
    }
}

#[test]
fn a_context_in_the_headers_wins() {
    let mut all = records(0, 3);
    all[1] = with_header(all[1].clone(), "traceparent", PARENT);
    let unsampled = PARENT.replace("-01", "-00");
    all[2] = with_header(all[2].clone(), "traceparent", &unsampled);
    let mut calls = Calls::default();
    for offset in 0..3 {
        calls.polls(offset, offset);
    }
    calls.says(Means::Asks);
    let mut events = consumer_of(&all);
    events.extend(calls.events);
    events.sort_by_key(time_of);
    let said = told(&events).0;
    let found = spans(&said, SpanKind::Process);
    let offsets: Vec<_> = found.iter().map(|span| span.offset).collect();
    assert_eq!(
        offsets,
        [Some(0), Some(1)],
        "who does not want a trace has none"
    );
    assert_eq!(hex(&found[1].trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(
        found[1].parent.map(|id| hex(&id)),
        Some("b7ad6b7169203331".to_owned())
    );
    assert_ne!(found[0].span_id, found[1].span_id);
}

#[test]
fn a_batch_has_one_span_with_links() {
    let mut calls = Calls::default();
    calls.polls(0, 9);
    calls.works(MILLISECOND);
    calls.says(Means::SettlesAll);
    let said = run_calls(calls);
    let [span] = spans(&said, SpanKind::Process)[..] else {
        panic!("one");
    };
    assert_eq!(
        (span.parent, span.message_count, span.offset),
        (None, Some(10), Some(0))
    );
    let offsets: Vec<_> = span.links.iter().map(|link| link.offset).collect();
    assert_eq!(offsets, (0..10).collect::<Vec<_>>());
    assert_eq!((span.key.clone(), span.address.as_str()), (None, "none"));
}

#[test]
fn polls_are_told_from_hand_overs_once_there_are_some() {
    let mut calls = Calls {
        clock: MILLISECOND + 500_000,
        ..Calls::default()
    };
    // Before the Fetch answer: another message, so that hand-overs are known of.
    calls.polls(500, 500);
    calls.works(SECOND);
    let asked = calls.says(Means::Asks);
    let handed = calls.of(Means::HandsOver, 0, 2);
    calls.says(Means::Asks);
    let said = told(&with(calls)).0;
    let [poll] = spans(&said, SpanKind::Poll)[..] else {
        panic!("{:?}", spans(&said, SpanKind::Poll).len());
    };
    assert_eq!((poll.began, poll.ended), (asked, handed));
    assert_eq!((poll.message_count, poll.links.len()), (Some(3), 3));
    assert_eq!(poll.task, Some(Task::Goroutine(7)));
    assert_eq!(poll.parent, None);
}

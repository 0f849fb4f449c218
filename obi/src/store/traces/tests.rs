//! What is kept, for how long, and what is said of it.

use kafka_analyzer::observation::{Link, SpanKind};
use serde_json::Value;

use super::report::{Makes, Traces};
use super::*;
use crate::export::examples::{SECOND, at, query, request};
use crate::export::otlp::tests::span;
use crate::export::registry::Clocks;

/// `id` is the trace's, and the span's; from `began` on for `took`.
fn made(id: u16, kind: SpanKind, began: Nanos, took: Nanos) -> Span {
    let mut made = span(7, kind);
    made.trace_id[..2].copy_from_slice(&id.to_be_bytes());
    made.span_id[..2].copy_from_slice(&id.to_be_bytes());
    (made.began, made.ended, made.origin) = (began, began + took, at(began + took));
    made
}

fn add(table: &Table, span: &Span) {
    table.message(span, &"shop".into());
}

fn report(table: &Table, now: Nanos) -> Traces {
    let now = Clocks {
        event: now,
        wall: Some(1_700_000_000_000),
    };
    table.report(now, &Makes::default())
}

fn kept(table: &Table, now: Nanos) -> Vec<(String, String)> {
    let traces = report(table, now).traces.into_iter();
    let mut all: Vec<_> = traces
        .map(|t| (t.trace_id[..4].to_owned(), t.kept))
        .collect();
    all.sort();
    all
}

#[test]
fn the_slowest_and_those_with_errors_outlive_the_others() {
    let table = Table::default();
    let mut failed = made(1, SpanKind::Send, SECOND, 1_000);
    failed.error = Some("NOT_LEADER_OR_FOLLOWER");
    add(&table, &failed);
    add(&table, &made(2, SpanKind::Process, SECOND, SECOND));
    // A poll that waited for long is not slow.
    add(&table, &made(3, SpanKind::Poll, 0, 2 * SECOND));
    for id in 0..6_000 {
        let began = 2 * SECOND + u64::from(id);
        add(&table, &made(100 + id, SpanKind::Send, began, 1_000));
    }
    let all = kept(&table, 3 * SECOND);
    assert_eq!(all[0], ("0001".into(), "errors".into()));
    assert_eq!(all[1], ("0002".into(), "slowest".into()));
    assert!(!all.iter().any(|(id, _)| id == "0003"));
    assert!(all.len() <= 2_201, "{}", all.len());
    assert_eq!(report(&table, 0).forgotten as usize, 6_003 - all.len());
    let state = table.state();
    assert!(state.recent.bytes <= RECENT.bytes && state.slowest.bytes <= CHOSEN.bytes);
    drop(state);
    // It goes on: it is recent again, and the same trace.
    add(&table, &made(1, SpanKind::Poll, 3 * SECOND, 5));
    let report = report(&table, 4 * SECOND);
    let trace = report
        .traces
        .iter()
        .find(|t| t.trace_id.starts_with("0001"));
    let trace = trace.unwrap();
    assert_eq!((trace.kept.as_str(), trace.spans.len()), ("recent", 2));
    assert!(trace.failed);
}

#[test]
fn commits_by_themselves_have_their_own_room() {
    let table = Table::default();
    add(&table, &made(1, SpanKind::Send, 0, 9));
    for id in 0..1_000 {
        add(&table, &made(100 + id, SpanKind::Commit, 10, 5));
    }
    let all = kept(&table, SECOND);
    assert_eq!(all[0], ("0001".into(), "recent".into()));
    assert_eq!((all.len(), report(&table, 0).forgotten), (201, 800));
    // One that belongs to more is as the rest of its trace.
    add(&table, &made(1, SpanKind::Commit, 20, 5));
    let state = table.state();
    assert_eq!(
        (state.recent.traces.len(), state.commits.traces.len()),
        (1, 200)
    );
}

#[test]
fn nothing_stays_for_ever() {
    let table = Table::default();
    let mut failed = made(1, SpanKind::Send, 0, 1);
    failed.error = Some("TIMEOUT");
    add(&table, &failed);
    add(&table, &made(2, SpanKind::Send, 0, 9));
    assert_eq!(kept(&table, 600 * SECOND).len(), 2);
    let old = kept(&table, 602 * SECOND);
    assert_eq!(old[0], ("0001".into(), "errors".into()));
    assert_eq!(old[1], ("0002".into(), "slowest".into()));
    assert_eq!(kept(&table, 3_602 * SECOND), []);
    assert_eq!(report(&table, 0).forgotten, 2);
    let (traces, spans) = (2, 0);
    assert_eq!(table.dropped(), Dropped { traces, spans });
    let state = table.state();
    assert_eq!(
        (state.recent.bytes, state.failed.bytes, state.slowest.bytes),
        (0, 0, 0)
    );
}

#[test]
fn a_trace_does_not_fill_the_table_and_long_texts_are_cut() {
    let table = Table::default();
    for n in 0..1_000 {
        let mut span = made(1, SpanKind::Send, n, 1);
        span.key = Some("é".repeat(5_000));
        span.client_id = "c".repeat(32_000).into();
        span.links = vec![
            Link {
                trace_id: [9; 16],
                span_id: [9; 8],
                offset: 3,
                key: None,
                tombstone: false
            };
            128
        ];
        add(&table, &span);
    }
    let report = report(&table, 2_000);
    let [trace] = &report.traces[..] else {
        panic!("one")
    };
    assert_eq!((trace.spans.len(), trace.spans_left_out), (128, 872));
    assert_eq!(report.spans_left_out, 872);
    let span = &trace.spans[0];
    assert_eq!(span.key.as_ref().map(String::len), Some(255));
    assert_eq!(span.client_id.as_ref().map(String::len), Some(256));
    assert_eq!((span.links.len(), span.links_left_out), (32, 96));
    assert!(table.state().recent.bytes < 512 << 10);
}

#[test]
fn spans_of_several_services_are_one_trace_and_links_go_both_ways() {
    let table = Table::default();
    let served = request();
    table.request(&served, &"order-api".into());
    let mut send = made(1, SpanKind::Send, 12, 4_000_006);
    send.trace_id = served.ids.trace_id;
    send.parent = Some(served.ids.span_id);
    add(&table, &send);
    // A parent of another node.
    table.query(&query(), &"order-api".into());
    let mut poll = made(2, SpanKind::Poll, 0, 6_000_010);
    (poll.message_count, poll.key, poll.offset) = (Some(3), None, Some(42));
    poll.links = vec![Link {
        trace_id: send.trace_id,
        span_id: send.span_id,
        offset: 42,
        key: None,
        tombstone: false,
    }];
    table.message(&poll, &"worker".into());
    let report = report(&table, SECOND);
    let (batch, trace) = (&report.traces[0], &report.traces[1]);
    assert_eq!(batch.spans[0].links[0].name.as_deref(), Some("send orders"));
    let names: Vec<&str> = trace.spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["POST", "INSERT orders", "send orders"]);
    let [request, query, send] = &trace.spans[..] else {
        panic!("three")
    };
    assert_eq!(
        (query.parent_seen, send.parent_seen),
        (Some(false), Some(true))
    );
    assert_eq!(request.path.as_deref(), Some("/orders"));
    assert_eq!(
        query.statement.as_deref(),
        Some("INSERT INTO orders VALUES (?)")
    );
    let from = &send.linked_from[0];
    assert_eq!(
        (from.name.as_deref(), from.service.as_deref()),
        (Some("poll orders"), Some("worker"))
    );
    assert_eq!((from.offset, from.start_ms), (Some(42), Some(6.0)));
    assert_eq!(
        (trace.start_ms, trace.duration_ms),
        (1_699_999_999_001, 4.0)
    );
    let schema = include_str!("../../../../config/schema/obi.traces.1.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    jsonschema::validate(&schema, &serde_json::to_value(&report).unwrap()).unwrap();
}

//! With bytes missing there are never more calls than in truth, each is one of the true ones, and what follows is understood again.

use app_wire::{Event, Left, Losses, Piece, http1, postgres};
use proptest::prelude::*;

use crate::captures::ALL;
use crate::conversation::{Call, Parser, line, load, play, stamp};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_more_than_the_truth(
        name in prop::sample::select(&ALL[..]),
        holes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
    ) {
        let calls = load(name);
        let mut missing: Vec<Vec<bool>> = calls.iter().map(|(_, bytes)| vec![false; bytes.len()]).collect();
        for (call, from, len) in holes {
            let call = &mut missing[call.index(calls.len())];
            let from = from.index(call.len());
            let len = 1 + len.index(call.len() - from);
            call[from..from + len].fill(true);
        }
        let (out, losses) = with_gaps(&calls, &missing);
        let mut truth: Vec<String> = play(&calls).0.iter().filter_map(told).collect();
        for told in out.iter().filter_map(told) {
            let at = truth.iter().position(|true_one| *true_one == told);
            prop_assert!(at.is_some(), "{name}: {told} is not among {truth:#?} {losses:?}");
            truth.remove(at.unwrap_or(0));
        }
    }
}

/// What of an event must be true whatever was missed. A statement that was cut shows less.
fn told(event: &Event) -> Option<String> {
    match event {
        Event::Begun(_) => None,
        Event::Served(call) if call.fault.is_some() => None,
        Event::Served(call) => Some(format!(
            "{} {} {:?} {:?} {:?}",
            call.request.method,
            call.request.path,
            call.status,
            call.grpc_status,
            call.request.context
        )),
        Event::Queried(call) => Some(format!(
            "{:?} {:?} {}",
            call.sqlstate, call.rows, call.results
        )),
    }
}

fn with_gaps(calls: &[Call], missing: &[Vec<bool>]) -> (Vec<Event>, Losses) {
    let mut parser = Parser::of(calls);
    let mut out = Vec::new();
    for (at, ((read, bytes), missing)) in calls.iter().zip(missing).enumerate() {
        let mut from = 0;
        for run in missing.chunk_by(|a, b| a == b) {
            let piece = match run[0] {
                true => Piece::Gap(run.len() as u64),
                false => Piece::Bytes(&bytes[from..from + run.len()]),
            };
            parser.feed(*read, piece, stamp(at + 1), &mut out);
            from += run.len();
        }
    }
    parser.closed(&mut out);
    (out, parser.losses())
}

/// Plays calls with one of them lost to a gap.
fn without(name: &str, lost: usize) -> (Vec<String>, Losses) {
    let calls = load(name);
    let missing: Vec<Vec<bool>> = (calls.iter().enumerate())
        .map(|(at, (_, bytes))| vec![at + 1 == lost; bytes.len()])
        .collect();
    let (out, losses) = with_gaps(&calls, &missing);
    (out.iter().map(line).collect(), losses)
}

#[test]
fn known_again_after_a_lost_head() {
    // The HEAD request: its answer is passed over, the next request is seen.
    let (lines, losses) = without("http1-curl-go", 5);
    let served = lines.iter().filter(|line| line.starts_with("served"));
    assert_eq!(served.count(), 5, "{lines:#?}");
    assert_eq!((losses.gaps, losses.unanswered), (1, 0));
    // Its answer.
    let (lines, losses) = without("http1-curl-go", 6);
    let served = lines.iter().filter(|line| line.starts_with("served"));
    assert_eq!(served.count(), 5, "{lines:#?}");
    assert_eq!((losses.gaps, losses.unanswered), (1, 1));
}

#[test]
fn http2_is_let_go() {
    let (lines, losses) = without("grpc-go", 4);
    assert_eq!(lines, [""; 0]);
    assert_eq!((losses.gaps, losses.malformed), (1, 0));
}

#[test]
fn joined_in_the_middle() {
    let calls = load("http1-curl-go");
    let mut parser = Parser::Http1(Box::new(http1::Server::joined()));
    let mut out = Vec::new();
    for (at, (read, bytes)) in calls.iter().enumerate().skip(5) {
        parser.feed(*read, Piece::Bytes(bytes), stamp(at + 1), &mut out);
    }
    let served = out.iter().filter(|event| matches!(event, Event::Served(_)));
    assert_eq!(served.count(), 4);
    assert_eq!(parser.losses(), Losses::default());

    let calls = load("postgres-pgx");
    let mut parser = Parser::Postgres(Box::new(postgres::Client::joined()));
    let mut out = Vec::new();
    for (at, (read, bytes)) in calls.iter().enumerate().skip(5) {
        parser.feed(*read, Piece::Bytes(bytes), stamp(at + 1), &mut out);
    }
    // The select was prepared before, and is run twice.
    let Some(Event::Queried(first)) = out.first() else {
        panic!("{out:?}");
    };
    assert_eq!(
        (&first.statement, first.operation.as_deref()),
        (&None, Some("SELECT"))
    );
    assert_eq!(parser.losses().unknown_statements, 2);
    assert_eq!(parser.left(), Some(Left::Finished));
}

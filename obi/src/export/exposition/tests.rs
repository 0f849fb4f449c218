//! Both text formats, escapes included, and what promtool says of them.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::*;
use crate::config::Config;
use crate::export::Sinks;
use crate::export::catalogue::{Id, SECONDS};
use crate::export::registry::{Clocks, Registry};
use crate::telemetry::Telemetry;

fn filled() -> Registry {
    let registry = Registry::new(1000, 1);
    let text = |s: &str| Label::text(&s.into());
    // Comes before the other, and has none.
    registry.observe(
        Id::RequestDuration,
        &[text("a"), text(" # {x}"), Label::Word("Fetch")],
        0,
        |b| b.observe(SECONDS, 0.3),
    );
    registry.observe(
        Id::RequestDuration,
        &[text("c"), text("a\"b\\c\nd"), Label::Word("Fetch")],
        0,
        |b| {
            b.observe(SECONDS, 0.0005);
            b.observe(SECONDS, 0.3);
            b.observe(SECONDS, 11.0);
        },
    );
    for value in [0.3, 7.0, 11.0] {
        registry.mark(
            Id::RequestDuration,
            &[text("c"), text("a\"b\\c\nd"), Label::Word("Fetch")],
            Exemplar {
                value,
                at: 2_000_000_000,
                trace_id: [0xab; 16],
                span_id: [1; 8],
            },
        );
    }
    registry.add(
        Id::ProducedBytes,
        &[text("c"), text("s"), text("t"), Label::Word("none")],
        1 << 40,
        0,
    );
    registry.add(
        Id::MessagesProduced,
        &[text("c"), text("s"), text("id"), text("t"), Label::from(0)],
        3,
        0,
    );
    registry.set(
        Id::PartitionHighWatermark,
        &[text("c"), text("t"), Label::from(0)],
        5.0,
        0,
    );
    registry
}

#[test]
fn openmetrics_text() {
    insta::assert_snapshot!(
        "openmetrics",
        openmetrics(
            filled().snapshot(Clocks::default()),
            Some(1_700_000_000_123_456_789)
        )
    );
}

#[test]
fn plain_text() {
    insta::assert_snapshot!(
        "plain",
        plain(&openmetrics(filled().snapshot(Clocks::default()), None))
    );
}

/// promtool is part of the prometheus package.
#[test]
fn promtool_finds_nothing_to_mend() {
    let telemetry = Arc::new(Telemetry::default());
    telemetry.lost("ring_full", 0);
    telemetry.set_hooks([(("openssl".into(), "SSL_read".into(), "attached"), 2)].into());
    telemetry.set_processes([("instrumented", 1)].into());
    telemetry.ring_bytes.store(8 << 20, Ordering::Relaxed);
    let sinks = Sinks::new(&Config::default(), telemetry).unwrap();
    let mut snapshots = filled().snapshot(Clocks::default());
    snapshots.extend(sinks.snapshot(true));
    let text = plain(&openmetrics(snapshots, None));
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing: apt-get install prometheus");
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let answer = promtool.wait_with_output().unwrap();
    assert_eq!(
        (
            answer.status.code(),
            String::from_utf8_lossy(&answer.stdout),
            String::from_utf8_lossy(&answer.stderr)
        ),
        (Some(0), "".into(), "".into()),
        "{text}"
    );
}

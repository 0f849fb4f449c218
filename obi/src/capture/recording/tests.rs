//! Stored events come back, cuts and damage are told. In: events and mangled files; out: assertions.

use super::read::Reason;
use super::*;

fn written(events: &[CaptureEvent<'_>], payload: bool) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), payload).unwrap();
    for event in events {
        writer.event(event).unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> (Vec<String>, Option<Problem>) {
    let mut seen = Vec::new();
    let mut reader = match Reader::new(bytes) {
        Ok(reader) => reader,
        Err(problem) => return (seen, Some(problem)),
    };
    loop {
        match reader.next(&mut |event| seen.push(format!("{event:?}"))) {
            Ok(true) => {}
            Ok(false) => return (seen, None),
            Err(problem) => return (seen, Some(problem)),
        }
    }
}

fn data(direction: Direction, offset: u64, bytes: &[u8]) -> CaptureEvent<'_> {
    CaptureEvent::Data {
        connection: ConnectionId(9),
        direction,
        offset,
        began: 10,
        ended: 20,
        pid: 7,
        tid: 8,
        goroutine: None,
        source: Source::GoTls,
        bytes,
    }
}

/// ApiVersions v0, correlation id 1, client id "a".
const REQUEST: &[u8] = b"\0\0\0\x0b\0\x12\0\0\0\0\0\x01\0\x01a";

fn some() -> Vec<CaptureEvent<'static>> {
    vec![
        CaptureEvent::Clock {
            monotonic: 1,
            wall: 1_700_000_000_000_000_000,
        },
        CaptureEvent::Process(ProcessInfo {
            pid: 7,
            exe: "/bin/x".into(),
            service: "orders".into(),
            attributes: vec![("k".into(), "v".into())],
            container_id: None,
            goroutines: true,
        }),
        CaptureEvent::Opened {
            connection: ConnectionId(9),
            time: 5,
            pid: 7,
            source: Source::GoTls,
            local: None,
            peer: Some("10.0.0.1:9093".parse().unwrap()),
        },
        data(Direction::Write, 0, REQUEST),
        CaptureEvent::Gap {
            connection: ConnectionId(9),
            direction: Direction::Write,
            offset: 15,
            length: 1 << 40,
            began: 10,
            ended: 20,
            pid: 7,
            source: Source::Socket,
            reason: GapReason::Sendfile,
        },
        CaptureEvent::Closed {
            connection: ConnectionId(9),
            time: 30,
        },
        CaptureEvent::Window {
            pid: 7,
            time: 30,
            window: Window::Shut,
        },
        CaptureEvent::Exited { pid: 7, time: 31 },
    ]
}

#[test]
fn every_event_comes_back_and_ticks_are_not_stored() {
    let mut events = some();
    events.insert(3, CaptureEvent::Tick { time: 6 });
    let (seen, problem) = read(&written(&events, false));
    assert!(problem.is_none(), "{problem:?}");
    let expected: Vec<String> = some().iter().map(|event| format!("{event:?}")).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_cut_file_tells_where_and_gives_what_came_before() {
    let whole = written(&some(), false);
    let (all, _) = read(&whole);
    for cut in 0..whole.len() {
        let (seen, problem) = read(&whole[..cut]);
        let problem = problem.expect("a cut file is never whole");
        assert_eq!(seen, all[..seen.len()], "cut at {cut}");
        assert_eq!(problem.events, seen.len() as u64);
        assert!(problem.at <= cut as u64);
        let expected = match problem.reason {
            Reason::NotARecording => cut < HEADER,
            Reason::NoEnd => problem.at == cut as u64,
            Reason::Cut => problem.at < cut as u64,
            _ => false,
        };
        assert!(expected, "cut at {cut}: {problem}");
    }
}

#[test]
fn damage_is_an_error_and_never_a_panic() {
    let whole = written(&some(), true);
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            let _ = read(&damaged);
        }
    }
    assert!(matches!(
        read(b"not a recording at all").1.unwrap().reason,
        Reason::NotARecording
    ));
    let mut newer = whole;
    newer[7] = 9;
    assert_eq!(
        read(&newer).1.unwrap().to_string(),
        "the recording has format 9, this program reads 2 to 3"
    );
}

#[test]
fn the_file_is_for_its_owner_only_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.obi");
    Writer::create(&path, false).unwrap().finish().unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(Writer::create(&path, false).is_err());
}

#[test]
fn a_number_of_a_reason_never_changes() {
    let numbers: Vec<_> = REASONS.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(
        numbers,
        [
            "call_limit",
            "page_fault",
            "verdict",
            "sendfile",
            "iovecs",
            "ring_full",
            "redacted",
            "records"
        ]
    );
}

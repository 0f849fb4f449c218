//! Requests and what is done for them. In: heads, ends and times of calls; out: whose cause they are.

use std::sync::Arc;

use app_wire::{Extent, Stamp};

use super::*;
use crate::capture::ConnectionId;

const PID: Pid = 7;
const GOROUTINE: Task = Task::Goroutine(18);

fn origin(time: Nanos, connection: u64) -> Origin {
    Origin {
        time,
        connection: ConnectionId(connection),
        offset: 0,
    }
}

/// A head that was read at `time`.
fn head(time: Nanos, number: u64, context: &[(&'static str, &str)]) -> Arc<app_wire::Request> {
    of_protocol(Protocol::Http11, time, number, context)
}

fn of_protocol(
    protocol: Protocol,
    time: Nanos,
    number: u64,
    context: &[(&'static str, &str)],
) -> Arc<app_wire::Request> {
    let stamp = Stamp {
        began: time - 1,
        ended: time,
        ..Stamp::default()
    };
    Arc::new(app_wire::Request {
        number,
        protocol,
        method: "POST".to_owned(),
        path: "/orders".to_owned(),
        host: None,
        context: context
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
        head: Extent::at(stamp),
    })
}

struct Setup {
    requests: Requests,
    losses: Losses,
}

impl Setup {
    fn new(spans_per_second: u32) -> Setup {
        Setup {
            requests: Requests::new(&Settings {
                spans_per_second,
                ..Settings::default()
            }),
            losses: Losses::default(),
        }
    }

    fn begin(
        &mut self,
        time: Nanos,
        connection: u64,
        task: Task,
        context: &[(&'static str, &str)],
    ) {
        let begun = Begun {
            request: head(time, 0, context),
            task: Some(task),
        };
        let origin = origin(time, connection);
        self.requests.begun(origin, PID, &begun, &mut self.losses);
    }

    fn end(&mut self, time: Nanos, connection: u64) -> Option<Request> {
        let served = Served {
            call: app_wire::ServerCall {
                request: head(time, 0, &[]),
                received: Extent::default(),
                status: Some(200),
                grpc_status: None,
                answered: None,
                fault: None,
            },
            task: None,
            ended: time,
            encrypted: false,
            local: None,
            peer: None,
        };
        let origin = origin(time, connection);
        match self.requests.served(origin, PID, served, &mut self.losses) {
            Some(Observation::Request(request)) => Some(request),
            _ => None,
        }
    }

    fn cause(&self, task: Task, parent: Option<u64>, time: Nanos) -> Cause {
        let starter = parent.map(Task::Goroutine);
        let mut tasks = [task].into_iter().chain(starter);
        let found = tasks.find_map(|task| self.requests.of(PID, task, time));
        found.map_or(Cause::Unknown, |(_, cause)| cause)
    }
}

fn is_span(cause: &Cause) -> bool {
    matches!(cause, Cause::Span(..))
}

/// Connection 1, which goroutine 18 reads.
mod streams {
    use super::*;
    use crate::capture::{ClientCall, Means};

    const CONNECTION: u64 = 0xc000;
    const READER: Task = GOROUTINE;

    fn begin(setup: &mut Setup, time: Nanos, stream: u64, reader: Task) {
        let begun = Begun {
            request: of_protocol(Protocol::Http2, time, stream, &[]),
            task: Some(reader),
        };
        let origin = origin(time, 1);
        setup.requests.begun(origin, PID, &begun, &mut setup.losses);
    }

    /// Stream -1: it begins to read.
    fn serve(setup: &mut Setup, time: Nanos, goroutine: u64, parent: u64, stream: i64) {
        let call = ClientCall {
            task: Task::Goroutine(goroutine),
            parent: Some(parent),
            first: stream,
            last: stream,
            count: u32::from(stream >= 0),
            ..reader(time)
        };
        setup.requests.serves(&call, &mut setup.losses);
    }

    fn end(setup: &mut Setup, time: Nanos, stream: u64) -> Request {
        let served = Served {
            call: app_wire::ServerCall {
                request: of_protocol(Protocol::Http2, time, stream, &[]),
                received: Extent::default(),
                status: Some(200),
                grpc_status: None,
                answered: None,
                fault: None,
            },
            task: Some(READER),
            ended: time,
            encrypted: false,
            local: None,
            peer: None,
        };
        let origin = origin(time, 1);
        let request = setup
            .requests
            .served(origin, PID, served, &mut setup.losses);
        match request {
            Some(Observation::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn lost(setup: &Setup) -> Vec<(&'static str, u64)> {
        setup.losses.iter().collect()
    }

    #[test]
    fn each_is_served_by_its_handler() {
        let mut setup = Setup::new(1000);
        serve(&mut setup, 5, 18, 3, -1);
        begin(&mut setup, 10, 1, READER);
        begin(&mut setup, 11, 3, READER);
        assert_eq!(setup.cause(READER, None, 12), Cause::Unknown);
        // What stands behind the stream's number in memory means nothing.
        serve(&mut setup, 13, 41, 3, 3 | 7 << 32);
        serve(&mut setup, 14, 40, 3, 1);
        let causes = [40, 41].map(|id| setup.cause(Task::Goroutine(id), None, 15));
        let worker = setup.cause(Task::Goroutine(50), Some(41), 15);
        let [first, second] = [end(&mut setup, 20, 1), end(&mut setup, 21, 3)];
        for (cause, request, id) in [(&causes[0], &first, 40), (&causes[1], &second, 41)] {
            let (trace, span) = (request.ids.trace_id, request.ids.span_id);
            assert_eq!(*cause, Cause::Span(trace, span, String::new()));
            assert_eq!(request.task, Some(Task::Goroutine(id)));
        }
        assert_eq!(worker, causes[1], "started by the handler");
        assert_eq!(setup.cause(Task::Goroutine(40), None, 20), Cause::Unknown);
        assert_eq!(lost(&setup), []);
    }

    #[test]
    fn a_worker_is_at_what_it_began_last() {
        let mut setup = Setup::new(1000);
        serve(&mut setup, 5, 18, 3, -1);
        begin(&mut setup, 10, 1, READER);
        begin(&mut setup, 11, 3, READER);
        serve(&mut setup, 12, 40, 2, 1);
        let before = setup.cause(Task::Goroutine(40), None, 13);
        serve(&mut setup, 14, 40, 2, 3);
        let after = setup.cause(Task::Goroutine(40), None, 15);
        assert!(is_span(&before) && is_span(&after) && before != after);
        assert_eq!(setup.cause(Task::Goroutine(40), None, 13), before);
    }

    #[test]
    fn heads_that_the_starter_of_the_reader_or_of_the_handler_read() {
        let mut setup = Setup::new(1000);
        // gRPC reads the beginning of a connection before its reader begins.
        begin(&mut setup, 4, 1, Task::Goroutine(3));
        serve(&mut setup, 5, 18, 3, -1);
        serve(&mut setup, 6, 40, 18, 1);
        assert!(is_span(&setup.cause(Task::Goroutine(40), None, 7)));
        // Its reader began unseen.
        let mut setup = Setup::new(1000);
        begin(&mut setup, 10, 5, READER);
        serve(&mut setup, 11, 41, 18, 5);
        assert!(is_span(&setup.cause(Task::Goroutine(41), None, 12)));
        assert_eq!(lost(&setup), []);
    }

    #[test]
    fn what_is_not_known_is_counted_and_has_no_cause() {
        let mut setup = Setup::new(1000);
        begin(&mut setup, 10, 1, READER);
        serve(&mut setup, 11, 40, 3, 1);
        assert_eq!(setup.cause(Task::Goroutine(40), None, 12), Cause::Unknown);
        assert_eq!(setup.cause(READER, None, 12), Cause::Unknown);
        // A stream is served once; stream 0 is of a server within another.
        serve(&mut setup, 13, 18, 3, -1);
        serve(&mut setup, 14, 40, 3, 1);
        serve(&mut setup, 15, 41, 3, 1);
        serve(&mut setup, 16, 42, 3, 0);
        assert_eq!(lost(&setup), [("request_handler_unknown", 2)]);
        setup.requests.exited(PID);
        assert!(!setup.requests.handlers.tells(PID));
        for address in 0..20_000 {
            let call = ClientCall {
                client: address,
                ..reader(17)
            };
            setup.requests.serves(&call, &mut setup.losses);
        }
        let full = ("request_reader_table_full", 20_000 - 16_384);
        assert!(lost(&setup).contains(&full), "{:?}", lost(&setup));
        setup.requests.handlers.sweep(17 + 600_000_000_000);
        setup.requests.serves(&reader(18), &mut setup.losses);
        assert!(lost(&setup).contains(&full));
    }

    fn reader(time: Nanos) -> ClientCall {
        ClientCall {
            client: CONNECTION,
            ..ClientCall::new(Means::Serves, PID, READER, time)
        }
    }
}

#[test]
fn a_task_works_for_its_request_until_that_is_over() {
    let mut setup = Setup::new(1000);
    setup.begin(10, 1, GOROUTINE, &[]);
    assert_eq!(setup.cause(GOROUTINE, None, 9), Cause::Unknown);
    let cause = setup.cause(GOROUTINE, None, 10);
    assert!(is_span(&cause));
    assert_eq!(setup.cause(Task::Thread(18), None, 11), Cause::Unknown);
    let request = setup.end(20, 1).unwrap();
    let (trace, span) = (request.ids.trace_id, request.ids.span_id);
    assert_eq!(cause, Cause::Span(trace, span, String::new()));
    // What it asked before its end is told later.
    assert_eq!(setup.cause(GOROUTINE, None, 19), cause);
    assert_eq!(setup.cause(GOROUTINE, None, 20), Cause::Unknown);
    setup.begin(30, 2, GOROUTINE, &[]);
    let next = setup.cause(GOROUTINE, None, 31);
    assert!(is_span(&next) && next != cause);
    setup.requests.advance(20 + AFTERWARDS, &mut setup.losses);
    assert!(setup.losses.iter().next().is_none());
}

#[test]
fn a_goroutine_that_the_reader_started_works_for_its_only_request() {
    let mut setup = Setup::new(1000);
    setup.begin(10, 1, GOROUTINE, &[]);
    assert!(is_span(&setup.cause(Task::Goroutine(40), Some(18), 11)));
    assert_eq!(
        setup.cause(Task::Goroutine(40), Some(19), 11),
        Cause::Unknown
    );
    setup.begin(12, 2, GOROUTINE, &[]);
    assert!(
        is_span(&setup.cause(GOROUTINE, None, 11)),
        "the other had not begun"
    );
    assert_eq!(
        setup.cause(Task::Goroutine(40), Some(18), 13),
        Cause::Unknown
    );
    assert_eq!(setup.cause(GOROUTINE, None, 13), Cause::Unknown);
    setup.end(14, 2);
    assert!(is_span(&setup.cause(GOROUTINE, None, 15)));
}

#[test]
fn contexts() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut setup = Setup::new(1000);
    setup.begin(
        10,
        1,
        GOROUTINE,
        &[("traceparent", parent), ("tracestate", "a=1")],
    );
    let request = setup.end(20, 1).unwrap();
    assert_eq!(request.ids.trace_id[..2], [0x0a, 0xf7]);
    assert_eq!(request.ids.parent.map(|id| id[0]), Some(0xb7));
    assert_ne!(Some(request.ids.span_id), request.ids.parent);
    assert_eq!(request.ids.trace_state, "a=1");
    let unsampled = parent.replace("-01", "-00");
    setup.begin(30, 2, GOROUTINE, &[("traceparent", &unsampled)]);
    assert_eq!(setup.cause(GOROUTINE, None, 31), Cause::Unsampled);
    assert_eq!(setup.end(40, 2), None);
    setup.begin(50, 3, GOROUTINE, &[("b3", "0")]);
    assert_eq!(setup.cause(GOROUTINE, None, 51), Cause::Unsampled);
}

#[test]
fn bounded_and_counted() {
    let mut setup = Setup::new(1000);
    let most = REQUESTS_MOST as u64;
    for n in 0..most + 10 {
        setup.begin(10 + n, n, Task::Goroutine(n), &[]);
    }
    assert_eq!(setup.requests.open.len(), REQUESTS_MOST);
    assert_eq!(setup.losses.get("request_table_full"), 10);
    assert_eq!(setup.end(20_000, most + 1), None);
    assert_eq!(setup.losses.get("request_forgotten"), 1);
    // One that is over makes room.
    setup.end(20_000, 3);
    setup.begin(20_001, most + 20, GOROUTINE, &[]);
    assert_eq!(setup.losses.get("request_table_full"), 10);
    setup
        .requests
        .advance(100_000 + PATIENCE, &mut setup.losses);
    assert_eq!(setup.losses.get("request_never_ended"), most);
    assert!(setup.requests.open.is_empty() && setup.requests.tasks.is_empty());
    for n in 0..OF_TASK_MOST as u64 + 5 {
        setup.begin(PATIENCE + n, n, GOROUTINE, &[]);
    }
    assert_eq!(setup.losses.get("requests_of_task_full"), 5);
    setup.requests.exited(PID);
    assert!(setup.requests.open.is_empty() && setup.requests.tasks.is_empty());
}

#[test]
fn above_the_rate_whole_traces_are_left_out() {
    let mut setup = Setup::new(100);
    let mut shown = 0;
    for n in 0..10_000 {
        setup.begin(10 + n, n, Task::Goroutine(n), &[]);
        let cause = setup.cause(Task::Goroutine(n), None, 10 + n);
        let request = setup.end(11 + n, n);
        assert_eq!(is_span(&cause), request.is_some());
        assert_eq!(matches!(cause, Cause::Perhaps(_)), request.is_none());
        shown += u32::from(request.is_some());
    }
    assert!((100..2000).contains(&shown), "{shown}");
}

#[test]
fn a_message_that_is_kept_keeps_its_request() {
    let mut setup = Setup::new(1);
    let left_out = |setup: &mut Setup, from: u64| {
        let found = (from..from + 100).find_map(|n| {
            setup.begin(10 + n, n, Task::Goroutine(n), &[]);
            match setup.cause(Task::Goroutine(n), None, 10 + n) {
                Cause::Perhaps(key) => Some((n, key)),
                _ => None,
            }
        });
        found.unwrap()
    };
    let [in_time, late, never] = [100, 200, 300].map(|from| left_out(&mut setup, from));
    let out = &mut Vec::new();
    // While it is open: it goes as any other.
    let (n, key) = in_time;
    setup.requests.asked(key);
    let cause = setup.requests.choose(key, out);
    assert!(is_span(&cause) && out.is_empty());
    assert_eq!(setup.cause(Task::Goroutine(n), None, 1000), cause);
    let request = setup.end(2000, n).unwrap();
    let (trace, span) = (request.ids.trace_id, request.ids.span_id);
    assert_eq!(cause, Cause::Span(trace, span, String::new()));
    // After its end.
    let (n, key) = late;
    setup.requests.asked(key);
    assert_eq!(setup.end(2000, n), None);
    assert_eq!(setup.requests.held, 1);
    let cause = setup.requests.choose(key, out);
    let [Observation::Request(request)] = &out[..] else {
        panic!("{out:?}")
    };
    let (trace, span) = (request.ids.trace_id, request.ids.span_id);
    assert_eq!(cause, Cause::Span(trace, span, String::new()));
    // Nothing was sent for it, and nothing is kept of it.
    assert_eq!(setup.end(2000, never.0), None);
    assert_eq!(setup.requests.held, 0);
    // It is forgotten a while after its end.
    let (n, key) = left_out(&mut setup, 400);
    setup.requests.asked(key);
    assert_eq!(setup.end(2000, n), None);
    setup.requests.advance(2000 + AFTERWARDS, &mut setup.losses);
    assert_eq!(setup.requests.held, 0);
    assert_eq!(setup.requests.choose(key, out), Cause::Unknown);
    assert_eq!((out.len(), setup.losses.iter().next()), (1, None));
}

//! A recorded conversation, played to a parser. In: lines `r BYTES` and `w BYTES`, one a call. Out: what the parser said, one line an event.

use app_wire::{Event, Extent, Kind, Left, Losses, Piece, Stamp, classify, http1, http2, postgres};

/// One call: whether it is a read, and what it moved.
pub type Call = (bool, Vec<u8>);

pub fn load(name: &str) -> Vec<Call> {
    let path = format!("{}/tests/data/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| (line.starts_with('r'), unescape(&line[2..])))
        .collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next().unwrap() {
                b'n' => b'\n',
                b'r' => b'\r',
                b'x' => {
                    let hex = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
                }
                other => other,
            },
            byte => byte,
        });
    }
    bytes
}

/// The stamp of the n-th call of a conversation, counted from 1.
pub fn stamp(n: usize) -> Stamp {
    Stamp {
        began: 10 * n as u64,
        ended: 10 * n as u64 + 5,
        tid: 7,
        task: 3,
    }
}

#[derive(Debug)]
pub enum Parser {
    Http1(Box<http1::Server>),
    Http2(Box<http2::Server>),
    Postgres(Box<postgres::Client>),
}

impl Parser {
    pub fn of(calls: &[Call]) -> Parser {
        let first = |way| calls.iter().find(|(read, _)| *read == way);
        let bytes = |way| first(way).map_or(&b""[..], |(_, bytes)| bytes);
        match classify(bytes(true), bytes(false)) {
            Kind::Http1Server => Parser::Http1(Box::default()),
            Kind::Http2Server => Parser::Http2(Box::default()),
            Kind::PostgresClient => Parser::Postgres(Box::default()),
            other => panic!("{other:?}"),
        }
    }

    pub fn feed(&mut self, read: bool, piece: Piece, stamp: Stamp, out: &mut Vec<Event>) {
        match (self, read) {
            (Parser::Http1(parser), true) => parser.read(piece, stamp, out),
            (Parser::Http1(parser), false) => parser.written(piece, stamp, out),
            (Parser::Http2(parser), true) => parser.read(piece, stamp, out),
            (Parser::Http2(parser), false) => parser.written(piece, stamp, out),
            (Parser::Postgres(parser), true) => parser.read(piece, stamp, out),
            (Parser::Postgres(parser), false) => parser.written(piece, stamp),
        }
    }

    pub fn closed(&mut self, out: &mut Vec<Event>) {
        match self {
            Parser::Http1(parser) => parser.closed(out),
            Parser::Http2(parser) => parser.closed(out),
            Parser::Postgres(parser) => parser.closed(),
        }
    }

    pub fn losses(&mut self) -> Losses {
        match self {
            Parser::Http1(parser) => std::mem::take(parser.losses()),
            Parser::Http2(parser) => std::mem::take(parser.losses()),
            Parser::Postgres(parser) => std::mem::take(parser.losses()),
        }
    }

    pub fn left(&self) -> Option<Left> {
        match self {
            Parser::Http1(parser) => parser.left(),
            Parser::Http2(parser) => parser.left(),
            Parser::Postgres(parser) => parser.left(),
        }
    }
}

/// All events of whole calls, and what was lost.
pub fn play(calls: &[Call]) -> (Vec<Event>, Losses) {
    let mut parser = Parser::of(calls);
    let mut out = Vec::new();
    for (at, (read, bytes)) in calls.iter().enumerate() {
        parser.feed(*read, Piece::Bytes(bytes), stamp(at + 1), &mut out);
    }
    parser.closed(&mut out);
    (out, parser.losses())
}

/// `a..b`: the calls that moved the first and the last byte.
fn calls(extent: Extent) -> String {
    assert!(extent.first.ended == extent.first.began + 5 && extent.last.tid == 7);
    format!("{}..{}", extent.first.began / 10, extent.last.began / 10)
}

pub fn line(event: &Event) -> String {
    match event {
        Event::Begun(request) => format!(
            "begun {} {:?} {} {} {} {:?}",
            request.number,
            request.protocol,
            request.method,
            request.path,
            calls(request.head),
            request.context
        ),
        Event::Served(call) => format!(
            "served {} {:?} grpc {:?} {} -> {} {:?}",
            call.request.number,
            call.status,
            call.grpc_status,
            calls(call.received),
            call.answered.map(calls).unwrap_or_default(),
            call.fault
        ),
        Event::Queried(call) => format!(
            "{} {} | {:?} rows {:?} of {} {} -> {}{}",
            call.operation.as_deref().unwrap_or("-"),
            call.collection.as_deref().unwrap_or("-"),
            call.statement.as_deref().unwrap_or("-"),
            call.rows,
            call.results,
            calls(call.asked),
            calls(call.answered),
            call.sqlstate
                .as_deref()
                .map(|code| format!(" {code}"))
                .unwrap_or_default(),
        ),
    }
}

//! Conversations that are rare in the wild, written by hand: `r` and `w` calls, and the lines that they give.

use app_wire::{Left, Losses};

use crate::conversation::{Call, Parser, line, stamp};
use app_wire::Piece;

struct Script<'a> {
    name: &'a str,
    calls: &'a [(char, &'a [u8])],
    want: &'a [&'a str],
    left: Option<Left>,
    losses: Losses,
}

fn check(script: Script) {
    let calls: Vec<Call> = (script.calls.iter())
        .map(|(way, bytes)| (*way == 'r', bytes.to_vec()))
        .collect();
    let mut parser = Parser::of(&calls);
    let mut out = Vec::new();
    for (at, (read, bytes)) in calls.iter().enumerate() {
        parser.feed(*read, Piece::Bytes(bytes), stamp(at + 1), &mut out);
    }
    let left = parser.left();
    parser.closed(&mut out);
    let got: Vec<String> = (out.iter().map(line))
        .filter(|line| !line.starts_with("begun"))
        .collect();
    assert_eq!(got, script.want, "{}", script.name);
    assert_eq!(left, script.left, "{}", script.name);
    assert_eq!(parser.losses(), script.losses, "{}", script.name);
}

const NONE: Losses = Losses {
    gaps: 0,
    oversized: 0,
    malformed: 0,
    unpaired: 0,
    unanswered: 0,
    unknown_statements: 0,
};

#[test]
fn http1() {
    check(Script {
        name: "pipelining; answers without bodies; the connection ends before the last answer",
        calls: &[
            ('r', b"GET /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\n\r\nPUT /c HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi\r\nGET /d HTTP/1.1\r\n\r\n"),
            ('w', b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"),
        ],
        want: &[
            "served 0 Some(204) grpc None 1..1 -> 2..2 None",
            "served 1 Some(200) grpc None 1..1 -> 2..2 None",
            "served 2 Some(304) grpc None 1..1 -> 2..2 None",
            "served 3 Some(200) grpc None 1..1 -> 2..2 Some(Closed)",
        ],
        left: None,
        losses: NONE,
    });
    check(Script {
        name: "a websocket",
        calls: &[
            ('r', b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
            (
                'w',
                b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x05hello",
            ),
            ('r', b"\x81\x05hello"),
        ],
        want: &["served 0 Some(101) grpc None 1..1 -> 2..2 None"],
        left: Some(Left::Upgraded),
        losses: NONE,
    });
    check(Script {
        name: "a tunnel",
        calls: &[
            ('r', b"CONNECT a:1 HTTP/1.1\r\n\r\n"),
            ('w', b"HTTP/1.1 200 OK\r\n\r\n"),
            ('r', b"\x16\x03\x01"),
        ],
        want: &["served 0 Some(200) grpc None 1..1 -> 2..2 None"],
        left: Some(Left::Tunnel),
        losses: NONE,
    });
    check(Script {
        name: "an answer that nobody asked for",
        calls: &[
            ('r', b"GET / HTTP/1.0\r\n\r\n"),
            ('w', b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
            (
                'w',
                b"HTTP/1.0 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
            ),
        ],
        want: &["served 0 Some(200) grpc None 1..1 -> 2..2 None"],
        left: None,
        losses: Losses {
            unpaired: 1,
            ..NONE
        },
    });
    check(Script {
        name: "two lengths: nobody knows where the body ends",
        calls: &[(
            'r',
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        )],
        want: &[],
        left: Some(Left::Foreign),
        losses: Losses {
            malformed: 1,
            ..NONE
        },
    });
}

#[test]
fn http2() {
    const ASK: &[u8] =
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x09\x01\x0d\0\0\0\x01\x02\x82\x84\x86\x41\x01a\0\0";
    check(Script {
        name: "padding; a reset by the client; frames that nobody knows",
        calls: &[
            ('r', ASK),
            (
                'w',
                b"\0\0\x02\xbb\0\0\0\0\0ab\0\0\x01\x01\x04\0\0\0\x01\x88",
            ),
            ('r', b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08"),
        ],
        want: &["served 1 Some(200) grpc None 1..1 -> 2..2 Some(Reset(8))"],
        left: None,
        losses: NONE,
    });
    check(Script {
        name: "a head in two frames, trailers, a promise in between",
        calls: &[
            ('r', ASK),
            ('w', b"\0\0\x01\x01\0\0\0\0\x01\x88\0\0\0\x09\x04\0\0\0\x01"),
            (
                'w',
                b"\0\0\x05\x05\x04\0\0\0\x01\0\0\0\x02\x82\0\0\x03\0\0\0\0\0\x01abc",
            ),
            ('w', b"\0\0\x10\x01\x05\0\0\0\x01\0\x0bgrpc-status\x0213"),
        ],
        want: &["served 1 Some(200) grpc Some(13) 1..1 -> 2..4 None"],
        left: None,
        losses: NONE,
    });
    check(Script {
        name: "another frame within a head",
        calls: &[
            ('r', ASK),
            ('w', b"\0\0\x01\x01\0\0\0\0\x01\x88\0\0\0\x04\0\0\0\0\0"),
        ],
        want: &[],
        left: Some(Left::Foreign),
        losses: Losses {
            malformed: 1,
            unanswered: 1,
            ..NONE
        },
    });
}

const STARTUP: &[u8] = b"\0\0\0\x10\0\x03\0\0user\0a\0\0";
const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

#[test]
fn postgres() {
    check(Script {
        name: "TLS begins",
        calls: &[
            ('w', b"\0\0\0\x08\x04\xd2\x16\x2f"),
            ('r', b"S"),
            ('w', b"\x16\x03\x01"),
        ],
        want: &[],
        left: Some(Left::Encrypted),
        losses: NONE,
    });
    check(Script {
        name: "TLS is declined; protocol 3.2; two results and an error in one query; a notice",
        calls: &[
            ('w', b"\0\0\0\x08\x04\xd2\x16\x2f"),
            ('r', b"N"),
            ('w', b"\0\0\0\x10\0\x03\0\x02user\0a\0\0"),
            ('r', WELCOME),
            ('w', b"Q\0\0\0\x15select 1; boo 'x'\0"),
            ('r', b"N\0\0\0\x05\0C\0\0\0\x0dSELECT 1\0"),
            ('r', b"E\0\0\0\x1aSERROR\0VERROR\0C42601\0\0Z\0\0\0\x05I"),
        ],
        want: &["SELECT - | \"select ?; boo ?\" rows Some(1) of 1 5..5 -> 6..7 42601"],
        left: None,
        losses: NONE,
    });
    check(Script {
        name: "a cursor's two fetches",
        calls: &[
            ('w', STARTUP),
            ('r', WELCOME),
            ('w', b"P\0\0\0\x17\0select * from t\0\0\0B\0\0\0\x0dp\0\0\0\0\0\0\0\0E\0\0\0\x0ap\0\0\0\0\x01S\0\0\0\x04"),
            ('r', b"1\0\0\0\x042\0\0\0\x04s\0\0\0\x04Z\0\0\0\x05T"),
            ('w', b"E\0\0\0\x0ap\0\0\0\0\x01S\0\0\0\x04"),
            ('r', b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05T"),
        ],
        want: &[
            "SELECT t | \"select * from t\" rows None of 1 3..3 -> 4..4",
            "SELECT t | \"select * from t\" rows Some(1) of 1 5..5 -> 6..6",
        ],
        left: None,
        losses: NONE,
    });
    check(Script {
        name: "COPY by Execute: the Sync sent along is skipped",
        calls: &[
            ('w', STARTUP),
            ('r', WELCOME),
            ('w', b"P\0\0\0\x19\0copy t from stdin\0\0\0B\0\0\0\x0c\0\0\0\0\0\0\0\0E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04"),
            ('r', b"1\0\0\0\x042\0\0\0\x04G\0\0\0\x07\0\0\0"),
            ('w', b"d\0\0\0\x06a\nc\0\0\0\x04S\0\0\0\x04"),
            ('r', b"C\0\0\0\x0bCOPY 1\0Z\0\0\0\x05I"),
            ('w', b"Q\0\0\0\x0bcommit\0"),
            ('r', b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I"),
        ],
        want: &[
            "COPY t | \"copy t from stdin\" rows Some(1) of 1 3..3 -> 4..6",
            "COMMIT - | \"commit\" rows None of 1 7..7 -> 8..8",
        ],
        left: None,
        losses: NONE,
    });
    check(Script {
        name: "cancel",
        calls: &[('w', b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02")],
        want: &[],
        left: Some(Left::Finished),
        losses: NONE,
    });
}

//! Each conversation gives these calls, loses nothing, and leaves no secret in an event or in the parser.

use app_wire::{Losses, Piece};

use crate::conversation::{Parser, line, load, play, stamp};

fn check(name: &str, want: &[&str]) {
    let (events, losses) = play(&load(name));
    let got: Vec<String> = events.iter().map(line).collect();
    assert_eq!(got, want, "{name}");
    assert_eq!(losses, Losses::default(), "{name}");
}

#[test]
fn http1_curl_go() {
    check(
        "http1-curl-go",
        &[
            r#"begun 0 Http11 GET /stream 1..1 []"#,
            r#"served 0 Some(200) grpc None 1..1 -> 2..4 None"#,
            r#"begun 1 Http11 HEAD /orders 5..5 []"#,
            r#"served 1 Some(201) grpc None 5..5 -> 6..6 None"#,
            r#"begun 2 Http11 POST /orders 7..7 [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("tracestate", "a=1")]"#,
            r#"served 2 Some(201) grpc None 7..7 -> 8..8 None"#,
            r#"begun 3 Http11 POST /orders 9..9 []"#,
            r#"served 3 Some(201) grpc None 9..11 -> 12..12 None"#,
            r#"begun 4 Http11 GET /nowhere 13..13 []"#,
            r#"served 4 Some(404) grpc None 13..13 -> 14..14 None"#,
            r#"begun 5 Http11 POST /orders 15..15 [("b3", "1-2-1")]"#,
            r#"served 5 Some(201) grpc None 15..15 -> 16..16 None"#,
        ],
    );
}

#[test]
fn http1_curl_10() {
    check(
        "http1-curl-10",
        &[
            r#"begun 0 Http10 GET /stream 1..1 []"#,
            r#"served 0 Some(200) grpc None 1..1 -> 2..4 None"#,
        ],
    );
}

#[test]
fn http1_go_go() {
    check(
        "http1-go-go",
        &[
            r#"begun 0 Http11 POST /orders 1..1 []"#,
            r#"served 0 Some(201) grpc None 1..1 -> 2..2 None"#,
            r#"begun 1 Http11 POST /stream 3..3 []"#,
            r#"served 1 Some(200) grpc None 3..3 -> 4..4 None"#,
        ],
    );
}

#[test]
fn http2_curl_go() {
    check(
        "http2-curl-go",
        &[
            r#"begun 1 Http2 POST /stream 3..3 []"#,
            r#"served 1 Some(200) grpc None 3..3 -> 4..4 None"#,
        ],
    );
}

#[test]
fn grpc_go() {
    check(
        "grpc-go",
        &[
            r#"begun 1 Grpc POST /helloworld.Greeter/SayHello 4..4 [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")]"#,
            r#"served 1 Some(200) grpc Some(0) 4..4 -> 5..5 None"#,
            r#"begun 3 Grpc POST /helloworld.Greeter/SayHello 6..6 [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]"#,
            r#"served 3 Some(200) grpc Some(0) 6..6 -> 7..7 None"#,
            r#"begun 5 Grpc POST /helloworld.Greeter/SayHello 8..8 [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02")]"#,
            r#"served 5 Some(200) grpc Some(5) 8..8 -> 9..9 None"#,
        ],
    );
}

#[test]
fn postgres_psql() {
    check(
        "postgres-psql",
        &[
            r#"DROP - | "drop table if exists orders;" rows None of 1 7..7 -> 8..8"#,
            r#"CREATE - | "create table orders (id int primary key, name text);" rows None of 1 9..9 -> 10..10"#,
            r#"INSERT orders | "insert into orders values (?, ?), (?, ?);" rows Some(2) of 1 11..11 -> 12..12"#,
            r#"SELECT orders | "select id, name from orders where name like ? ;" rows Some(2) of 1 13..13 -> 14..14"#,
            r#"SELECT - | "select ? ; select ? ; update orders set name = ? where id = ?;" rows Some(3) of 3 15..15 -> 16..16"#,
            r#"COPY orders | "copy orders from stdin;" rows Some(2) of 1 17..17 -> 18..20"#,
            r#"COPY orders | "copy orders to stdout;" rows Some(4) of 1 21..21 -> 22..22"#,
            r#"INSERT orders | "insert into orders values (?, ?);" rows None of 0 23..23 -> 24..24 23505"#,
            r#"SELECT nowhere | "select nothing from nowhere;" rows None of 0 26..26 -> 27..27 42P01"#,
            r#"BEGIN - | "begin;" rows None of 1 28..28 -> 29..29"#,
            r#"DELETE orders | "delete from orders where id > ?;" rows Some(2) of 1 30..30 -> 31..31"#,
            r#"COMMIT - | "commit;" rows None of 1 32..32 -> 33..33"#,
        ],
    );
}

#[test]
fn postgres_lib_pq() {
    check(
        "postgres-lib-pq",
        &[
            r#"INSERT orders | "insert into orders values ($1, $2)" rows Some(1) of 1 7..7 -> 8..8"#,
            r#"INSERT orders | "insert into orders values ($1, $2)" rows None of 0 11..11 -> 12..12 23505"#,
            r#"SELECT orders | "select name from orders where id = $1" rows Some(0) of 1 15..15 -> 16..16"#,
            r#"SELECT orders | "select name from orders where id = $1" rows Some(1) of 1 17..17 -> 18..18"#,
            r#"UPDATE orders | "update orders set name = ?" rows Some(3) of 1 21..21 -> 22..22"#,
            r#"SELECT nowhere | "select wrong from nowhere" rows None of 0 23..23 -> 24..24 42P01"#,
        ],
    );
}

#[test]
fn postgres_pgx() {
    check(
        "postgres-pgx",
        &[
            r#"SELECT orders | "select name from orders where id = $1" rows Some(1) of 1 7..7 -> 8..8"#,
            r#"SELECT orders | "select name from orders where id = $1" rows Some(1) of 1 9..9 -> 10..10"#,
            r#"INSERT orders | "insert into orders values ($1, $2)" rows Some(1) of 1 13..13 -> 14..14"#,
            r#"INSERT orders | "insert into orders values ($1, $2)" rows Some(1) of 1 13..13 -> 14..14"#,
            r#"DELETE orders | "delete from orders where id = $1" rows Some(1) of 1 13..13 -> 14..14"#,
            r#"INSERT orders | "insert into orders values ($1, $2)" rows Some(1) of 1 15..15 -> 16..16"#,
            r#"INSERT orders | "insert into orders values ($1, $2)" rows None of 0 15..15 -> 16..16 23505"#,
            r#"COPY orders | "copy \"orders\" ( \"id\", \"name\" ) from stdin binary;" rows Some(1) of 1 20..20 -> 21..22"#,
            r#"SELECT - | "select pg_sleep(?), ?" rows Some(1) of 1 25..25 -> 26..26"#,
            r#"SELECT nowhere | "select wrong from nowhere" rows None of 0 27..27 -> 28..28 42P01"#,
        ],
    );
}

#[test]
fn nothing_secret_is_kept() {
    for name in ALL {
        let calls = load(name);
        let mut parser = Parser::of(&calls);
        let mut out = Vec::new();
        let passed: Vec<u8> = calls.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        // Huffman-coded, it does not stand there in plain.
        let coded = name.starts_with("grpc") || name.starts_with("http2");
        let there = |secret: &[u8]| passed.windows(secret.len()).any(|window| window == secret);
        assert!(
            coded || !name.contains("curl-go") || there(b"hunter2"),
            "{name}"
        );
        for (at, (read, bytes)) in calls.iter().enumerate() {
            // Byte for byte, so that each buffer is looked at while it fills.
            for byte in bytes {
                parser.feed(*read, Piece::Bytes(&[*byte]), stamp(at + 1), &mut out);
            }
            // Byte slices are printed as numbers.
            let shown = format!("{parser:?} {out:?}");
            let numbers = format!("{:?}", b"hunter2");
            for secret in ["hunter2", "4111", numbers.trim_matches(['[', ']'])] {
                assert!(!shown.contains(secret), "{name}: {secret} in {shown}");
            }
        }
    }
}

pub const ALL: [&str; 8] = [
    "http1-curl-go",
    "http1-curl-10",
    "http1-go-go",
    "http2-curl-go",
    "grpc-go",
    "postgres-psql",
    "postgres-lib-pq",
    "postgres-pgx",
];

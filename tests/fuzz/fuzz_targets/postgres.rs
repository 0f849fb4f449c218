//! A conversation with a server of PostgreSQL. Texts stay within their cap and are valid to show; what is not the protocol is counted.
#![no_main]

mod app_pieces;

use app_wire::{Event, call::STATEMENT, postgres::Client};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for mut client in [Client::default(), Client::joined()] {
        let mut out = Vec::new();
        app_pieces::pieces(input, |read, piece, stamp| match read {
            true => client.read(piece, stamp, &mut out),
            false => client.written(piece, stamp),
        });
        client.closed();
        for event in out {
            let Event::Queried(call) = event else {
                unreachable!("no server here")
            };
            let text = call.statement.unwrap_or_default();
            // A quote is left only within a quoted name.
            assert!(text.len() <= STATEMENT && (text.contains('"') || !text.contains('\'')));
        }
    }
});

//! A conversation with a server of HTTP/1. No more answers come out than requests, each request is answered once at most.
#![no_main]

mod app_pieces;

use std::collections::BTreeSet;

use app_wire::{Event, http1::Server};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for mut server in [Server::default(), Server::joined()] {
        let mut out = Vec::new();
        app_pieces::pieces(input, |read, piece, stamp| match read {
            true => server.read(piece, stamp, &mut out),
            false => server.written(piece, stamp, &mut out),
        });
        server.closed(&mut out);
        let mut open = BTreeSet::new();
        for event in out {
            match event {
                Event::Begun(request) => assert!(open.insert(request.number)),
                Event::Served(call) => assert!(open.remove(&call.request.number)),
                Event::Queried(_) => unreachable!("no database here"),
            }
        }
        let losses = server.losses();
        assert_eq!(losses.unanswered, open.len() as u64);
    }
});

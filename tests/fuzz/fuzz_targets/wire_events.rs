//! What a body says, as text, for the wire targets. In: a body and how it is cut; out: its events, checked to be well formed.
//!
//! Pieces of compressed bodies are joined, so that any cut of the same body must give the same text.

use kafka_wire::Segment;
use kafka_wire::body::{Decoder, Event, Limits, Side};

/// Vectors double, and aborted transactions have a cap of their own.
const HELD: usize = 2 * 10_240 + 70 * 1024;

/// Decodes `body` whole and in pieces of `size` bytes (0: not again); both must say the same, with little held in between.
pub fn check(side: Side, key: i16, version: i16, body: &[u8], size: usize, streamed: bool) {
    let once = events(side, key, version, body, body.len().max(1), streamed);
    if size > 0 {
        assert_eq!(events(side, key, version, body, size, streamed), once);
    }
}

/// Decodes `body` with every `nth` piece of `size` bytes missing.
#[allow(
    dead_code,
    reason = "each target compiles this file; not all of them leave gaps"
)]
pub fn check_gaps(side: Side, key: i16, version: i16, body: &[u8], size: usize, nth: usize) {
    let mut decoder = Decoder::new(side, key, version, body.len() as u64, Limits::default());
    let mut said = Said::default();
    for (i, piece) in body.chunks(size.max(1)).enumerate() {
        let segment = if i % nth.max(2) == 1 {
            Segment::Elided(piece.len() as u64)
        } else {
            Segment::Bytes(piece)
        };
        decoder.feed(segment, &mut |event| said.hear(event));
    }
    decoder.finish(&mut |event| said.hear(event));
    said.end();
}

fn events(
    side: Side,
    key: i16,
    version: i16,
    body: &[u8],
    size: usize,
    streamed: bool,
) -> Vec<String> {
    let mut decoder = Decoder::new(side, key, version, body.len() as u64, Limits::default());
    let mut said = Said::default();
    for piece in body.chunks(size) {
        decoder.feed(Segment::Bytes(piece), &mut |event| said.hear(event));
        assert!(
            !streamed || decoder.held() < HELD,
            "{} bytes are held",
            decoder.held()
        );
    }
    decoder.finish(&mut |event| said.hear(event));
    said.end()
}

#[derive(Default)]
struct Said {
    events: Vec<String>,
    compressed: Vec<u8>,
    ended: bool,
    undecodable: bool,
}

impl Said {
    fn hear(&mut self, event: Event<'_>) {
        assert!(!self.ended, "nothing follows the end");
        match event {
            Event::Compressed { piece, .. } => return self.compressed.extend_from_slice(piece),
            Event::Undecodable { .. } => self.undecodable = true,
            Event::End { complete } => {
                assert!(!(self.undecodable && complete));
                self.ended = true;
            }
            _ => assert!(!self.undecodable, "only the end follows"),
        }
        if !self.compressed.is_empty() {
            self.events
                .push(format!("{:?}", std::mem::take(&mut self.compressed)));
        }
        self.events.push(format!("{event:?}"));
    }

    fn end(self) -> Vec<String> {
        assert!(self.ended);
        self.events
    }
}

//! The walk of the kernel side over frames. In: Produce requests, Fetch and ShareFetch answers of every version, cut into calls anyhow; out: what
//! decoders read of the bytes that it would copy, compared with what they read of all, and how many bytes it leaves out.

#[allow(dead_code)]
#[path = "../../kafka-wire/tests/wire"]
mod wire {
    pub mod model;
    pub mod seen;
    pub mod writer;
}

use kafka_wire::Segment;
use kafka_wire::api::is_flexible;
use kafka_wire::body::{Limits, Side};
use kafka_wire::record_batch::BatchHeader;
use obi::attach::layouts::{Layouts, known};
use obi_abi::walk::{Around, OF_ANSWER, Took, Walk};
use proptest::prelude::*;

use wire::{model, seen, writer};

use model::{Batch, Body, body};
use seen::{Seen, decode};
use writer::Writer;

struct Here<'a> {
    known: &'a Layouts,
    wire: &'a [u8],
    at: usize,
    asked: Vec<(u32, u8)>,
}

impl Around for Here<'_> {
    const BODY_LEAST: u64 = 1;

    fn bytes(&mut self, n: u32) -> Option<u64> {
        let bytes = &self.wire[self.at..][..n as usize];
        Some(
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        )
    }

    fn step(&mut self, layout: u8, at: u8) -> u32 {
        self.known.layouts[usize::from(layout)].steps[usize::from(at)]
    }

    fn request(&mut self, key: u32, correlation_id: u32) -> Option<u8> {
        let (_, layout) = self.known.of.iter().find(|(message, _)| *message == key)?;
        if layout & OF_ANSWER == 0 {
            return Some(*layout as u8);
        }
        self.asked.push((correlation_id, *layout as u8));
        None
    }

    fn answer(&mut self, correlation_id: u32) -> Option<u8> {
        let mut asked = self.asked.iter();
        let at = asked.position(|(asked, _)| *asked == correlation_id)?;
        Some(self.asked.remove(at).1)
    }
}

/// Which bytes of one direction are stepped over when they come in calls of `size` bytes.
fn over(here: &mut Here<'_>, requests: bool, size: usize) -> Vec<bool> {
    let mut walk = Walk::NEW;
    let mut over = Vec::new();
    while over.len() < here.wire.len() {
        let end = here.wire.len().min(over.len() + size);
        walk.begin(over.len() as u64, (end - over.len()) as u64);
        let mut steps = 0;
        while over.len() < end {
            here.at = over.len();
            match walk.step(requests, (end - over.len()) as u64, here) {
                Took::Copy(n) => over.extend(std::iter::repeat_n(false, n as usize)),
                Took::Over(n) => over.extend(std::iter::repeat_n(true, n as usize)),
                Took::Lost => over.resize(end, false),
            }
            steps += 1;
            assert!(steps < 10_000, "it goes on and on");
        }
        assert_eq!(over.len(), end, "no byte of the next call");
    }
    over
}

const CORRELATION_ID: i32 = 0x0102_0304;

fn frame(rest: &[u8]) -> Vec<u8> {
    [&(rest.len() as u32).to_be_bytes()[..], rest].concat()
}

/// The request up to its body, or up to its end.
fn request_head(body: &Body) -> Writer {
    let mut w = Writer::new(is_flexible(body.key(), body.version));
    w.i16(body.key()).i16(body.version).i32(CORRELATION_ID);
    w.i16(4).raw(b"anna").tags(&[]);
    w
}

/// The stream of requests and the stream of answers, and where the body begins in its own; `again`: so many frames like it.
fn streams(body: &Body, bytes: &[u8], again: usize) -> (Vec<u8>, Vec<u8>, usize) {
    let mut head = request_head(body);
    if body.side == Side::Request {
        let at = 4 + head.out.len();
        return (
            frame(head.raw(bytes).out.as_slice()).repeat(again),
            Vec::new(),
            at,
        );
    }
    let mut answer = Writer::new(head.flexible);
    answer.i32(CORRELATION_ID).tags(&[]);
    let at = 4 + answer.out.len();
    (
        frame(&head.out).repeat(again),
        frame(answer.raw(bytes).out.as_slice()).repeat(again),
        at,
    )
}

/// Which bytes of the body are left out; of the second frame of two, the same.
fn left_out(known: &Layouts, body: &Body, bytes: &[u8], size: usize) -> Vec<bool> {
    let (requests, answers, at) = streams(body, bytes, 2);
    let mut here = Here {
        known,
        wire: &requests,
        at: 0,
        asked: Vec::new(),
    };
    let mut all = over(&mut here, true, size);
    if body.side == Side::Response {
        assert!(all.iter().all(|over| !over), "a request without records");
        here.wire = &answers;
        all = over(&mut here, false, size);
    }
    let (first, second) = all.split_at(all.len() / 2);
    assert_eq!(first, second, "every frame alike");
    assert!(first[..at].iter().all(|over| !over), "heads stay");
    first[at..].to_vec()
}

fn read(body: &Body, bytes: &[u8], over: &[bool]) -> Vec<Seen> {
    let mut at = 0;
    let segments: Vec<_> = over
        .chunk_by(|a, b| a == b)
        .map(|run| {
            let bytes = &bytes[at..][..run.len()];
            at += run.len();
            match run[0] {
                true => Segment::Elided(bytes.len() as u64),
                false => Segment::Bytes(bytes),
            }
        })
        .collect();
    decode(
        body.side,
        body.key(),
        body.version,
        bytes.len(),
        Limits::default(),
        &segments,
    )
}

/// But for records, and whether they came.
fn without_records(seen: Vec<Seen>) -> Vec<Seen> {
    let of_records = |seen: &Seen| {
        matches!(
            seen,
            Seen::Record(_) | Seen::Compressed(_) | Seen::BatchEnd(_)
        )
    };
    seen.into_iter().filter(|seen| !of_records(seen)).collect()
}

/// Bytes of bodies that need not be copied: of batches of magic 2, without holes in their offsets.
fn bodies(seen: &[Seen]) -> usize {
    let may_go = |header: &&BatchHeader| {
        header.magic == 2
            && i64::from(header.records_count) == i64::from(header.last_offset_delta) + 1
    };
    let headers = seen.iter().filter_map(|seen| match seen {
        Seen::Batch(header) => Some(header),
        _ => None,
    });
    headers
        .filter(may_go)
        .map(|header| header.body_len as usize)
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_left_out_says_nothing_else(body in body(), size in 1usize..200) {
        let (bytes, _) = body.encode();
        let over = left_out(&known(), &body, &bytes, size);
        let whole = read(&body, &bytes, &vec![false; bytes.len()]);
        prop_assert_eq!(without_records(read(&body, &bytes, &over)), without_records(whole));
    }

    #[test]
    fn all_bodies_are_left_out(mut body in body(), size in 1usize..200) {
        // Older messages beside batches are copied with all that follows.
        for partition in body.topics.iter_mut().flat_map(|topic| &mut topic.2) {
            partition.cut.clear();
            let batches = partition.batches.iter_mut();
            batches.for_each(|batches| batches.retain(|batch| matches!(batch, Batch::V2 { .. })));
        }
        let (bytes, seen) = body.encode();
        let known = known();
        let over = left_out(&known, &body, &bytes, size);
        let message = (body.key() as u32) << 16 | body.version as u32;
        let expected = match known.of.iter().any(|(of, _)| *of == message) {
            true => bodies(&seen),
            false => 0,
        };
        prop_assert_eq!(over.iter().filter(|over| **over).count(), expected);
    }

    #[test]
    fn any_bytes_are_walked_to_their_end(bytes in prop::collection::vec(any::<u8>(), 0..2000), size in 1usize..200, requests: bool) {
        let known = known();
        let mut here = Here { known: &known, wire: &bytes, at: 0, asked: vec![(0, 20), (1, 0)] };
        over(&mut here, requests, size);
    }
}

#[test]
fn an_answer_that_nobody_waits_for_begins_nothing() {
    let body = frame(&[&CORRELATION_ID.to_be_bytes()[..], &[0; 100]].concat());
    let known = known();
    let mut here = Here {
        known: &known,
        wire: &body,
        at: 0,
        asked: Vec::new(),
    };
    let mut walk = Walk::NEW;
    walk.begin(0, body.len() as u64);
    assert_eq!(walk.step(false, 104, &mut here), Took::Copy(4));
    here.at = 4;
    assert_eq!(walk.step(false, 100, &mut here), Took::Lost);
}

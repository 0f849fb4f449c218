//! Is this Kafka, and which end of it? In: the first bytes of both directions; out: a role and a verdict for the kernel side.
//!
//! A plausible request in the written direction makes a client; that the read direction began with a request whose correlation id the written one
//! repeats makes a broker's end, which nobody reads. TLS records on a plaintext socket and HTTP are let go at once. A stream that is joined in the
//! middle of a long call shows no request in its first 4 KiB: it is copied on for a bounded while. This trades a little copying for never needing
//! a client to reconnect.

use kafka_wire::Segment;
use kafka_wire::header::{Plausible, plausible_request};

use crate::capture::{Copy, Direction, Protocol, Source, Verdict};
use crate::connection::{Connection, Out, Role};
use crate::reassembly::Piece;

/// What the kernel side copies of a direction without a verdict.
const FIRST_LOOK: u64 = 4096;
/// Then boundaries are hunted for this long.
const LONG_LOOK: u64 = 1 << 20;
const CALLS_MOST: u32 = 256;
/// Frames in a row that name the same client are no chance.
const ALIKE: u32 = 3;
/// Requests without any answer or likeness: a mistake.
const UNPROVEN_MOST: u32 = 64;

/// First bytes of both directions.
#[derive(Debug, Default)]
pub(crate) struct Sniffed {
    written: First,
    read: First,
    looking_longer: bool,
    alike: u32,
    unproven: u32,
}

#[derive(Debug, Default)]
struct First {
    bytes: Vec<u8>,
    ended: bool,
}

/// Enough for a request header with the correlation id and the start of the client id.
const FIRST: usize = 16;

impl First {
    fn add(&mut self, segment: Segment<'_>) {
        match segment {
            Segment::Bytes(bytes) if !self.ended => {
                self.bytes
                    .extend(bytes.iter().take(FIRST.saturating_sub(self.bytes.len())));
                self.ended = self.bytes.len() >= FIRST;
            }
            _ => self.ended = true,
        }
    }

    fn word(&self, at: usize) -> Option<&[u8]> {
        self.bytes.get(at..at + 4)
    }
}

impl Connection {
    /// Takes the next piece of a direction.
    pub fn data(&mut self, direction: Direction, piece: Piece<'_>, out: &mut Out<'_>) {
        if self.role == Role::App {
            return self.converse(direction, piece, out);
        }
        if self.role == Role::Undecided {
            self.sniff(direction, piece, out);
            if self.recognise(direction, piece, out) {
                return;
            }
        }
        match direction {
            _ if self.role == Role::Ignored => {}
            Direction::Write => self.written(piece, out),
            Direction::Read => self.read(piece, out),
        }
        if self.role == Role::Undecided {
            self.look_on(direction, piece, out);
        }
    }

    fn sniff(&mut self, direction: Direction, piece: Piece<'_>, out: &mut Out<'_>) {
        let first = match direction {
            Direction::Write => &mut self.sniffed.written,
            Direction::Read => &mut self.sniffed.read,
        };
        let was_empty = first.bytes.is_empty() && !first.ended;
        first.add(piece.segment);
        if !was_empty {
            return;
        }
        if self.source == Source::Socket && is_tls(&first.bytes) {
            self.ignore(Protocol::Tls, out);
        } else if is_http(&first.bytes) {
            // What is read may be a request, of which more is needed to tell; what is written, an answer whose request we came too late for.
            let answers = first.bytes.starts_with(b"HTTP");
            let served = (direction == Direction::Write) == answers;
            if !served || self.first.is_none() {
                self.ignore(Protocol::Unknown, out);
            }
        }
    }

    /// A plausible request stands in the written direction.
    pub fn is_client(&mut self, out: &mut Out<'_>) {
        if self.role != Role::Undecided {
            return;
        }
        if self.is_broker_end() {
            self.ignore(Protocol::Kafka, out);
            return;
        }
        self.role = Role::Client;
        self.first = None;
        out.verdicts.push(Verdict {
            connection: self.id,
            protocol: Protocol::Kafka,
            copy: match out.shared.settings.records {
                true => Copy::Whole,
                false => Copy::Batches,
            },
        });
    }

    /// What is written answers what is read.
    fn is_broker_end(&self) -> bool {
        let (written, read) = (&self.sniffed.written, &self.sniffed.read);
        let answers = |answer: &First, request: &First| {
            answer.word(4).is_some() && answer.word(4) == request.word(8)
        };
        plausible_request(&read.bytes) != Plausible::No
            && answers(written, read)
            && !answers(read, written)
    }

    /// No request was found yet.
    fn look_on(&mut self, direction: Direction, piece: Piece<'_>, out: &mut Out<'_>) {
        if self.is_broker_end() {
            self.ignore(Protocol::Kafka, out);
            return;
        }
        let (Direction::Write, Segment::Bytes(bytes)) = (direction, piece.segment) else {
            return;
        };
        self.requests.hunted += bytes.len() as u64;
        self.requests.hunted_calls += u32::from(piece.starts_call);
        if self.requests.hunted >= LONG_LOOK || self.requests.hunted_calls >= CALLS_MOST {
            self.ignore(Protocol::Unknown, out);
        } else if self.requests.hunted >= FIRST_LOOK && !self.sniffed.looking_longer {
            self.sniffed.looking_longer = true;
            out.verdicts.push(Verdict {
                connection: self.id,
                protocol: Protocol::Unknown,
                copy: Copy::Whole,
            });
        }
    }

    /// Before the first answer matched: is it likely that this is a client at all? False: it was let go.
    pub fn weigh(&mut self, api_key: i16, client_id: &str, out: &mut Out<'_>) -> bool {
        // An answer taken for a request has the high half of its correlation id for a key: these are far beyond what a client counts to.
        self.proven |= matches!(api_key, 3 | 17 | 18);
        let same = !client_id.is_empty() && self.client.client_id.as_deref() == Some(client_id);
        self.sniffed.alike = if same { self.sniffed.alike + 1 } else { 1 };
        self.proven |= self.sniffed.alike >= ALIKE;
        self.sniffed.unproven += 1;
        if !self.proven && self.sniffed.unproven > UNPROVEN_MOST {
            self.ignore(Protocol::Unknown, out);
        }
        self.role != Role::Ignored
    }
}

fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x14..=0x17, 0x03, 0..=4, ..])
}

pub(crate) fn is_http(bytes: &[u8]) -> bool {
    let words: [&[u8]; 9] = [
        b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"OPTI", b"PATC", b"PRI ", b"HTTP",
    ];
    words.iter().any(|word| bytes.starts_with(word))
}

//! The read direction of a client connection. In: pieces; out: answers joined with their requests, decoded in place.
//!
//! Bytes are captured when a call returns, so an answer may come before its request. Then it waits, with all that follows it: for a request
//! that it answers, for one that shows that its own was lost (brokers answer in order), or for a second of event time. Where boundaries are
//! unknown it hunts for a size word and the correlation id of a waiting request at the start of a read call.

use std::collections::VecDeque;

use kafka_wire::Segment;
use kafka_wire::body::{Decoder, Side};
use kafka_wire::header::{Parse, Plausible, parse_response};

use crate::capture::Nanos;
use crate::connection::{Connection, Out, Role, Shared, keeping};
use crate::exchange::{Answer, Request, RequestBody};
use crate::fact::Says;
use crate::pending::Pending;
use crate::reassembly::{Found, Frames, Hunt, OwnedPiece, Piece, Start, Step};
use crate::records::Samplers;

/// How long an answer waits for its request.
const PATIENCE: Nanos = 1_000_000_000;
/// Bytes that wait for requests: one connection, and all of a stage.
const PARKED_MOST: usize = 1 << 20;
const PARKED_MOST_ALL: usize = 4 << 20;
/// Tag buffers of response headers are empty in all known versions.
const HEAD_MOST: usize = 4100;

#[derive(Debug)]
pub(crate) struct Answers {
    frames: Frames,
    sync: Sync,
    hunt: Hunt,
    frame: Frame,
    parked: VecDeque<OwnedPiece>,
    parked_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sync {
    /// The first bytes seen are taken for a frame's start until that proves wrong.
    Presumed,
    Known,
    Lost,
}

#[derive(Debug)]
enum Frame {
    Between,
    /// Up to the correlation id.
    Id {
        start: Start,
        head: Vec<u8>,
    },
    /// No request with this correlation id was captured yet.
    Waits {
        start: Start,
        head: Vec<u8>,
        since: Nanos,
    },
    /// The rest of the header.
    Tags {
        start: Start,
        head: Vec<u8>,
        request: Box<Request>,
        need: usize,
    },
    Body {
        answer: Box<Answer>,
        decoder: Box<Decoder>,
    },
    Skip,
}

impl Answers {
    pub fn new() -> Answers {
        Answers {
            frames: Frames::new(),
            sync: Sync::Presumed,
            hunt: Hunt::default(),
            frame: Frame::Between,
            parked: VecDeque::new(),
            parked_bytes: 0,
        }
    }

    /// The request whose answer did not end; gives back what waits.
    pub fn in_progress(self, samplers: &mut Samplers, shared: &mut Shared) -> Option<Request> {
        shared.parked = shared.parked.saturating_sub(self.parked_bytes);
        match self.frame {
            Frame::Tags { request, .. } => Some(*request),
            Frame::Body { answer, decoder } => {
                shared.gather(decoder.held(), 0);
                let (mut keeping, _) = keeping(samplers, answer.request.began, shared);
                Some(answer.give_up(&mut keeping))
            }
            _ => None,
        }
    }

    pub fn deadline(&self) -> Option<Nanos> {
        match &self.frame {
            Frame::Waits { since, .. } => Some(since.saturating_add(PATIENCE)),
            _ => None,
        }
    }

    /// Bytes of the stream held, parked pieces aside.
    pub fn held(&self) -> usize {
        let head = match &self.frame {
            Frame::Id { head, .. } | Frame::Waits { head, .. } | Frame::Tags { head, .. } => {
                head.len()
            }
            Frame::Body { decoder, .. } => decoder.held(),
            _ => 0,
        };
        head + self.hunt.held()
    }
}

impl Connection {
    /// Takes the next piece of the read direction.
    pub fn read(&mut self, piece: Piece<'_>, out: &mut Out<'_>) {
        if matches!(self.answers.frame, Frame::Waits { .. }) {
            self.park(piece, out);
        } else {
            self.read_now(piece, out);
        }
    }

    fn park(&mut self, piece: Piece<'_>, out: &mut Out<'_>) {
        let owned = OwnedPiece::from(piece);
        self.answers.parked_bytes += owned.held();
        out.shared.parked += owned.held();
        self.answers.parked.push_back(owned);
        if self.answers.parked_bytes > PARKED_MOST || out.shared.parked > PARKED_MOST_ALL {
            out.shared.losses.add("parked_answer_too_large", 1);
            self.give_up_parked(out);
        }
    }

    /// A request was captured: perhaps an answer waits for it.
    pub fn resume(&mut self, out: &mut Out<'_>) {
        let Frame::Waits { head, since, .. } = &self.answers.frame else {
            return;
        };
        let (id, since) = (correlation_id(head), *since);
        match id.and_then(|id| self.pending.position(id)) {
            Some(at) => self.matched(at, since, out),
            None if self.pending.is_token_next() => {
                self.pending.pop(out.shared);
                self.answers.frame = Frame::Skip;
            }
            // The next request in the stream is not the one that it waits for, so that one was lost.
            None => self.drop_waiting(out),
        }
        self.unpark(out);
    }

    /// The answer at the front waited long enough.
    pub fn give_up_parked(&mut self, out: &mut Out<'_>) {
        self.drop_waiting(out);
        self.unpark(out);
    }

    fn drop_waiting(&mut self, out: &mut Out<'_>) {
        let frame = std::mem::replace(&mut self.answers.frame, Frame::Skip);
        let Frame::Waits { start, since, .. } = frame else {
            self.answers.frame = frame;
            return;
        };
        if self.answers.sync == Sync::Known {
            let says = Says::Unsupported {
                api_key: -1,
                api_version: -1,
                reason: "unmatched_response",
            };
            self.emit(since, start.offset, says, out.facts);
        } else {
            self.answers.sync = Sync::Lost;
            self.answers.frame = Frame::Between;
        }
    }

    fn unpark(&mut self, out: &mut Out<'_>) {
        while !matches!(self.answers.frame, Frame::Waits { .. }) {
            let Some(owned) = self.answers.parked.pop_front() else {
                return;
            };
            self.answers.parked_bytes = self.answers.parked_bytes.saturating_sub(owned.held());
            out.shared.parked = out.shared.parked.saturating_sub(owned.held());
            self.read_now(owned.piece(), out);
        }
    }

    fn read_now(&mut self, mut piece: Piece<'_>, out: &mut Out<'_>) {
        loop {
            if self.role == Role::Ignored {
                return;
            }
            if self.answers.sync == Sync::Lost {
                let pending = &self.pending;
                match self
                    .answers
                    .hunt
                    .offer(piece, |bytes| plausible_answer(bytes, pending))
                {
                    Found::Nothing => return,
                    Found::Here => self.found_answers(),
                    Found::Held(held) => {
                        self.found_answers();
                        for piece in held.into_iter().rev() {
                            self.park_front(piece, out);
                        }
                        self.unpark(out);
                        return;
                    }
                }
                continue;
            }
            let most = match &self.answers.frame {
                Frame::Id { head, .. } => 4_usize.saturating_sub(head.len()) as u64,
                Frame::Tags { need, .. } => *need as u64,
                _ => u64::MAX,
            };
            match self.answers.frames.step(&mut piece, most) {
                Step::Empty => return,
                Step::Lost => {
                    self.answers.frame = Frame::Between;
                    self.answers.sync = Sync::Lost;
                }
                Step::Start(start) => self.start_answer(start, piece.ended, out),
                Step::Body(segment) => self.answer_bytes(segment, piece.ended, out),
            }
            if self.answers.sync != Sync::Lost && self.answers.frames.left() == 0 {
                self.end_answer(piece.ended, out);
            }
            if matches!(self.answers.frame, Frame::Waits { .. }) {
                if piece.len() > 0 {
                    self.park_front(OwnedPiece::from(piece), out);
                }
                return;
            }
        }
    }

    fn found_answers(&mut self) {
        self.answers.sync = Sync::Known;
        self.answers.frames = Frames::new();
        self.answers.frame = Frame::Between;
    }

    /// Goes before what is parked already.
    fn park_front(&mut self, owned: OwnedPiece, out: &mut Out<'_>) {
        self.answers.parked_bytes += owned.held();
        out.shared.parked += owned.held();
        self.answers.parked.push_front(owned);
    }

    fn start_answer(&mut self, start: Start, ended: Nanos, out: &mut Out<'_>) {
        if self.pending.is_token_next() {
            self.pending.pop(out.shared);
            self.answers.frame = Frame::Skip;
        } else if (4..=i32::MAX as u32).contains(&start.size) {
            self.answers.frame = Frame::Id {
                start,
                head: Vec::with_capacity(8),
            };
        } else if self.requests.tokens {
            self.answers.frame = Frame::Waits {
                start,
                head: Vec::new(),
                since: ended,
            };
        } else {
            self.lose_answers(out);
        }
    }

    fn lose_answers(&mut self, out: &mut Out<'_>) {
        out.shared.losses.add(
            "answer_boundary_lost",
            u64::from(self.answers.sync == Sync::Known),
        );
        self.answers.sync = Sync::Lost;
        self.answers.frame = Frame::Between;
    }

    fn answer_bytes(&mut self, segment: Segment<'_>, ended: Nanos, out: &mut Out<'_>) {
        match (
            std::mem::replace(&mut self.answers.frame, Frame::Skip),
            segment,
        ) {
            (
                Frame::Body {
                    mut answer,
                    mut decoder,
                },
                segment,
            ) => {
                let (mut keeping, names) =
                    keeping(&mut self.read_samplers, answer.request.began, out.shared);
                let before = decoder.held();
                decoder.feed(segment, &mut |event| {
                    answer.event(event, names, &mut keeping)
                });
                if out.shared.gather(before, decoder.held()) {
                    out.shared.gather(decoder.held(), 0);
                    let request = self.give_up_answer(*answer, out.shared);
                    self.forget(request, out);
                    return;
                }
                self.answers.frame = Frame::Body { answer, decoder };
            }
            // The size word tells where the next frame begins; this one stays unknown.
            (Frame::Id { .. }, Segment::Elided(_)) => {
                out.shared.losses.add("answer_header_hidden", 1)
            }
            (Frame::Tags { request, .. }, Segment::Elided(_)) => self.forget(*request, out),
            (Frame::Id { start, mut head }, Segment::Bytes(bytes)) => {
                head.extend_from_slice(bytes);
                let Some(id) = correlation_id(&head) else {
                    self.answers.frame = Frame::Id { start, head };
                    return;
                };
                self.answers.frame = Frame::Waits {
                    start,
                    head,
                    since: ended,
                };
                if let Some(at) = self.pending.position(id) {
                    self.matched(at, ended, out);
                }
            }
            (
                Frame::Tags {
                    start,
                    mut head,
                    request,
                    ..
                },
                Segment::Bytes(bytes),
            ) => {
                head.extend_from_slice(bytes);
                self.header(start, head, request, out);
            }
            (frame, _) => self.answers.frame = frame,
        }
    }

    /// The answer in front is that of `pending[at]`. Brokers answer in order, so those before it lost theirs.
    fn matched(&mut self, at: usize, ended: Nanos, out: &mut Out<'_>) {
        let Frame::Waits { start, head, .. } =
            std::mem::replace(&mut self.answers.frame, Frame::Skip)
        else {
            return;
        };
        for _ in 0..at {
            if let Some(request) = self.pending.pop(out.shared) {
                self.forget(request, out);
            }
        }
        self.answers.sync = Sync::Known;
        self.proven = true;
        if let Some(request) = self.pending.pop(out.shared) {
            self.header(start, head, Box::new(request), out);
        }
        if self.answers.frames.left() == 0 {
            self.end_answer(ended, out);
        }
    }

    /// Goes on with the header when more of it came.
    fn header(&mut self, start: Start, head: Vec<u8>, request: Box<Request>, out: &mut Out<'_>) {
        let (api_key, api_version) = (request.api_key, request.api_version);
        match parse_response(start.size, &head, api_key, api_version) {
            Parse::Done(_, used) => {
                let body_len = u64::from(start.size).saturating_sub(used as u64);
                let decoder = Decoder::new(
                    Side::Response,
                    api_key,
                    api_version,
                    body_len,
                    out.shared.limits(),
                );
                let answer = Answer::new(*request, &self.session, u64::from(start.size) + 4);
                self.answers.frame = Frame::Body {
                    answer: Box::new(answer),
                    decoder: Box::new(decoder),
                };
            }
            Parse::Need(n) if n <= HEAD_MOST => {
                let need = n.saturating_sub(head.len());
                self.answers.frame = Frame::Tags {
                    start,
                    head,
                    request,
                    need,
                };
            }
            Parse::Need(_) | Parse::Bad(_) => {
                self.answers.frame = Frame::Skip;
                self.forget(*request, out);
            }
        }
    }

    fn end_answer(&mut self, ended: Nanos, out: &mut Out<'_>) {
        match std::mem::replace(&mut self.answers.frame, Frame::Between) {
            Frame::Between | Frame::Skip | Frame::Id { .. } => {}
            waits @ Frame::Waits { .. } => self.answers.frame = waits,
            Frame::Tags { request, .. } => self.forget(*request, out),
            Frame::Body {
                mut answer,
                mut decoder,
            } => {
                let (mut keeping, names) =
                    keeping(&mut self.read_samplers, answer.request.began, out.shared);
                let before = decoder.held();
                decoder.finish(&mut |event| answer.event(event, names, &mut keeping));
                out.shared.gather(before, 0);
                self.answered(*answer, ended, out);
            }
        }
    }

    fn give_up_answer(&mut self, answer: Answer, shared: &mut Shared) -> Request {
        let (mut keeping, _) = keeping(&mut self.read_samplers, answer.request.began, shared);
        answer.give_up(&mut keeping)
    }

    fn answered(&mut self, answer: Answer, ended: Nanos, out: &mut Out<'_>) {
        let (offset, refused) = (answer.request.offset, answer.error.is_some());
        self.learn(&answer.request.body, refused, ended, offset, out.facts);
        if let Some(error) = answer.error {
            let failed = match &answer.request.body {
                RequestBody::Handshake(mechanism) => {
                    Some(self.authentication_failed(mechanism.as_deref(), Some(error)))
                }
                _ if answer.request.is_authentication() => {
                    Some(self.authentication_failed(None, Some(error)))
                }
                _ => None,
            };
            if let Some(failed) = failed {
                self.emit(ended, offset, failed, out.facts);
            }
        }
        let (mut keeping, _) = keeping(&mut self.read_samplers, answer.request.began, out.shared);
        let all = answer.finish(ended, self.server, &mut self.session, &mut keeping);
        for says in all {
            out.shared.kept = out.shared.kept.saturating_sub(says.held());
            self.emit(ended, offset, says, out.facts);
        }
    }
}

fn correlation_id(head: &[u8]) -> Option<i32> {
    head.first_chunk().map(|id| i32::from_be_bytes(*id))
}

/// Could an answer to a waiting request begin here, at its size word?
fn plausible_answer(bytes: &[u8], pending: &Pending) -> Plausible {
    let Some((size, rest)) = bytes.split_first_chunk() else {
        return Plausible::NeedMore;
    };
    if !(4..=i32::MAX).contains(&i32::from_be_bytes(*size)) {
        return Plausible::No;
    }
    match correlation_id(rest) {
        None => Plausible::NeedMore,
        Some(id) if pending.position(id).is_some() => Plausible::Yes,
        Some(_) => Plausible::No,
    }
}

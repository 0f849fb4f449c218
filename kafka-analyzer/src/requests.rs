//! The written direction of a client connection. In: pieces; out: requests, headers parsed and bodies decoded in place.
//!
//! Where boundaries are unknown (joined mid-stream, or a gap over a size word) it hunts for a plausible request at the start of a write
//! call. After SaslHandshake v0 frames that are no request are tokens: stepped over, never kept.

use kafka_wire::body::{Decoder, Side};
use kafka_wire::header::{Parse, Plausible, RequestHeader, plausible_request};
use kafka_wire::{Segment, api};

use crate::capture::{Nanos, Task};
use crate::connection::{Connection, Out, Role, Shared, keeping};
use crate::exchange::{Request, RequestBody};
use crate::reassembly::{Found, Frames, Hunt, Piece, Start, Step};
use crate::records::Samplers;

/// Header bytes gathered of one frame: fixed fields, client id, tags.
const HEAD_MOST: usize = 8192;
/// Key, version, correlation id and the client id's length.
const FIXED: usize = 10;
/// Size words above this are not Kafka's (`socket.request.max.bytes` is 100 MiB by default; some raise it).
const FRAME_MOST: u32 = 1 << 30;

#[derive(Debug)]
pub(crate) struct Requests {
    frames: Frames,
    lost: bool,
    pub hunt: Hunt,
    frame: Frame,
    /// SaslHandshake v0 was sent, no request after it yet.
    pub tokens: bool,
    /// Bytes seen before boundaries were known for the first time.
    pub hunted: u64,
    pub hunted_calls: u32,
}

#[derive(Debug)]
enum Frame {
    Between,
    Head {
        start: Start,
        head: Vec<u8>,
    },
    Body {
        request: Box<Request>,
        decoder: Box<Decoder>,
    },
    Token {
        start: Start,
    },
    Skip,
}

impl Requests {
    pub fn new() -> Requests {
        Requests {
            frames: Frames::new(),
            lost: true,
            hunt: Hunt::default(),
            frame: Frame::Between,
            tokens: false,
            hunted: 0,
            hunted_calls: 0,
        }
    }

    /// The request whose end was not written, as far as it came.
    pub fn in_progress(self, samplers: &mut Samplers, shared: &mut Shared) -> Option<Request> {
        let Frame::Body {
            mut request,
            decoder,
        } = self.frame
        else {
            return None;
        };
        shared.gather(decoder.held(), 0);
        let (mut keeping, _) = keeping(samplers, request.began, shared);
        if let RequestBody::Produce(produce) = &mut request.body {
            produce.end_partition(&mut keeping);
        }
        Some(*request)
    }

    /// Bytes of the stream held.
    pub fn held(&self) -> usize {
        let head = match &self.frame {
            Frame::Head { head, .. } => head.len(),
            Frame::Body { decoder, .. } => decoder.held(),
            _ => 0,
        };
        head + self.hunt.held()
    }
}

impl Connection {
    /// Takes the next piece of the written direction.
    pub fn written(&mut self, mut piece: Piece<'_>, out: &mut Out<'_>) {
        loop {
            if self.role == Role::Ignored {
                return;
            }
            if self.requests.lost {
                match self.requests.hunt.offer(piece, plausible_request) {
                    Found::Nothing => return,
                    Found::Here => self.found_requests(out),
                    Found::Held(held) => {
                        self.found_requests(out);
                        for piece in held {
                            self.written(piece.piece(), out);
                        }
                        return;
                    }
                }
                continue;
            }
            match self.requests.frames.step(&mut piece, u64::MAX) {
                Step::Empty => return,
                Step::Lost => {
                    self.requests.frame = Frame::Between;
                    self.requests.lost = true;
                }
                Step::Start(start) if start.size > FRAME_MOST => self.lose_requests(out),
                Step::Start(start) => {
                    self.requests.frame = Frame::Head {
                        start,
                        head: start.size.to_be_bytes().to_vec(),
                    }
                }
                Step::Body(segment) => self.request_bytes(segment, out),
            }
            if !self.requests.lost && self.requests.frames.left() == 0 {
                self.end_request(piece.ended, piece.task, out);
            }
        }
    }

    fn found_requests(&mut self, out: &mut Out<'_>) {
        self.requests.lost = false;
        self.requests.frames = Frames::new();
        self.requests.frame = Frame::Between;
        self.is_client(out);
    }

    /// What comes is no frame: boundaries were wrong.
    fn lose_requests(&mut self, out: &mut Out<'_>) {
        out.shared
            .losses
            .add("request_boundary_lost", u64::from(self.proven));
        self.requests.lost = true;
        self.requests.frame = Frame::Between;
    }

    fn request_bytes(&mut self, mut segment: Segment<'_>, out: &mut Out<'_>) {
        if let Frame::Head { .. } = &self.requests.frame {
            let frame = std::mem::replace(&mut self.requests.frame, Frame::Skip);
            match (segment, frame) {
                (Segment::Bytes(bytes), Frame::Head { start, head }) => {
                    segment = Segment::Bytes(self.head_bytes(start, head, bytes, out));
                }
                // The size word tells where the next frame begins; this one stays unknown.
                _ => out.shared.losses.add("request_header_hidden", 1),
            }
        }
        if let Frame::Body { request, decoder } = &mut self.requests.frame {
            let (mut keeping, names) = keeping(&mut self.write_samplers, request.began, out.shared);
            let session = &mut self.session;
            let before = decoder.held();
            decoder.feed(segment, &mut |event| {
                request.event(event, names, session, &mut keeping)
            });
            if out.shared.gather(before, decoder.held()) {
                if let RequestBody::Produce(produce) = &mut request.body {
                    let (samplers, shared) = (&mut self.write_samplers, &mut *out.shared);
                    let (mut ending, _) =
                        crate::connection::keeping(samplers, request.began, shared);
                    produce.end_partition(&mut ending);
                }
                out.shared.gather(decoder.held(), 0);
                out.shared.kept = out.shared.kept.saturating_sub(request.held());
                self.requests.frame = Frame::Skip;
            }
        }
    }

    /// Gathers the header; returns the bytes after it.
    fn head_bytes<'b>(
        &mut self,
        start: Start,
        mut head: Vec<u8>,
        mut bytes: &'b [u8],
        out: &mut Out<'_>,
    ) -> &'b [u8] {
        loop {
            match self.judge_head(start, &head) {
                Head::Need(n) => {
                    let (now, later) =
                        bytes.split_at(n.saturating_sub(head.len()).min(bytes.len()));
                    if now.is_empty() {
                        self.requests.frame = Frame::Head { start, head };
                        return bytes;
                    }
                    head.extend_from_slice(now);
                    bytes = later;
                }
                Head::Token => {
                    head.fill(0);
                    std::hint::black_box(&head);
                    self.requests.frame = Frame::Token { start };
                    return bytes;
                }
                Head::Lost => {
                    self.lose_requests(out);
                    return &[];
                }
                Head::Done => {
                    self.begin_body(start, &head, out);
                    return bytes;
                }
            }
        }
    }

    fn judge_head(&self, start: Start, head: &[u8]) -> Head {
        let size = start.size as usize;
        let after_word = head.get(4..).unwrap_or_default();
        let fixed = FIXED.min(size);
        if after_word.len() < fixed {
            return Head::Need(4 + fixed);
        }
        let parsed = RequestHeader::parse(start.size, after_word);
        if plausible_request(head) == Plausible::No {
            match &parsed {
                _ if self.requests.tokens => return Head::Token,
                Parse::Done(header, _) if self.is_newer(header) => {}
                Parse::Need(n) if self.proven && *n <= HEAD_MOST => {}
                _ => return Head::Lost,
            }
        }
        match parsed {
            Parse::Done(..) => Head::Done,
            Parse::Need(n) if n <= HEAD_MOST => Head::Need(4 + n),
            Parse::Need(_) | Parse::Bad(_) => Head::Lost,
        }
    }

    /// A key or version that we do not know yet, from a client that we know.
    fn is_newer(&self, header: &RequestHeader<'_>) -> bool {
        let sane = (0..1000).contains(&header.api_key) && (0..100).contains(&header.api_version);
        sane && self.proven
            && self.client.client_id.as_deref() == Some(header.client_id.unwrap_or_default())
    }

    fn begin_body(&mut self, start: Start, head: &[u8], out: &mut Out<'_>) {
        let after_word = head.get(4..).unwrap_or_default();
        let Parse::Done(header, used) = RequestHeader::parse(start.size, after_word) else {
            return;
        };
        let (api_key, api_version) = (header.api_key, header.api_version);
        let undecodable = match api::find(api_key) {
            None => Some("unknown_api"),
            Some(_) if !api::is_known(api_key, api_version) => Some("unknown_version"),
            Some(_) => None,
        };
        let request = Request {
            offset: start.offset,
            began: start.began,
            written: 0,
            task: None,
            bytes: u64::from(start.size) + 4,
            api_key,
            api_version,
            correlation_id: header.correlation_id,
            client_id: out.shared.names.get(header.client_id.unwrap_or_default()),
            body: RequestBody::new(api_key),
            undecodable,
            cluster: None,
        };
        let body_len = u64::from(start.size).saturating_sub(used as u64);
        let decoder = Decoder::new(
            Side::Request,
            api_key,
            api_version,
            body_len,
            out.shared.limits(),
        );
        self.requests.frame = Frame::Body {
            request: Box::new(request),
            decoder: Box::new(decoder),
        };
    }

    fn end_request(&mut self, ended: Nanos, task: Option<Task>, out: &mut Out<'_>) {
        match std::mem::replace(&mut self.requests.frame, Frame::Between) {
            Frame::Between | Frame::Skip => {}
            Frame::Body {
                mut request,
                mut decoder,
            } => {
                let (mut keeping, names) =
                    keeping(&mut self.write_samplers, request.began, out.shared);
                let session = &mut self.session;
                let before = decoder.held();
                decoder.finish(&mut |event| request.event(event, names, session, &mut keeping));
                out.shared.gather(before, 0);
                (request.written, request.task) = (ended, task);
                self.requests.tokens =
                    (request.api_key, request.api_version) == (api::SASL_HANDSHAKE, 0);
                self.requested(*request, out);
            }
            Frame::Token { start } => self.token(start, ended, out),
            // Too short for a header.
            Frame::Head { start, .. } if self.requests.tokens => self.token(start, ended, out),
            Frame::Head { .. } => self.lose_requests(out),
        }
    }

    /// A SASL token without a Kafka header; the broker answers each with one.
    fn token(&mut self, start: Start, ended: Nanos, out: &mut Out<'_>) {
        let token = Request {
            offset: start.offset,
            began: start.began,
            written: ended,
            task: None,
            bytes: u64::from(start.size) + 4,
            api_key: -1,
            api_version: -1,
            correlation_id: -1,
            client_id: out.shared.names.get(""),
            body: RequestBody::Token,
            undecodable: None,
            cluster: None,
        };
        self.requested(token, out);
    }
}

/// What the first bytes of a frame are.
enum Head {
    /// This many bytes of the frame, size word included, tell more.
    Need(usize),
    Done,
    Token,
    Lost,
}

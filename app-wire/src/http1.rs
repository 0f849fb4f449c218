//! HTTP/1.0 and 1.1 at the serving end (RFC 9110, 9112). In: what the server read and wrote. Out: each request with its answer, in order
//! (pipelining too); interim answers are stepped over; after 101 and a granted CONNECT the connection is let go.
//!
//! After a gap over a head both directions are unknown. They are known again where the server, having written something since, begins a call
//! with a request line, and begins the next call that it writes with a status line: a client that does not pipeline (none does today) has
//! its answer before it asks again, so that both stand at the beginning of a message.

mod body;
mod message;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::classify::request_line;
use crate::{Event, Extent, Fault, Left, Losses, Piece, Request, ServerCall, Stamp};
use body::{Body, Taken};
use message::{Answer, Asked, Scan, Scanned};

/// Requests that a client may send ahead.
const PIPELINE: usize = 64;

#[derive(Debug, Default)]
pub struct Server {
    state: State,
    reading: Side,
    writing: Side,
    pending: VecDeque<Pending>,
    /// The answer whose body is being written, when its request is known: it belongs to the first of `pending`.
    answer: Option<(u16, Extent)>,
    requests: u64,
    last_read: Stamp,
    losses: Losses,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Live,
    /// `answered`: the server has written since, or nothing it read was lost.
    Lost {
        answered: bool,
    },
    Left(Left),
}

#[derive(Debug)]
enum Side {
    Head(Scan),
    Body(Body),
    /// What is written before the request that made us certain again was read.
    Until(u64),
}

impl Default for Side {
    fn default() -> Side {
        Side::Head(Scan::default())
    }
}

#[derive(Debug)]
struct Pending {
    request: Arc<Request>,
    received: Extent,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Read,
    Written,
}

impl Server {
    /// A connection whose beginning was not seen: begins with the next request.
    pub fn joined() -> Server {
        Server {
            state: State::Lost { answered: true },
            ..Server::default()
        }
    }

    /// What the server read: requests.
    pub fn read(&mut self, piece: Piece, stamp: Stamp, out: &mut Vec<Event>) {
        let begins_call = stamp != self.last_read;
        self.last_read = stamp;
        if let (State::Lost { answered: true }, true, Piece::Bytes(bytes)) =
            (&self.state, begins_call, piece)
            && request_line(bytes) == Some(true)
        {
            self.state = State::Live;
            self.reading = Side::default();
            self.writing = Side::Until(stamp.ended);
        }
        self.feed(Way::Read, piece, stamp, out);
    }

    /// What the server wrote: answers.
    pub fn written(&mut self, piece: Piece, stamp: Stamp, out: &mut Vec<Event>) {
        if let State::Lost { answered } = &mut self.state {
            *answered = true;
        }
        if let Side::Until(when) = self.writing
            && stamp.began >= when
        {
            self.writing = Side::default();
        }
        self.feed(Way::Written, piece, stamp, out);
    }

    /// Both directions are at their end.
    pub fn closed(&mut self, out: &mut Vec<Event>) {
        let whole = matches!(self.writing, Side::Body(Body::UntilClose));
        if whole {
            self.answered(out);
        }
        while !self.pending.is_empty() {
            self.serve(Some(Fault::Closed), out);
        }
        self.leave(Left::Finished);
    }

    /// Why there is no more to learn from this connection.
    pub fn left(&self) -> Option<Left> {
        match self.state {
            State::Left(left) => Some(left),
            _ => None,
        }
    }

    pub fn losses(&mut self) -> &mut Losses {
        &mut self.losses
    }

    fn feed(&mut self, way: Way, mut piece: Piece, stamp: Stamp, out: &mut Vec<Event>) {
        while !is_empty(piece) && matches!(self.state, State::Live) {
            let side = match way {
                Way::Read => &mut self.reading,
                Way::Written => &mut self.writing,
            };
            let taken = match (side, piece) {
                (Side::Until(_), _) => return,
                (Side::Head(_), Piece::Gap(_)) => return self.lose(way, |l| &mut l.gaps),
                (Side::Head(scan), Piece::Bytes(bytes)) => match scan.take(bytes, stamp) {
                    Scanned::More => return,
                    Scanned::TooLong => return self.lose(way, |l| &mut l.oversized),
                    Scanned::Head(len) => {
                        match way {
                            Way::Read => self.request_head(out),
                            Way::Written => self.answer_head(out),
                        }
                        len as u64
                    }
                },
                (Side::Body(body), _) => {
                    let taken = body.take(piece);
                    match taken {
                        Taken::Lost => return self.lose(way, |l| &mut l.gaps),
                        Taken::Malformed => return self.lose(way, |l| &mut l.malformed),
                        // An empty body has no bytes that it could prolong the message by.
                        Taken::Done(0) => {}
                        Taken::All | Taken::Done(_) => self.prolong(way, stamp),
                    }
                    match taken {
                        Taken::Done(len) => {
                            self.body_done(way, out);
                            len
                        }
                        _ => return,
                    }
                }
            };
            piece = rest(piece, taken);
        }
    }

    fn request_head(&mut self, out: &mut Vec<Event>) {
        let Side::Head(scan) = std::mem::take(&mut self.reading) else {
            return;
        };
        let Some(Asked {
            head,
            protocol,
            body,
            extent,
        }) = scan.request()
        else {
            if self.requests == 0 {
                self.losses.malformed += 1;
                return self.leave(Left::Foreign);
            }
            return self.lose(Way::Read, |l| &mut l.malformed);
        };
        if self.pending.len() >= PIPELINE {
            return self.lose(Way::Read, |l| &mut l.oversized);
        }
        let request = head.into_request(self.requests, protocol, extent);
        self.requests += 1;
        self.pending.push_back(Pending {
            request: request.clone(),
            received: extent,
        });
        out.push(Event::Begun(request));
        self.reading = side_after(body);
    }

    fn answer_head(&mut self, out: &mut Vec<Event>) {
        let Side::Head(scan) = std::mem::take(&mut self.writing) else {
            return;
        };
        let Some(Answer {
            status,
            body,
            extent,
        }) = scan.answer()
        else {
            return self.lose(Way::Written, |l| &mut l.malformed);
        };
        if (100..200).contains(&status) && status != 101 {
            return;
        }
        let method = self
            .pending
            .front()
            .map(|first| first.request.method.as_str());
        let tunnel = method == Some("CONNECT") && (200..300).contains(&status);
        let bodiless = method == Some("HEAD") || matches!(status, 101 | 204 | 304) || tunnel;
        if method.is_none() {
            self.losses.unpaired += 1;
        } else {
            self.answer = Some((status, extent));
        }
        self.writing = if bodiless {
            Side::default()
        } else {
            side_after(body)
        };
        if matches!(self.writing, Side::Head(_)) {
            self.answered(out);
        }
        match status {
            101 => self.leave(Left::Upgraded),
            _ if tunnel => self.leave(Left::Tunnel),
            _ => {}
        }
    }

    fn body_done(&mut self, way: Way, out: &mut Vec<Event>) {
        match way {
            Way::Read => self.reading = Side::default(),
            Way::Written => {
                self.writing = Side::default();
                self.answered(out);
            }
        }
    }

    fn prolong(&mut self, way: Way, stamp: Stamp) {
        match way {
            // The body belongs to the request read last, which may be answered already.
            Way::Read => {
                if let Some(last) = self.pending.back_mut()
                    && last.request.number + 1 == self.requests
                {
                    last.received.last = stamp;
                }
            }
            Way::Written => {
                if let Some((_, extent)) = &mut self.answer {
                    extent.last = stamp;
                }
            }
        }
    }

    fn answered(&mut self, out: &mut Vec<Event>) {
        if self.answer.is_some() {
            self.serve(None, out);
        }
    }

    fn serve(&mut self, fault: Option<Fault>, out: &mut Vec<Event>) {
        let answer = self.answer.take();
        if let Some(Pending { request, received }) = self.pending.pop_front() {
            out.push(Event::Served(ServerCall {
                request,
                received,
                status: answer.map(|(status, _)| status),
                grpc_status: None,
                answered: answer.map(|(_, extent)| extent),
                fault,
            }));
        }
    }

    fn lose(&mut self, way: Way, reason: impl FnOnce(&mut Losses) -> &mut u64) {
        *reason(&mut self.losses) += 1;
        self.forget();
        self.state = State::Lost {
            answered: way == Way::Written,
        };
    }

    fn leave(&mut self, left: Left) {
        self.forget();
        self.state = State::Left(left);
    }

    fn forget(&mut self) {
        self.losses.unanswered += self.pending.len() as u64;
        self.pending = VecDeque::new();
        self.answer = None;
        self.reading = Side::default();
        self.writing = Side::default();
    }
}

/// A message without a body is complete with its head.
fn side_after(body: Body) -> Side {
    match body {
        Body::Length(0) => Side::default(),
        body => Side::Body(body),
    }
}

fn is_empty(piece: Piece) -> bool {
    matches!(piece, Piece::Bytes([]) | Piece::Gap(0))
}

fn rest(piece: Piece, taken: u64) -> Piece {
    match piece {
        Piece::Bytes(bytes) => Piece::Bytes(bytes.get(taken as usize..).unwrap_or_default()),
        Piece::Gap(n) => Piece::Gap(n.saturating_sub(taken)),
    }
}

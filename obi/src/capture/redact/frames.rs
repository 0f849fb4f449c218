//! Frames of one direction of a connection. In: bytes in order, holes; out: fates of the bytes.
//!
//! A direction that is not in step with the frames (joined mid-way, after a hole) is dropped until a call begins with something
//! that can only be a frame: a plausible request, or the answer to a request that was seen.

use std::collections::HashMap;

use kafka_wire::api::{self, Reading};
use kafka_wire::body::Side;
use kafka_wire::header::{
    MAX_FRAME, Parse, Plausible, RequestHeader, parse_response, plausible_request,
};

use super::records::Records;
use super::token::Token;
use super::user_data::UserData;
use super::{Fate, Runs};

/// Requests without an answer that are remembered of a connection.
const PENDING: usize = 4096;

/// What the two directions of a connection know of each other.
#[derive(Debug, Default)]
pub struct Pending {
    requests: HashMap<i32, (i16, i16)>,
    /// After SaslHandshake v0, frames without a Kafka header are tokens.
    tokens: bool,
}

#[derive(Debug, Default)]
pub struct Walker(State);

#[derive(Debug, Default)]
enum State {
    #[default]
    Lost,
    Size(Vec<u8>),
    Header {
        size: u32,
        bytes: Vec<u8>,
    },
    Body {
        left: u64,
        kind: Kind,
    },
}

#[derive(Debug)]
enum Kind {
    All(Fate),
    Records(Box<Records>),
    Token(Token),
    UserData(Box<UserData>),
}

/// A size word alone may begin one: clients write it apart.
pub fn may_begin_request(bytes: &[u8]) -> bool {
    match plausible_request(bytes) {
        Plausible::Yes => true,
        Plausible::NeedMore => bytes.len() >= 4,
        Plausible::No => false,
    }
}

impl Walker {
    pub fn data(
        &mut self,
        side: Side,
        mut bytes: &[u8],
        payload: bool,
        pending: &mut Pending,
        runs: &mut Runs,
    ) {
        if matches!(self.0, State::Lost) && self.finds_step(side, bytes, pending) {
            self.0 = State::Size(Vec::new());
        }
        while !bytes.is_empty() {
            let n = match &mut self.0 {
                State::Lost => {
                    runs.push(Fate::Drop, bytes.len());
                    bytes.len()
                }
                State::Size(word) => {
                    let n = bytes.len().min(4 - word.len());
                    word.extend(bytes.iter().take(n));
                    runs.push(Fate::Keep, n);
                    if let Ok(word) = <[u8; 4]>::try_from(word.as_slice()) {
                        self.0 = frame(
                            u32::from_be_bytes(word),
                            side,
                            pending,
                            bytes.get(n..).unwrap_or_default(),
                        );
                    }
                    n
                }
                State::Header { size, bytes: known } => {
                    let byte = bytes.first().copied().unwrap_or(0);
                    known.push(byte);
                    runs.push(Fate::Keep, 1);
                    let next = after_header(side, *size, known, payload, pending);
                    if let Some(next) = next {
                        self.0 = next;
                    }
                    1
                }
                State::Body { left, kind } => {
                    let n = usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(bytes.len());
                    kind.bytes(bytes.get(..n).unwrap_or_default(), runs);
                    *left -= n as u64;
                    if *left == 0 {
                        self.0 = State::Size(Vec::new());
                    }
                    n
                }
            };
            bytes = bytes.get(n..).unwrap_or_default();
        }
    }

    /// Whether a frame begins with these bytes, for a direction that is out of step.
    fn finds_step(&self, side: Side, bytes: &[u8], pending: &Pending) -> bool {
        match side {
            Side::Request => may_begin_request(bytes),
            Side::Response => {
                let word = |at: usize| {
                    bytes
                        .get(at..at + 4)
                        .and_then(|word| <[u8; 4]>::try_from(word).ok())
                };
                let size = word(0)
                    .map(u32::from_be_bytes)
                    .filter(|size| (4..=MAX_FRAME).contains(size));
                let known = |id: i32| pending.requests.contains_key(&id);
                // A size word alone can be an answer to whatever is pending.
                size.is_some()
                    && word(4).map_or(!pending.requests.is_empty(), |id| {
                        known(i32::from_be_bytes(id))
                    })
            }
        }
    }

    pub fn gap(&mut self, n: u64) {
        match &mut self.0 {
            State::Body { left, kind } if n < *left => {
                *left -= n;
                if let Kind::Records(records) = kind {
                    records.gap(n);
                } else if let Kind::Token(_) | Kind::UserData(_) = kind {
                    *kind = Kind::All(Fate::Erase);
                }
            }
            State::Body { left, .. } if n == *left => self.0 = State::Size(Vec::new()),
            _ => self.0 = State::Lost,
        }
    }
}

impl Kind {
    fn bytes(&mut self, bytes: &[u8], runs: &mut Runs) {
        match self {
            Kind::All(fate) => runs.push(*fate, bytes.len()),
            Kind::Records(records) => records.bytes(bytes, runs),
            Kind::Token(token) => token.bytes(bytes, runs),
            Kind::UserData(data) => data.bytes(bytes, runs),
        }
    }
}

/// After a size word; `rest` is what came with it.
fn frame(size: u32, side: Side, pending: &Pending, rest: &[u8]) -> State {
    if !(4..=MAX_FRAME).contains(&size) {
        return State::Lost;
    }
    let token = || State::Body {
        left: u64::from(size),
        kind: Kind::All(Fate::Erase),
    };
    let whole = [
        &size.to_be_bytes()[..],
        rest.get(..rest.len().min(2048)).unwrap_or_default(),
    ]
    .concat();
    match side {
        // Before the verdict is sure nothing of a token is kept: only a request that is seen to be one ends the tokens.
        Side::Request if pending.tokens && plausible_request(&whole) != Plausible::Yes => token(),
        Side::Response if pending.tokens && pending.requests.is_empty() => token(),
        _ => State::Header {
            size,
            bytes: Vec::new(),
        },
    }
}

/// `None`: more bytes are needed.
fn after_header(
    side: Side,
    size: u32,
    bytes: &[u8],
    payload: bool,
    pending: &mut Pending,
) -> Option<State> {
    let body = |taken: usize, kind: Kind| match u64::from(size).saturating_sub(taken as u64) {
        0 => State::Size(Vec::new()),
        left => State::Body { left, kind },
    };
    let dropped = |kind| body(bytes.len(), kind);
    match side {
        Side::Request => match RequestHeader::parse(size, bytes) {
            Parse::Need(_) => None,
            Parse::Bad(_) => Some(State::Lost),
            Parse::Done(header, taken) => {
                let (key, version) = (header.api_key, header.api_version);
                if pending.requests.len() < PENDING {
                    pending
                        .requests
                        .insert(header.correlation_id, (key, version));
                }
                pending.tokens = key == api::SASL_HANDSHAKE && version == 0
                    || pending.tokens && api::find(key).is_none();
                let left = u64::from(size).saturating_sub(taken as u64);
                Some(body(taken, kind(side, key, version, left, payload)))
            }
        },
        Side::Response => {
            let id = i32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
            let Some((key, version)) = pending.requests.get(&id).copied() else {
                return Some(dropped(Kind::All(Fate::Drop)));
            };
            match parse_response(size, bytes, key, version) {
                Parse::Need(_) => None,
                Parse::Bad(_) => Some(State::Lost),
                Parse::Done(_, taken) => {
                    pending.requests.remove(&id);
                    let left = u64::from(size).saturating_sub(taken as u64);
                    Some(body(taken, kind(side, key, version, left, payload)))
                }
            }
        }
    }
}

/// Kept is what the decoders read, as their table says; what stays out although it is read stands here.
fn kind(side: Side, key: i16, version: i16, left: u64, payload: bool) -> Kind {
    match (api::reading(side, key, version), side, key) {
        (Reading::Messages, Side::Response, api::SASL_AUTHENTICATE) => {
            Kind::Token(Token::of_authentication(version))
        }
        (_, _, api::SASL_AUTHENTICATE) => Kind::All(Fate::Erase),
        (Reading::Messages, Side::Request, api::PUSH_TELEMETRY) => {
            Kind::Token(Token::of_telemetry())
        }
        // Configurations of topics are in both directions, and can name anything.
        (_, _, api::CREATE_TOPICS) | (Reading::Nothing, _, _) => Kind::All(Fate::Drop),
        (Reading::Records, _, _) if !payload => {
            Kind::Records(Box::new(Records::new(side, key, version, left)))
        }
        (Reading::Messages, _, _) if !payload => match UserData::of(side, key, version) {
            Some(data) => Kind::UserData(Box::new(data)),
            None => Kind::All(Fate::Keep),
        },
        (Reading::Records | Reading::Messages, _, _) => Kind::All(Fate::Keep),
    }
}

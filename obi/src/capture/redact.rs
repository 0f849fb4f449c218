//! What of a connection may be stored. In: captured bytes in stream order; out: for each byte keep, drop or erase.
//!
//! Only what the analysis reads is kept: frame and request headers, bodies of the APIs that are decoded, of records their framing without
//! keys, values and headers, of assignors all but their user data (with `payload` all of them). SASL tokens and pushed metrics are erased always, and configurations of topics
//! dropped. A connection that is not Kafka, and bytes
//! whose frame is not known, are dropped: what is not understood is not stored.

mod frames;
mod records;
mod token;
mod user_data;

use std::collections::HashMap;

use kafka_analyzer::capture::{CaptureEvent, ConnectionId, Direction};
use kafka_wire::body::Side;

use frames::{Pending, Walker};

/// Connections followed at once.
const CONNECTIONS: usize = 16_384;

/// What happens to a run of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Keep,
    /// A gap of known length.
    Drop,
    /// As many bytes of 0xff: never the start of a request, so that frames after it are still found.
    Erase,
}

/// Fates of one event's bytes, in order; neighbours differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Runs(pub Vec<(Fate, usize)>);

impl Runs {
    fn push(&mut self, fate: Fate, n: usize) {
        match self.0.last_mut() {
            _ if n == 0 => {}
            Some((last, length)) if *last == fate => *length += n,
            _ => self.0.push((fate, n)),
        }
    }
}

#[derive(Default)]
struct Connection {
    /// Which direction carries requests; a broker reads them.
    requests: Option<Direction>,
    pending: Pending,
    written: Walker,
    read: Walker,
    /// Next stream offset of (written, read).
    next: (u64, u64),
}

pub struct Redactor {
    payload: bool,
    connections: HashMap<ConnectionId, Connection>,
}

impl Redactor {
    /// `payload`: keep keys, values and headers of records.
    pub fn new(payload: bool) -> Redactor {
        Redactor {
            payload,
            connections: HashMap::new(),
        }
    }

    /// Fates of the bytes of a `Data` event; empty for the others.
    pub fn runs(&mut self, event: &CaptureEvent<'_>) -> Runs {
        let mut runs = Runs::default();
        match event {
            CaptureEvent::Data {
                connection,
                direction,
                offset,
                bytes,
                ..
            } => {
                if !self.connections.contains_key(connection)
                    && self.connections.len() >= CONNECTIONS
                {
                    runs.push(Fate::Drop, bytes.len());
                    return runs;
                }
                let payload = self.payload;
                self.connections
                    .entry(*connection)
                    .or_default()
                    .data(*direction, *offset, bytes, payload, &mut runs);
            }
            CaptureEvent::Gap {
                connection,
                direction,
                offset,
                length,
                ..
            } => {
                if let Some(connection) = self.connections.get_mut(connection) {
                    connection.gap(*direction, *offset, *length);
                }
            }
            CaptureEvent::Closed { connection, .. } => {
                self.connections.remove(connection);
            }
            _ => {}
        }
        runs
    }
}

impl Connection {
    fn data(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: &[u8],
        payload: bool,
        runs: &mut Runs,
    ) {
        self.move_to(direction, offset);
        if self.requests.is_none() && frames::may_begin_request(bytes) {
            self.requests = Some(direction);
        }
        let side = match self.requests {
            None => {
                runs.push(Fate::Drop, bytes.len());
                self.advance(direction, bytes.len() as u64);
                return;
            }
            Some(requests) if requests == direction => Side::Request,
            Some(_) => Side::Response,
        };
        let walker = match direction {
            Direction::Write => &mut self.written,
            Direction::Read => &mut self.read,
        };
        walker.data(side, bytes, payload, &mut self.pending, runs);
        self.advance(direction, bytes.len() as u64);
    }

    fn gap(&mut self, direction: Direction, offset: u64, length: u64) {
        self.move_to(direction, offset);
        match direction {
            Direction::Write => self.written.gap(length),
            Direction::Read => self.read.gap(length),
        }
        self.advance(direction, length);
    }

    /// Bytes lost without a gap event.
    fn move_to(&mut self, direction: Direction, offset: u64) {
        let next = if direction == Direction::Write {
            self.next.0
        } else {
            self.next.1
        };
        if offset > next && next > 0 {
            self.gap(direction, next, offset - next);
        }
        match direction {
            Direction::Write => self.next.0 = offset,
            Direction::Read => self.next.1 = offset,
        }
    }

    fn advance(&mut self, direction: Direction, n: u64) {
        match direction {
            Direction::Write => self.next.0 += n,
            Direction::Read => self.next.1 += n,
        }
    }
}

#[cfg(test)]
mod tests;

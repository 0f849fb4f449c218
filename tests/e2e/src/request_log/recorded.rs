//! A recording's frames, read without the product's own reader or reassembly. In: a file of `obi record`. Out: of each client end of a
//! connection its requests, each with its answer, as the bytes that were kept and the holes between them.
//!
//! The layout is told in `obi/src/capture/recording.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail};
use kafka_wire::Segment;
use kafka_wire::api;
use kafka_wire::header::{Parse, RequestHeader, parse_response};
use serde_json::Value;

use super::lines::Ports;

/// A stream longer than this was not made by a test.
const LONGEST: usize = 1 << 30;
const WRITE: u8 = 1;
/// The format that is read here, and its version.
const FORMAT: &[u8] = b"obi-rec\x03";

/// One direction, from its first byte: what was not kept is zeros, and named as a hole.
#[derive(Debug, Default)]
pub struct Stream {
    bytes: Vec<u8>,
    holes: Vec<Range<usize>>,
}

/// The client end of a connection.
#[derive(Debug)]
pub struct Connection {
    /// Its number in the recording, in the order of opening.
    pub id: u64,
    /// Of client and broker; used again by later ones.
    pub ports: Ports,
    pub written: Stream,
    pub read: Stream,
}

/// A request and its answer.
#[derive(Debug)]
pub struct Exchange {
    pub key: i16,
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: Option<String>,
    /// Its body, in the written stream.
    pub request: Range<usize>,
    /// The answer's body, in the read stream.
    pub answer: Option<Range<usize>>,
    /// Of the login and before it: Kafka answers these at its door and does not log them.
    pub login: bool,
}

/// Client ends of connections to a broker's ports, of which the second speaks TLS, that were opened from this time on.
pub fn read(file: &Path, brokers: &[u16; 2], since: u64) -> Result<Vec<Connection>> {
    let bytes = std::fs::read(file)?;
    let mut streams: BTreeMap<u64, (Stream, Stream)> = BTreeMap::new();
    let mut ports: BTreeMap<u64, Ports> = BTreeMap::new();
    let (header, mut rest) = bytes.split_at_checked(16).context("no header")?;
    if header.get(..8) != Some(FORMAT) {
        bail!("the recording has another format than this reader");
    }
    while let Some((length, more)) = rest.split_first_chunk() {
        let length = u32::from_le_bytes(*length) as usize;
        let (record, more) = more.split_at_checked(length).context("a cut record")?;
        let (tag, content) = record.split_first().context("an empty record")?;
        match tag {
            1 => opened(content, brokers[1], since, &mut ports)?,
            2 | 3 => {
                let (head, content) = content.split_first_chunk().context("a short record")?;
                let head = Head::of(head);
                let (written, read) = streams.entry(head.connection).or_default();
                let stream = if head.direction == WRITE {
                    written
                } else {
                    read
                };
                stream.hole(usize::try_from(head.offset)?)?;
                if *tag == 2 {
                    stream.runs(head.runs, content)?;
                } else {
                    let length = u64::from_le_bytes(content.try_into()?);
                    stream.hole(usize::try_from(head.offset + length)?)?;
                }
            }
            _ => {}
        }
        rest = more;
    }
    let mut found = Vec::new();
    for (id, (written, read)) in streams {
        let of_broker = |ports: &&Ports| brokers.contains(&ports.1);
        if let Some(ports) = ports.get(&id).filter(of_broker) {
            found.push(Connection {
                id,
                ports: *ports,
                written,
                read,
            });
        }
    }
    Ok(found)
}

/// A connection of TLS is in the recording twice, if its first bytes were seen on the socket too: that one holds nothing to read.
fn opened(content: &[u8], tls: u16, since: u64, ports: &mut BTreeMap<u64, Ports>) -> Result<()> {
    let event: Value = serde_json::from_slice(content)?;
    let Some(opened) = event.get("opened") else {
        return Ok(());
    };
    let number = |name: &str| opened.get(name).and_then(Value::as_u64);
    if number("time").is_none_or(|time| time < since) {
        return Ok(());
    }
    let port = |name: &str| {
        let text = opened.get(name)?.as_str()?;
        text.parse::<SocketAddr>()
            .ok()
            .map(|address| address.port())
    };
    if let (Some(id), Some(local), Some(peer)) = (number("connection"), port("local"), port("peer"))
    {
        let is_socket = opened.get("source").and_then(Value::as_str) == Some("socket");
        if is_socket != (peer == tls) {
            ports.insert(id, (local, peer));
        }
    }
    Ok(())
}

/// What is used of a record's head of 56 bytes.
struct Head {
    connection: u64,
    offset: u64,
    runs: usize,
    direction: u8,
}

impl Head {
    fn of(bytes: &[u8; 56]) -> Self {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        Self {
            connection: word(0),
            offset: word(8),
            // The upper half of a word: the lower is the thread.
            runs: (word(44) >> 32) as u32 as usize,
            direction: bytes[52],
        }
    }
}

impl Stream {
    /// All up to `to` that is not there.
    fn hole(&mut self, to: usize) -> Result<()> {
        if to > LONGEST {
            bail!("a stream of {to} bytes");
        }
        if to > self.bytes.len() {
            self.holes.push(self.bytes.len()..to);
            self.bytes.resize(to, 0);
        }
        Ok(())
    }

    fn runs(&mut self, runs: usize, content: &[u8]) -> Result<()> {
        let (runs, mut kept) = content.split_at_checked(runs * 4).context("short runs")?;
        for run in runs.chunks_exact(4) {
            let run = u32::from_le_bytes(run.try_into()?);
            let length = (run & 0x3fff_ffff) as usize;
            if run >> 30 != 0 {
                // Left out or overwritten: both were not kept.
                self.hole(self.bytes.len() + length)?;
                continue;
            }
            let (now, later) = kept.split_at_checked(length).context("short data")?;
            self.bytes.extend_from_slice(now);
            kept = later;
        }
        Ok(())
    }

    /// What follows each size word; a frame that is cut at the end is left out.
    fn frames(&self) -> Result<Vec<Range<usize>>> {
        let mut frames = Vec::new();
        let mut at = 0;
        while let Some(size) = self.bytes.get(at..at + 4) {
            if self.holes.iter().any(|hole| hole.contains(&at)) {
                bail!("the size word at {at} was not recorded");
            }
            let size = u32::from_be_bytes(size.try_into()?) as usize;
            let frame = at + 4..at + 4 + size;
            at = frame.end;
            if at > self.bytes.len() {
                break;
            }
            frames.push(frame);
        }
        Ok(frames)
    }

    /// A part of it as the decoders take it.
    pub fn segments(&self, part: &Range<usize>) -> Vec<Segment<'_>> {
        let mut segments = Vec::new();
        let mut at = part.start;
        for hole in &self.holes {
            let (from, to) = (hole.start.max(at), hole.end.min(part.end));
            if from < to {
                segments.push(Segment::Bytes(&self.bytes[at..from]));
                segments.push(Segment::Elided((to - from) as u64));
                at = to;
            }
        }
        segments.push(Segment::Bytes(&self.bytes[at..part.end]));
        segments
    }
}

impl Connection {
    /// Its exchanges in order; an answer belongs to the oldest request of its correlation id.
    pub fn exchanges(&self) -> Result<Vec<Exchange>> {
        let mut exchanges = Vec::new();
        for frame in self.written.frames().context("requests")? {
            let bytes = &self.written.bytes[frame.clone()];
            let Parse::Done(header, taken) = RequestHeader::parse(bytes.len() as u32, bytes) else {
                bail!("a request's header cannot be read");
            };
            exchanges.push(Exchange {
                key: header.api_key,
                version: header.api_version,
                correlation_id: header.correlation_id,
                client_id: header.client_id.map(str::to_owned),
                request: frame.start + taken..frame.end,
                answer: None,
                login: false,
            });
        }
        let mut waiting: VecDeque<&mut Exchange> = exchanges.iter_mut().collect();
        for frame in self.read.frames().context("answers")? {
            let bytes = &self.read.bytes[frame.clone()];
            // Passed by: requests that want no answer.
            let answered = loop {
                let Some(exchange) = waiting.pop_front() else {
                    bail!("an answer without a request");
                };
                if bytes.get(..4) == Some(exchange.correlation_id.to_be_bytes().as_slice()) {
                    break exchange;
                }
            };
            let size = bytes.len() as u32;
            let Parse::Done(_, taken) = parse_response(size, bytes, answered.key, answered.version)
            else {
                bail!("an answer's header cannot be read");
            };
            answered.answer = Some(frame.start + taken..frame.end);
        }
        let sasl = [api::SASL_HANDSHAKE, api::SASL_AUTHENTICATE];
        let last = exchanges.iter().rposition(|one| sasl.contains(&one.key));
        if let Some(last) = last {
            exchanges[..=last]
                .iter_mut()
                .for_each(|one| one.login = true);
        }
        Ok(exchanges)
    }
}

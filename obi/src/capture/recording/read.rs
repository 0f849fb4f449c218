//! The reading half. In: a recording, perhaps cut or damaged; out: its events, and where it stops making sense.

use std::fmt;
use std::io::{self, ErrorKind, Read};

use kafka_analyzer::capture::{CaptureEvent, ConnectionId, GapReason, Source};
use zerocopy::FromBytes;

use super::write::RUN_BITS;
use super::{
    DIRECTIONS, HEADER, Head, MAGIC, OLDEST, REASONS, RECORD_LIMIT, Rare, VERSION, WITH_PAYLOAD,
    tag,
};

/// Why a recording cannot be read further. What was read before it stands.
#[derive(Debug)]
pub struct Problem {
    /// Byte position of the record at fault.
    pub at: u64,
    /// Events before it.
    pub events: u64,
    pub reason: Reason,
}

#[derive(Debug)]
pub enum Reason {
    NotARecording,
    /// Written by another version of this program.
    Version(u8),
    /// The file ends in the middle of a record.
    Cut,
    /// The file ends between two records, without its end record: the agent was killed.
    NoEnd,
    Damaged(&'static str),
    Io(io::Error),
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { at, events, reason } = self;
        match reason {
            Reason::NotARecording => f.write_str("not a recording of obi"),
            Reason::Version(found) => write!(
                f,
                "the recording has format {found}, this program reads {OLDEST} to {VERSION}"
            ),
            Reason::Cut => write!(
                f,
                "the recording is cut at byte {at}, after {events} events"
            ),
            Reason::NoEnd => write!(
                f,
                "the recording has no end after byte {at} and {events} events: it was not finished"
            ),
            Reason::Damaged(what) => write!(
                f,
                "the recording is damaged at byte {at}, after {events} events: {what}"
            ),
            Reason::Io(error) => write!(f, "the recording cannot be read at byte {at}: {error}"),
        }
    }
}

pub struct Reader<R: Read> {
    input: R,
    at: u64,
    events: u64,
    record: Vec<u8>,
    erased: Vec<u8>,
    payload: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the file's header.
    ///
    /// # Errors
    /// It is not a recording, or one of another version.
    pub fn new(mut input: R) -> Result<Reader<R>, Problem> {
        let problem = |reason| Problem {
            at: 0,
            events: 0,
            reason,
        };
        let mut header = [0; HEADER];
        input.read_exact(&mut header).map_err(|error| {
            problem(if error.kind() == ErrorKind::UnexpectedEof {
                Reason::NotARecording
            } else {
                Reason::Io(error)
            })
        })?;
        let [magic @ .., version, f0, f1, f2, f3, f4, f5, f6, f7] = header;
        if magic != MAGIC {
            return Err(problem(Reason::NotARecording));
        }
        if !(OLDEST..=VERSION).contains(&version) {
            return Err(problem(Reason::Version(version)));
        }
        let flags = u64::from_le_bytes([f0, f1, f2, f3, f4, f5, f6, f7]);
        let payload = flags & WITH_PAYLOAD != 0;
        Ok(Reader {
            input,
            at: HEADER as u64,
            events: 0,
            record: Vec::new(),
            erased: Vec::new(),
            payload,
        })
    }

    /// Keys, values and headers of records were kept.
    pub fn has_payload(&self) -> bool {
        self.payload
    }

    /// Gives the events of the next record to `on`; false at the end.
    ///
    /// # Errors
    /// Nothing more can be read.
    pub fn next(&mut self, on: &mut impl FnMut(&CaptureEvent<'_>)) -> Result<bool, Problem> {
        let mut length = [0; 4];
        match self.fill(&mut length)? {
            0 => return Err(self.problem(Reason::NoEnd)),
            4 => {}
            _ => return Err(self.problem(Reason::Cut)),
        }
        let length = u32::from_le_bytes(length);
        if !(1..=RECORD_LIMIT).contains(&length) {
            return Err(self.problem(Reason::Damaged("impossible length")));
        }
        self.record.clear();
        let read = (&mut self.input)
            .take(u64::from(length))
            .read_to_end(&mut self.record);
        let read = read.map_err(|error| self.problem(Reason::Io(error)))?;
        if read < length as usize {
            return Err(self.problem(Reason::Cut));
        }
        let more = self
            .decode(on)
            .map_err(|what| self.problem(Reason::Damaged(what)))?;
        self.at += 4 + u64::from(length);
        Ok(more)
    }

    fn fill(&mut self, to: &mut [u8]) -> Result<usize, Problem> {
        let mut have = 0;
        while let Some(rest) = to.get_mut(have..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) => break,
                Ok(n) => have += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.problem(Reason::Io(error))),
            }
        }
        Ok(have)
    }

    fn problem(&self, reason: Reason) -> Problem {
        Problem {
            at: self.at,
            events: self.events,
            reason,
        }
    }

    fn decode(&mut self, on: &mut impl FnMut(&CaptureEvent<'_>)) -> Result<bool, &'static str> {
        let (kind, content) = self.record.split_first().ok_or("empty record")?;
        match *kind {
            tag::RARE => {
                let rare: Rare = serde_json::from_slice(content).map_err(|_| "unreadable event")?;
                on(&rare.event());
            }
            tag::DATA => {
                let (head, rest) = Head::read_from_prefix(content).map_err(|_| "short data")?;
                let runs = usize::try_from(head.runs)
                    .ok()
                    .and_then(|n| n.checked_mul(4))
                    .ok_or("impossible runs")?;
                let (runs, kept) = rest.split_at_checked(runs).ok_or("impossible runs")?;
                data(&head, runs, kept, &mut self.erased, on)?;
            }
            tag::GAP => {
                let (head, rest) = Head::read_from_prefix(content).map_err(|_| "short gap")?;
                let length = u64::from_le_bytes(rest.try_into().map_err(|_| "short gap")?);
                let reason = *REASONS
                    .get(usize::from(head.reason))
                    .ok_or("unknown reason")?;
                on(&gap(&head, head.offset, length, reason)?);
            }
            tag::END => {
                let events = u64::from_le_bytes(content.try_into().map_err(|_| "short end")?);
                return if events == self.events {
                    Ok(false)
                } else {
                    Err("its end counts other events")
                };
            }
            _ => return Err("unknown record"),
        }
        self.events += 1;
        Ok(true)
    }
}

fn gap(
    head: &Head,
    offset: u64,
    length: u64,
    reason: GapReason,
) -> Result<CaptureEvent<'static>, &'static str> {
    Ok(CaptureEvent::Gap {
        connection: ConnectionId(head.connection),
        direction: *DIRECTIONS
            .get(usize::from(head.direction))
            .ok_or("unknown direction")?,
        offset,
        length,
        began: head.began,
        ended: head.ended,
        pid: head.pid,
        source: *Source::ALL
            .get(usize::from(head.source))
            .ok_or("unknown source")?,
        reason,
    })
}

/// One event for each run.
fn data(
    head: &Head,
    runs: &[u8],
    mut kept: &[u8],
    erased: &mut Vec<u8>,
    on: &mut impl FnMut(&CaptureEvent<'_>),
) -> Result<(), &'static str> {
    let mut offset = head.offset;
    for run in runs.chunks_exact(4) {
        let run = u32::from_le_bytes(run.try_into().map_err(|_| "impossible runs")?);
        let length = run & ((1 << RUN_BITS) - 1);
        let n = usize::try_from(length).map_err(|_| "impossible runs")?;
        let bytes = match run >> RUN_BITS {
            0 => {
                let (now, later) = kept.split_at_checked(n).ok_or("kept bytes are missing")?;
                kept = later;
                now
            }
            2 if length <= RECORD_LIMIT => {
                erased.clear();
                erased.resize(n, 0xff);
                erased.as_slice()
            }
            1 => {
                on(&gap(head, offset, u64::from(length), GapReason::Redacted)?);
                offset = offset.wrapping_add(u64::from(length));
                continue;
            }
            _ => return Err("unknown run"),
        };
        on(&CaptureEvent::Data {
            connection: ConnectionId(head.connection),
            direction: *DIRECTIONS
                .get(usize::from(head.direction))
                .ok_or("unknown direction")?,
            offset,
            began: head.began,
            ended: head.ended,
            pid: head.pid,
            tid: head.tid,
            goroutine: Some(head.goroutine).filter(|id| *id != 0),
            source: *Source::ALL
                .get(usize::from(head.source))
                .ok_or("unknown source")?,
            bytes,
        });
        offset = offset.wrapping_add(u64::from(length));
    }
    Ok(())
}

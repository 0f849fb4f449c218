//! The writing half. In: capture events; out: a file of mode 0600 that holds nothing but what redaction lets through.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use kafka_analyzer::capture::{CaptureEvent, Source};
use zerocopy::IntoBytes;

use super::{DIRECTIONS, HEADER, Head, MAGIC, REASONS, Rare, VERSION, WITH_PAYLOAD, number, tag};
use crate::capture::redact::{Fate, Redactor, Runs};

/// Fates stand in the upper two bits of a run.
pub(super) const RUN_BITS: u32 = 30;

pub struct Writer<W: Write> {
    out: W,
    redactor: Redactor,
    record: Vec<u8>,
    events: u64,
    bytes: u64,
}

impl Writer<BufWriter<File>> {
    /// # Errors
    /// The file is there already, or cannot be made.
    pub fn create(path: &Path, payload: bool) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        Writer::new(BufWriter::with_capacity(1 << 20, file), payload)
    }
}

impl<W: Write> Writer<W> {
    /// # Errors
    /// As `out` fails, here and below.
    pub fn new(mut out: W, payload: bool) -> io::Result<Writer<W>> {
        out.write_all(&MAGIC)?;
        out.write_all(&[VERSION])?;
        out.write_all(&(if payload { WITH_PAYLOAD } else { 0 }).to_le_bytes())?;
        Ok(Writer {
            out,
            redactor: Redactor::new(payload),
            record: Vec::new(),
            events: 0,
            bytes: HEADER as u64,
        })
    }

    pub fn event(&mut self, event: &CaptureEvent<'_>) -> io::Result<()> {
        let runs = self.redactor.runs(event);
        self.record.clear();
        match event {
            CaptureEvent::Tick { .. } => return Ok(()),
            CaptureEvent::Data {
                connection,
                direction,
                offset,
                began,
                ended,
                pid,
                tid,
                goroutine,
                source,
                bytes,
            } => {
                let head = Head {
                    connection: connection.0,
                    offset: *offset,
                    began: *began,
                    ended: *ended,
                    goroutine: goroutine.unwrap_or(0),
                    pid: *pid,
                    tid: *tid,
                    runs: u32::try_from(runs.0.len()).unwrap_or(0),
                    direction: number(&DIRECTIONS, direction),
                    source: number(&Source::ALL, source),
                    reason: 0,
                    reserved: 0,
                };
                self.record.push(tag::DATA);
                self.record.extend_from_slice(head.as_bytes());
                self.data(&runs, bytes);
            }
            CaptureEvent::Gap {
                connection,
                direction,
                offset,
                length,
                began,
                ended,
                pid,
                source,
                reason,
            } => {
                let head = Head {
                    connection: connection.0,
                    offset: *offset,
                    began: *began,
                    ended: *ended,
                    goroutine: 0,
                    pid: *pid,
                    tid: 0,
                    runs: 0,
                    direction: number(&DIRECTIONS, direction),
                    source: number(&Source::ALL, source),
                    reason: number(&REASONS, reason),
                    reserved: 0,
                };
                self.record.push(tag::GAP);
                self.record.extend_from_slice(head.as_bytes());
                self.record.extend_from_slice(&length.to_le_bytes());
            }
            rare => {
                let Some(rare) = Rare::of(rare) else {
                    return Ok(());
                };
                self.record.push(tag::RARE);
                serde_json::to_writer(&mut self.record, &rare)?;
            }
        }
        self.events += 1;
        self.flush_record()
    }

    fn data(&mut self, runs: &Runs, bytes: &[u8]) {
        for (fate, length) in &runs.0 {
            let fate = match fate {
                Fate::Keep => 0,
                Fate::Drop => 1,
                Fate::Erase => 2,
            };
            let run =
                u32::try_from(*length).unwrap_or(0) & ((1 << RUN_BITS) - 1) | fate << RUN_BITS;
            self.record.extend_from_slice(&run.to_le_bytes());
        }
        let mut at = 0;
        for (fate, length) in &runs.0 {
            if *fate == Fate::Keep {
                self.record
                    .extend_from_slice(bytes.get(at..at + length).unwrap_or_default());
            }
            at += length;
        }
    }

    fn flush_record(&mut self) -> io::Result<()> {
        let length = u32::try_from(self.record.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&self.record)?;
        self.bytes += 4 + u64::from(length);
        Ok(())
    }

    /// Events and bytes so far.
    pub fn written(&self) -> (u64, u64) {
        (self.events, self.bytes)
    }

    /// Writes the end record and all that is buffered.
    pub fn finish(mut self) -> io::Result<W> {
        self.record.clear();
        self.record.push(tag::END);
        self.record.extend_from_slice(&self.events.to_le_bytes());
        self.flush_record()?;
        self.out.flush()?;
        Ok(self.out)
    }
}

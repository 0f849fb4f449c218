//! Realistic conversations of clients and brokers, encoded by `kafka-protocol`, as capture events; and runs of the whole analyzer over them.
//!
//! Each call moves bytes at a time of its own: entered at `clock`, returned 10 ns later. `kafka-protocol` is only trusted to encode.
#![allow(dead_code, reason = "each test binary uses a part")]

use bytes::{Bytes, BytesMut};
use kafka_analyzer::capture::{
    CaptureEvent, ClientCall, ConnectionId, Direction, GapReason, Nanos, Source, Verdict, Window,
};
use kafka_analyzer::observation::{Exchange, Observation, Span, SpanKind};
use kafka_analyzer::{Fact, Merge, Model, Settings, StreamStage};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use kafka_protocol::records::{
    Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

pub mod calls;
pub mod database;
pub mod messages;
pub mod transactions;

pub const BROKER: &str = "10.0.0.9:9093";
/// This end of each connection.
pub const LOCAL: &str = "10.0.0.5:40001";
pub const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// What stands before the records of a batch.
const BATCH_HEAD: usize = 61;

/// A captured event that owns its bytes.
#[derive(Clone, Debug)]
pub enum Captured {
    Opened {
        connection: u64,
        time: Nanos,
        peer: &'static str,
    },
    Data {
        connection: u64,
        direction: Direction,
        offset: u64,
        began: Nanos,
        ended: Nanos,
        goroutine: Option<u64>,
        bytes: Vec<u8>,
    },
    Gap {
        connection: u64,
        direction: Direction,
        offset: u64,
        length: u64,
        time: Nanos,
        reason: GapReason,
    },
    Closed {
        connection: u64,
        time: Nanos,
    },
    Call(ClientCall),
    Window {
        pid: u32,
        time: Nanos,
        window: Window,
    },
    Exited {
        pid: u32,
        time: Nanos,
    },
    Tick {
        time: Nanos,
    },
}

impl Captured {
    pub fn connection(&self) -> Option<u64> {
        match self {
            Captured::Opened { connection, .. }
            | Captured::Data { connection, .. }
            | Captured::Gap { connection, .. }
            | Captured::Closed { connection, .. } => Some(*connection),
            // All of them come from one ring.
            Captured::Call(_) | Captured::Window { .. } => Some(0),
            Captured::Exited { .. } | Captured::Tick { .. } => None,
        }
    }

    pub fn event(&self) -> CaptureEvent<'_> {
        // A hundred connections are of one process.
        let pid = 100 + self.connection().unwrap_or_default() as u32 / 100;
        let (tid, source) = (101, Source::GoTls);
        match self {
            Captured::Opened {
                connection,
                time,
                peer,
            } => CaptureEvent::Opened {
                connection: ConnectionId(*connection),
                time: *time,
                pid,
                source,
                local: LOCAL.parse().ok(),
                peer: peer.parse().ok(),
            },
            Captured::Data {
                connection,
                direction,
                offset,
                began,
                ended,
                goroutine,
                bytes,
            } => CaptureEvent::Data {
                connection: ConnectionId(*connection),
                direction: *direction,
                offset: *offset,
                began: *began,
                ended: *ended,
                pid,
                tid,
                goroutine: *goroutine,
                source,
                bytes,
            },
            Captured::Gap {
                connection,
                direction,
                offset,
                length,
                time,
                reason,
            } => CaptureEvent::Gap {
                connection: ConnectionId(*connection),
                direction: *direction,
                offset: *offset,
                length: *length,
                began: *time,
                ended: *time,
                pid,
                source,
                reason: *reason,
            },
            Captured::Closed { connection, time } => CaptureEvent::Closed {
                connection: ConnectionId(*connection),
                time: *time,
            },
            Captured::Call(call) => CaptureEvent::Call(call.clone()),
            Captured::Window { pid, time, window } => CaptureEvent::Window {
                pid: *pid,
                time: *time,
                window: *window,
            },
            Captured::Exited { pid, time } => CaptureEvent::Exited {
                pid: *pid,
                time: *time,
            },
            Captured::Tick { time } => CaptureEvent::Tick { time: *time },
        }
    }
}

/// One connection's conversation.
#[derive(Clone, Debug)]
pub struct Talk {
    connection: u64,
    pub clock: Nanos,
    written: u64,
    read: u64,
    /// Who reads and writes.
    pub goroutine: Option<u64>,
    pub client_id: Option<&'static str>,
    pub events: Vec<Captured>,
}

impl Talk {
    /// Opened to [`BROKER`] at 1 µs.
    pub fn new(connection: u64) -> Talk {
        let mut talk = Talk::silent(connection);
        talk.events.push(Captured::Opened {
            connection,
            time: 1000,
            peer: BROKER,
        });
        talk
    }

    /// Without an Opened event.
    pub fn silent(connection: u64) -> Talk {
        Talk {
            connection,
            clock: 2000,
            written: 0,
            read: 0,
            goroutine: None,
            client_id: Some("app"),
            events: Vec::new(),
        }
    }

    pub fn write(&mut self, bytes: Vec<u8>) {
        self.push(Direction::Write, bytes);
    }

    pub fn read(&mut self, bytes: Vec<u8>) {
        self.push(Direction::Read, bytes);
    }

    fn push(&mut self, direction: Direction, bytes: Vec<u8>) {
        let at = match direction {
            Direction::Write => &mut self.written,
            Direction::Read => &mut self.read,
        };
        let (connection, offset, began) = (self.connection, *at, self.clock);
        *at += bytes.len() as u64;
        self.events.push(Captured::Data {
            connection,
            direction,
            offset,
            began,
            ended: began + 10,
            goroutine: self.goroutine,
            bytes,
        });
        self.clock += 1000;
    }

    pub fn gap(&mut self, direction: Direction, length: u64, reason: GapReason) {
        let at = match direction {
            Direction::Write => &mut self.written,
            Direction::Read => &mut self.read,
        };
        let (connection, offset, time) = (self.connection, *at, self.clock);
        *at += length;
        self.events.push(Captured::Gap {
            connection,
            direction,
            offset,
            length,
            time,
            reason,
        });
        self.clock += 1000;
    }

    /// Moves a frame as it is captured where nobody wants the bodies of its batches, which stand in it in this order; the last one may be cut off.
    pub fn without_bodies(&mut self, direction: Direction, mut frame: &[u8], batches: &[Bytes]) {
        for batch in batches {
            let mut windows = frame.windows(batch.len());
            let begin = windows.position(|window| window == batch).unwrap();
            let head = batch.len().min(BATCH_HEAD);
            self.push(direction, frame[..begin + head].to_vec());
            let body = batch.len() - head;
            if body > 0 {
                self.gap(direction, body as u64, GapReason::Records);
            }
            frame = &frame[begin + batch.len()..];
        }
        self.push(direction, frame.to_vec());
    }

    pub fn close(&mut self) {
        self.events.push(Captured::Closed {
            connection: self.connection,
            time: self.clock,
        });
        self.clock += 1000;
    }

    pub fn ask<M: Encodable + HeaderVersion>(
        &mut self,
        key: i16,
        version: i16,
        id: i32,
        message: &M,
    ) {
        let frame = request(key, version, id, self.client_id, message);
        self.write(frame);
    }

    pub fn tell<M: Encodable + HeaderVersion>(&mut self, version: i16, id: i32, message: &M) {
        self.read(response(version, id, message));
    }

    /// Request and answer in one go.
    pub fn exchange<Q, A>(&mut self, key: i16, version: i16, id: i32, request: &Q, answer: &A)
    where
        Q: Encodable + HeaderVersion,
        A: Encodable + HeaderVersion,
    {
        self.ask(key, version, id, request);
        self.tell(version, id, answer);
    }

    /// ApiVersions and Metadata, as every client begins.
    pub fn greet(&mut self) {
        self.exchange(
            18,
            3,
            1,
            &messages::api_versions_request(),
            &messages::api_versions_response(),
        );
        self.exchange(
            3,
            12,
            2,
            &messages::metadata_request(),
            &messages::metadata_response(&[]),
        );
    }
}

fn framed(mut body: BytesMut) -> Vec<u8> {
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.append(&mut body.split().to_vec());
    frame
}

pub fn request<M: Encodable + HeaderVersion>(
    key: i16,
    version: i16,
    id: i32,
    client_id: Option<&'static str>,
    message: &M,
) -> Vec<u8> {
    let mut header = RequestHeader::default();
    header.request_api_key = key;
    header.request_api_version = version;
    header.correlation_id = id;
    header.client_id = client_id.map(StrBytes::from_static_str);
    let mut buffer = BytesMut::new();
    header
        .encode(&mut buffer, M::header_version(version))
        .unwrap();
    message.encode(&mut buffer, version).unwrap();
    framed(buffer)
}

pub fn response<M: Encodable + HeaderVersion>(version: i16, id: i32, message: &M) -> Vec<u8> {
    let mut header = ResponseHeader::default();
    header.correlation_id = id;
    let mut buffer = BytesMut::new();
    header
        .encode(&mut buffer, M::header_version(version))
        .unwrap();
    message.encode(&mut buffer, version).unwrap();
    framed(buffer)
}

/// A record without producer id; change what a test is about.
pub fn record(offset: i64, key: &str, value: &str) -> Record {
    Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: offset as i32,
        timestamp: 1_700_000_000_000 + offset,
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: indexmap::IndexMap::new(),
    }
}

pub fn with_header(mut record: Record, name: &'static str, value: &str) -> Record {
    record.headers.insert(
        StrBytes::from_static_str(name),
        Some(Bytes::copy_from_slice(value.as_bytes())),
    );
    record
}

pub fn by_producer(mut record: Record, producer_id: i64, sequence: i32) -> Record {
    (record.producer_id, record.producer_epoch, record.sequence) = (producer_id, 0, sequence);
    record
}

pub fn batch(records: &[Record], compression: Compression) -> Bytes {
    let mut buffer = BytesMut::new();
    RecordBatchEncoder::encode(
        &mut buffer,
        records,
        &RecordEncodeOptions {
            version: 2,
            compression,
        },
    )
    .unwrap();
    buffer.freeze()
}

/// `n` records from `first` on, in one batch.
pub fn records(first: i64, n: i64) -> Vec<Record> {
    (first..first + n)
        .map(|offset| record(offset, &format!("k{offset}"), &format!("value-{offset}")))
        .collect()
}

/// Runs everything over `events` with `shards` stages; observations sorted as a replay sorts them.
pub fn run_with(
    settings: &Settings,
    events: &[Captured],
    shards: usize,
) -> (Vec<Observation>, Vec<Verdict>) {
    let mut stages: Vec<_> = (0..shards).map(|_| StreamStage::new(settings)).collect();
    let (mut merge, mut model) = (Merge::new(shards), Model::new(settings));
    let (mut observations, mut verdicts, mut ready) = (Vec::new(), Vec::new(), Vec::new());
    let mut feed =
        |event: &CaptureEvent<'_>, only: Option<u64>, merge: &mut Merge, model: &mut Model| {
            for (shard, stage) in stages.iter_mut().enumerate() {
                if only.is_none_or(|connection| connection as usize % shards == shard) {
                    let mut facts: Vec<Fact> = Vec::new();
                    stage.event(event, &mut facts, &mut verdicts);
                    let opening = stage.opening();
                    facts
                        .iter_mut()
                        .filter(|fact| fact.needs_opening())
                        .for_each(|fact| fact.open(&opening));
                    merge.push(shard, &mut facts, stage.clock());
                }
            }
            merge.pop(&mut ready);
            for fact in ready.drain(..) {
                model.fact(fact, &mut observations);
            }
            model.advance(merge.watermark(), &mut observations);
        };
    let mut last = 0;
    for event in events {
        match event {
            Captured::Data { ended, .. } => last = last.max(*ended),
            Captured::Call(call) => last = last.max(call.time),
            _ => {}
        }
        feed(&event.event(), event.connection(), &mut merge, &mut model);
    }
    feed(
        &CaptureEvent::Tick {
            time: last + 60_000_000_000,
        },
        None,
        &mut merge,
        &mut model,
    );
    assert_eq!(merge.losses().get("late_fact"), 0);
    merge.finish(&mut ready);
    for fact in ready.drain(..) {
        model.fact(fact, &mut observations);
    }
    model.finish(&mut observations);
    observations.sort_by_key(Observation::origin);
    (observations, verdicts)
}

/// What is counted as lost over `events`, and what it keeps in memory at the end.
pub fn lost(settings: &Settings, events: &[Captured]) -> (Vec<(&'static str, u64)>, usize) {
    let (mut stage, mut model) = (StreamStage::new(settings), Model::new(settings));
    let (mut facts, mut verdicts, mut out) = (Vec::new(), Vec::new(), Vec::new());
    for event in events {
        stage.event(&event.event(), &mut facts, &mut verdicts);
    }
    let kept = facts.iter().map(|fact| fact.says.held()).sum::<usize>();
    for mut fact in facts {
        fact.open(&stage.opening());
        model.fact(fact, &mut out);
    }
    model.finish(&mut out);
    let all = stage.losses().iter().chain(model.losses().iter());
    (all.collect(), stage.kept().saturating_sub(kept))
}

pub fn run(events: &[Captured]) -> Vec<Observation> {
    run_with(&Settings::default(), events, 1).0
}

pub fn exchanges(observations: &[Observation]) -> Vec<&Exchange> {
    observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::Exchange(exchange) => Some(exchange),
            _ => None,
        })
        .collect()
}

pub fn spans(observations: &[Observation], kind: SpanKind) -> Vec<&Span> {
    observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::Span(span) if span.span == kind => Some(span),
            _ => None,
        })
        .collect()
}

/// (topic, partition, error, records acknowledged or refused) of all Produce exchanges.
pub fn produced(observations: &[Observation]) -> Vec<(String, i32, Option<&'static str>, u64)> {
    let partitions = exchanges(observations)
        .into_iter()
        .flat_map(|exchange| &exchange.produced);
    partitions
        .map(|partition| {
            let records = partition
                .batches
                .records
                .iter()
                .map(|records| u64::from(*records))
                .sum();
            (
                partition.topic.to_string(),
                partition.partition,
                partition.error,
                records,
            )
        })
        .collect()
}

/// (topic, partition, records) of all Fetch exchanges.
pub fn fetched(observations: &[Observation]) -> Vec<(String, i32, u64)> {
    let partitions = exchanges(observations)
        .into_iter()
        .flat_map(|exchange| &exchange.fetched);
    partitions
        .map(|partition| {
            (
                partition.topic.to_string(),
                partition.partition,
                partition.records,
            )
        })
        .collect()
}

/// (api, version, reason) of frames that were not understood.
pub fn unsupported(observations: &[Observation]) -> Vec<(String, i16, &'static str)> {
    let found = observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::Unsupported(found) => {
                Some((found.api.to_string(), found.api_version, found.reason))
            }
            _ => None,
        });
    found.collect()
}

/// (reason, bytes).
pub fn gaps(observations: &[Observation]) -> Vec<(GapReason, u64)> {
    let found = observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::CaptureGap(gap) => Some((gap.reason, gap.bytes)),
            _ => None,
        });
    found.collect()
}

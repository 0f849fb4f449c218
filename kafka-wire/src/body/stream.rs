//! Produce requests, Fetch and ShareFetch answers, read as they pass. In: windows of the body, and gaps; out: topics, partitions, what is in them.
//!
//! All have the same shape: a start, topics, partitions, in each a record field, and after every struct a tag buffer in flexible
//! versions. A step takes one piece of that shape. Tags (current leader, diverging epoch, node endpoints, ...) are stepped over.

use super::records::Records;
use super::{Aborted, Event, Limits, Partition, Step};
use crate::TopicRef;
use crate::reader::{Read, Reader, Stop};

mod share;

/// Topic names and transactional ids above this are refused: names end at 249 (`Topic.MAX_NAME_LENGTH`), and what is kept must stay small.
const LONGEST_STRING: usize = 4096;
/// Aborted transactions kept for one partition.
const MOST_ABORTED: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ProduceRequest,
    FetchResponse,
    ShareFetchResponse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Topic,
    Partition,
    Aborted { left: u32 },
    PartitionRest,
    Records,
    AcquiredCount,
    Acquired { left: u32 },
    NodeCount,
    Node { left: u32 },
    TagCount(After),
    Tag { left: u32, after: After },
    TagField { end: u64, left: u32, after: After },
    Done,
}

/// What a tag buffer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Aborted { left: u32 },
    Leader,
    Acquired { left: u32 },
    Partition,
    Topic,
    Node { left: u32 },
    Body,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Stream {
    kind: Kind,
    version: i16,
    flexible: bool,
    /// Of the body.
    end: u64,
    at: At,
    topics_left: u32,
    partitions_left: u32,
    partition: Partition<'static>,
    aborted: Vec<(i64, i64)>,
    aborted_truncated: bool,
    records: Records,
    complete: bool,
}

impl Stream {
    pub(super) fn new(
        kind: Kind,
        version: i16,
        flexible: bool,
        end: u64,
        limits: Limits,
    ) -> Stream {
        Stream {
            kind,
            version,
            flexible,
            end,
            at: At::Start,
            topics_left: 0,
            partitions_left: 0,
            partition: Partition::UNKNOWN,
            aborted: Vec::new(),
            aborted_truncated: false,
            records: Records::new(limits, kind != Kind::ProduceRequest),
            complete: true,
        }
    }

    /// All that the body says was delivered.
    pub(super) fn is_complete(&self) -> bool {
        self.complete && self.at == At::Done
    }

    /// Bytes held in vectors.
    pub(super) fn held(&self) -> usize {
        self.aborted.capacity() * size_of::<(i64, i64)>() + self.records.held()
    }

    /// Takes what it can from the window, which begins at `pos`.
    pub(super) fn step(
        &mut self,
        window: &[u8],
        pos: u64,
        emit: &mut impl FnMut(Event<'_>),
    ) -> Result<Step, &'static str> {
        match self.at {
            At::Records => match self.records.step(window, pos, emit)? {
                Step::Finished => {
                    let complete = self.records.is_complete();
                    self.complete &= complete;
                    emit(Event::PartitionEnd { complete });
                    self.after_records();
                    Ok(Step::Took(0))
                }
                step => Ok(step),
            },
            At::TagField { end, left, after } => {
                let taken = window.len().min((end - pos) as usize);
                if pos + taken as u64 >= end {
                    self.at = At::Tag { left, after };
                    return Ok(Step::Took(taken));
                }
                Ok(if taken == 0 {
                    Step::Need(1)
                } else {
                    Step::Took(taken)
                })
            }
            At::Tag { left: 0, after } => {
                self.go_on(after);
                Ok(Step::Took(0))
            }
            At::Aborted { left: 0 } => {
                self.at = At::PartitionRest;
                Ok(Step::Took(0))
            }
            At::Acquired { left: 0 } => {
                self.after_struct(After::Partition);
                Ok(Step::Took(0))
            }
            At::Node { left: 0 } => {
                self.after_struct(After::Body);
                Ok(Step::Took(0))
            }
            At::Done => Ok(Step::Finished),
            _ => {
                let mut reader = Reader::new(window, self.flexible).with_longest(LONGEST_STRING);
                match self.token(&mut reader, pos, emit) {
                    Ok(()) => Ok(Step::Took(reader.position())),
                    Err(Stop::Need(n)) => Ok(Step::Need(n)),
                    Err(Stop::Bad(reason)) => Err(reason),
                }
            }
        }
    }

    /// One piece that must be seen as a whole. The state changes only when it was.
    fn token(
        &mut self,
        reader: &mut Reader<'_>,
        pos: u64,
        emit: &mut impl FnMut(Event<'_>),
    ) -> Read<()> {
        match self.at {
            At::Start => self.start(reader, emit),
            At::Topic => self.topic(reader, emit),
            At::Partition => self.partition(reader, pos, emit),
            At::Aborted { left } => {
                let pair = (reader.i64()?, reader.i64()?);
                if self.aborted.len() < MOST_ABORTED {
                    self.aborted.push(pair);
                } else {
                    self.aborted_truncated = true;
                }
                self.after_struct(After::Aborted { left: left - 1 });
                Ok(())
            }
            At::PartitionRest => self.partition_rest(reader, pos, emit),
            At::AcquiredCount => self.acquired_count(reader),
            At::Acquired { left } => self.acquired(reader, left, emit),
            At::NodeCount => self.node_count(reader),
            At::Node { left } => self.node(reader, left),
            At::TagCount(after) => {
                self.at = At::Tag {
                    left: reader.uvarint()?,
                    after,
                };
                Ok(())
            }
            At::Tag { left, after } => {
                reader.uvarint()?;
                let size = u64::from(reader.uvarint()?);
                let end = pos + reader.position() as u64 + size;
                if end > self.end {
                    return Err(Stop::Bad("tag_size"));
                }
                self.at = At::TagField {
                    end,
                    left: left - 1,
                    after,
                };
                Ok(())
            }
            At::Records | At::TagField { .. } | At::Done => Ok(()),
        }
    }

    fn start(&mut self, reader: &mut Reader<'_>, emit: &mut impl FnMut(Event<'_>)) -> Read<()> {
        let event = match self.kind {
            Kind::ProduceRequest => Event::Produce {
                transactional_id: if self.version >= 3 {
                    reader.nullable_string()?
                } else {
                    None
                },
                acks: reader.i16()?,
                timeout_ms: reader.i32()?,
            },
            Kind::FetchResponse => Event::Fetch {
                throttle_ms: if self.version >= 1 { reader.i32()? } else { 0 },
                error_code: if self.version >= 7 { reader.i16()? } else { 0 },
                session_id: if self.version >= 7 { reader.i32()? } else { 0 },
            },
            Kind::ShareFetchResponse => share::start(reader, self.version)?,
        };
        self.topics_left = count(reader)?;
        self.next_topic();
        emit(event);
        Ok(())
    }

    fn topic(&mut self, reader: &mut Reader<'_>, emit: &mut impl FnMut(Event<'_>)) -> Read<()> {
        let topic = if self.version >= 13 || self.kind == Kind::ShareFetchResponse {
            TopicRef::Id(reader.uuid()?)
        } else {
            TopicRef::Name(reader.string()?)
        };
        self.partitions_left = count(reader)?;
        self.topics_left -= 1;
        self.next_partition();
        emit(Event::Topic(topic));
        Ok(())
    }

    fn partition(
        &mut self,
        reader: &mut Reader<'_>,
        pos: u64,
        emit: &mut impl FnMut(Event<'_>),
    ) -> Read<()> {
        if self.kind == Kind::ShareFetchResponse {
            return self.share_partition(reader);
        }
        let mut partition = Partition {
            index: reader.i32()?,
            ..Partition::UNKNOWN
        };
        if self.kind == Kind::ProduceRequest {
            return self.record_field(reader, pos, partition, emit);
        }
        partition.error_code = reader.i16()?;
        partition.high_watermark = reader.i64()?;
        if self.version >= 4 {
            partition.last_stable_offset = reader.i64()?;
        }
        if self.version >= 5 {
            partition.log_start_offset = reader.i64()?;
        }
        let aborted = if self.version >= 4 { count(reader)? } else { 0 };
        self.partition = partition;
        self.aborted.clear();
        self.aborted_truncated = false;
        self.at = At::Aborted { left: aborted };
        Ok(())
    }

    fn partition_rest(
        &mut self,
        reader: &mut Reader<'_>,
        pos: u64,
        emit: &mut impl FnMut(Event<'_>),
    ) -> Read<()> {
        let mut partition = self.partition;
        if self.version >= 11 && self.kind == Kind::FetchResponse {
            partition.preferred_read_replica = reader.i32()?;
        }
        self.record_field(reader, pos, partition, emit)
    }

    fn record_field(
        &mut self,
        reader: &mut Reader<'_>,
        pos: u64,
        partition: Partition<'_>,
        emit: &mut impl FnMut(Event<'_>),
    ) -> Read<()> {
        let length = reader.length()?;
        let start = pos + reader.position() as u64;
        let end = start + length.unwrap_or(0) as u64;
        if end > self.end {
            return Err(Stop::Bad("records_length"));
        }
        self.partitions_left -= 1;
        match length {
            Some(_) => {
                self.records.begin(end);
                self.at = At::Records;
            }
            None => self.after_records(),
        }
        let aborted = Aborted {
            pairs: &self.aborted,
            truncated: self.aborted_truncated,
        };
        emit(Event::Partition(Partition {
            aborted,
            records_len: length.map(|n| n as u32),
            ..partition
        }));
        Ok(())
    }

    fn after_records(&mut self) {
        if self.kind == Kind::ShareFetchResponse {
            self.at = At::AcquiredCount;
        } else {
            self.after_struct(After::Partition);
        }
    }

    fn after_struct(&mut self, after: After) {
        if self.flexible {
            self.at = At::TagCount(after);
        } else {
            self.go_on(after);
        }
    }

    fn go_on(&mut self, after: After) {
        match after {
            After::Aborted { left } => self.at = At::Aborted { left },
            After::Leader => self.at = At::PartitionRest,
            After::Acquired { left } => self.at = At::Acquired { left },
            After::Partition => self.next_partition(),
            After::Topic => self.next_topic(),
            After::Node { left } => self.at = At::Node { left },
            After::Body => self.at = At::Done,
        }
    }

    fn next_partition(&mut self) {
        if self.partitions_left > 0 {
            self.at = At::Partition;
        } else {
            self.after_struct(After::Topic);
        }
    }

    fn next_topic(&mut self) {
        if self.topics_left > 0 {
            self.at = At::Topic;
        } else if self.kind == Kind::ShareFetchResponse {
            self.at = At::NodeCount;
        } else {
            self.after_struct(After::Body);
        }
    }

    /// `n` bytes from `pos` on are missing. Returns how many of them are dealt with, or why nothing after them can be read.
    pub(super) fn gap(&mut self, pos: u64, n: u64) -> Result<u64, &'static str> {
        match self.at {
            At::Records => Ok(self.records.gap(pos, n)),
            At::TagField { end, .. } => Ok(n.min(end - pos)),
            _ => Err("gap"),
        }
    }
}

/// Elements of an array; null has none.
fn count(reader: &mut Reader<'_>) -> Read<u32> {
    let count = reader.length()?.unwrap_or(0);
    u32::try_from(count).map_err(|_| Stop::Bad("length"))
}

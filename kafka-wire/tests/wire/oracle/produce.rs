//! Produce, both sides, with batches of every codec that are opened again.

use kafka_protocol::messages::produce_request as ask;
use kafka_protocol::messages::produce_response as tell;
use kafka_protocol::records::{
    Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use kafka_wire::api::{Message, PRODUCE};
use kafka_wire::body::{Event, Limits, Side};
use kafka_wire::compression::decompress;
use kafka_wire::record_batch::{self, BatchHeader, Codec, walk};

use super::*;

#[test]
fn answers() {
    each_version(3..=13, |version, random| {
        let mut answer = tell::ProduceResponse::default();
        answer.throttle_time_ms = random.i32();
        answer.responses = random.many(3, |random| {
            let mut topic = tell::TopicProduceResponse::default();
            if version <= 12 {
                topic.name = random.text().into()
            } else {
                topic.topic_id = random.uuid()
            };
            topic.partition_responses = random.many(4, |random| tell_partition(version, random));
            topic
        });
        if version >= 10 {
            answer.node_endpoints = random.many(2, |random| {
                let mut node = tell::NodeEndpoint::default();
                (node.host, node.port, node.rack) = (random.text(), random.i32(), random.maybe());
                node
            });
        }
        message(Side::Response, PRODUCE, version, &answer, |message| {
            let Message::ProduceResponse(seen) = message else {
                panic!("{message:?}")
            };
            assert_eq!(seen.throttle_time_ms, answer.throttle_time_ms);
            assert_eq!(seen.responses.len(), answer.responses.len());
            for (seen, topic) in seen.responses.iter().zip(&answer.responses) {
                topic_matches(seen.topic, &topic.name, topic.topic_id, version);
                assert_eq!(
                    seen.partition_responses.len(),
                    topic.partition_responses.len()
                );
                for (seen, partition) in seen
                    .partition_responses
                    .iter()
                    .zip(&topic.partition_responses)
                {
                    assert_eq!(
                        (seen.index, seen.error_code),
                        (partition.index, partition.error_code)
                    );
                    assert_eq!(
                        (seen.base_offset, seen.log_append_time_ms),
                        (partition.base_offset, partition.log_append_time_ms)
                    );
                    assert_eq!(seen.log_start_offset, partition.log_start_offset);
                    assert_eq!(seen.record_errors as usize, partition.record_errors.len());
                }
            }
            let codes = answer
                .responses
                .iter()
                .flat_map(|topic| &topic.partition_responses)
                .map(|partition| partition.error_code);
            assert_eq!(message.first_error(), codes.clone().find(|code| *code != 0));
        });
    });
}

fn tell_partition(version: i16, random: &mut Random) -> tell::PartitionProduceResponse {
    let mut partition = tell::PartitionProduceResponse::default();
    partition.index = random.i32();
    partition.error_code = random.below(4) as i16;
    partition.base_offset = random.i64();
    partition.log_append_time_ms = random.i64();
    if version >= 5 {
        partition.log_start_offset = random.i64();
    }
    if version >= 8 {
        partition.error_message = random.maybe();
        partition.record_errors = random.many(3, |random| {
            let mut error = tell::BatchIndexAndErrorMessage::default();
            (error.batch_index, error.batch_index_error_message) = (random.i32(), random.maybe());
            error
        });
    }
    if version >= 10 && random.bool() {
        partition.current_leader.leader_id = random.i32().into();
    }
    partition
}

const CODECS: [(Compression, Codec); 5] = [
    (Compression::None, Codec::None),
    (Compression::Gzip, Codec::Gzip),
    (Compression::Snappy, Codec::Snappy),
    (Compression::Lz4, Codec::Lz4),
    (Compression::Zstd, Codec::Zstd),
];

#[test]
fn requests() {
    each_version(3..=13, |version, random| {
        let (compression, codec) = CODECS[random.below(5) as usize];
        let mut sent: Vec<Vec<Record>> = Vec::new();
        let mut request = ask::ProduceRequest::default();
        request.transactional_id = random.maybe().map(Into::into);
        (request.acks, request.timeout_ms) = (random.i16(), random.i32());
        request.topic_data = random.many(3, |random| {
            let mut topic = ask::TopicProduceData::default();
            if version <= 12 {
                topic.name = random.text().into()
            } else {
                topic.topic_id = random.uuid()
            };
            topic.partition_data = random.many(3, |random| {
                let records = records(random);
                let mut field = Vec::new();
                let options = RecordEncodeOptions {
                    version: 2,
                    compression,
                };
                RecordBatchEncoder::encode(&mut field, &records, &options)
                    .expect("the oracle encodes");
                let mut partition = ask::PartitionProduceData::default();
                partition.index = random.i32();
                partition.records = Some(field.into());
                sent.push(records);
                partition
            });
            topic
        });
        let (mut topics, mut batches) = (request.topic_data.iter(), sent.iter());
        let mut partitions = request
            .topic_data
            .iter()
            .flat_map(|topic| &topic.partition_data);
        let mut open: Option<Opened<'_>> = None;
        let mut ended = false;
        decode(
            Side::Request,
            PRODUCE,
            version,
            &request,
            |event| match event {
                Event::Produce {
                    transactional_id,
                    acks,
                    timeout_ms,
                } => {
                    assert_eq!(
                        transactional_id,
                        request.transactional_id.as_ref().map(|id| id.as_str())
                    );
                    assert_eq!((acks, timeout_ms), (request.acks, request.timeout_ms));
                }
                Event::Topic(seen) => {
                    let topic = topics.next().expect("a topic");
                    topic_matches(seen, &topic.name, topic.topic_id, version);
                }
                Event::Partition(seen) => {
                    assert_eq!(seen.index, partitions.next().expect("a partition").index)
                }
                Event::Batch(header) => {
                    assert_eq!(header.codec, codec);
                    open = Some(Opened::new(header, batches.next().expect("a batch")));
                }
                Event::Record(seen) => open.as_mut().expect("a batch").check(&seen),
                Event::Compressed { piece, .. } => open
                    .as_mut()
                    .expect("a batch")
                    .sealed
                    .extend_from_slice(piece),
                Event::BatchEnd { complete } => {
                    assert!(complete);
                    open.take().expect("a batch").end();
                }
                Event::PartitionEnd { complete } => assert!(complete),
                Event::End { complete } => ended = complete,
                other => panic!("v{version}: {other:?}"),
            },
        );
        assert!(
            ended
                && topics.next().is_none()
                && partitions.next().is_none()
                && batches.next().is_none()
        );
    });
}

/// A batch and what was sent in it.
struct Opened<'r> {
    header: BatchHeader,
    sent: &'r [Record],
    seen: usize,
    sealed: Vec<u8>,
}

impl<'r> Opened<'r> {
    fn new(header: BatchHeader, sent: &'r [Record]) -> Self {
        let first = &sent[0];
        assert_eq!(header.magic, 2);
        assert_eq!(header.records_count as usize, sent.len());
        assert_eq!(header.base_offset, first.offset);
        assert_eq!(header.last_offset_delta as usize, sent.len() - 1);
        assert_eq!(
            (header.producer_id, header.producer_epoch),
            (first.producer_id, first.producer_epoch)
        );
        assert_eq!(header.base_sequence, first.sequence);
        assert_eq!(
            (header.is_transactional(), header.is_control()),
            (first.transactional, first.control)
        );
        Opened {
            header,
            sent,
            seen: 0,
            sealed: Vec::new(),
        }
    }

    fn check(&mut self, record: &record_batch::Record<'_>) {
        let sent = &self.sent[self.seen];
        assert_eq!(record.index as usize, self.seen);
        assert_eq!(self.header.offset(record), sent.offset);
        assert_eq!(
            self.header.base_timestamp + record.timestamp_delta,
            sent.timestamp
        );
        assert_eq!(record.key, sent.key.as_deref());
        assert_eq!(
            record.value_len,
            sent.value.as_ref().map(|value| value.len() as u32)
        );
        assert_eq!(record.headers.claimed(), Some(sent.headers.len() as u32));
        let headers = sent
            .headers
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_deref()));
        assert!(record.headers.iter().eq(headers));
        assert!(!record.truncated);
        self.seen += 1;
    }

    fn end(mut self) {
        if self.header.codec != Codec::None {
            let mut inner = Vec::new();
            decompress(self.header.codec, &self.sealed, 1 << 20, &mut inner)
                .expect("the codec's own output");
            let header = self.header;
            let walked = walk(&header, &inner, &Limits::default(), |record| {
                self.check(&record)
            });
            assert!(walked.complete);
        }
        assert_eq!(self.seen, self.sent.len());
    }
}

fn records(random: &mut Random) -> Vec<Record> {
    let (offset, timestamp) = (random.below(1 << 40) as i64, random.below(1 << 41) as i64);
    let (transactional, control) = (random.bool(), random.below(8) == 0);
    let (producer_id, producer_epoch) = (random.i64(), random.i16());
    let sequence = random.below(1 << 20) as i32;
    (0..=random.below(9))
        .map(|i| Record {
            transactional,
            control,
            delete_horizon: false,
            partition_leader_epoch: 3,
            producer_id,
            producer_epoch,
            // The oracle does not encode the other type.
            timestamp_type: TimestampType::Creation,
            offset: offset + i as i64,
            sequence: sequence + i as i32,
            timestamp: timestamp + random.below(1000) as i64,
            key: random.bool().then(|| random.bytes(40).into()),
            value: random.bool().then(|| random.bytes(400).into()),
            headers: random
                .many(3, |random| {
                    (
                        random.text(),
                        random.bool().then(|| random.bytes(30).into()),
                    )
                })
                .into_iter()
                .collect(),
        })
        .collect()
}

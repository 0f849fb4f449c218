//! Nanoseconds per batch header and per record in `kafka-wire`, against `kafka-protocol` on the same bytes.
//!
//! `cargo bench -p kafka-wire`. In: Fetch answers (v12) of 8 MiB in batches of about 64 KiB, fed in 16 KiB pieces as they come from a socket;
//! out: a table. "header": batches are stepped over; "record": every record's key and headers are handed out, nothing is copied.
//! `kafka-protocol` owns what it decodes and verifies checksums, which `kafka-wire` leaves to the broker.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::protocol::{Decodable, Encodable};
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use kafka_wire::Segment;
use kafka_wire::api::FETCH;
use kafka_wire::body::{Decoder, Event, Limits, Side};

const VERSION: i16 = 12;
const BODY: usize = 8 << 20;
const BATCH: usize = 64 << 10;
const PIECE: usize = 16 << 10;
const ROUNDS: usize = 51;

fn main() {
    println!(
        "{:>12} {:>8} | {:>10} {:>10} | {:>14} {:>7}",
        "record", "a batch", "header ns", "record ns", "kafka-protocol", "ratio"
    );
    for (name, size) in [("100 B", 100), ("1 KiB", 1024), ("16 KiB", 16 << 10)] {
        let in_batch = (BATCH / size).max(1);
        let batches = BODY / (in_batch * size);
        let body = answer(size, in_batch, batches);
        let records = in_batch * batches;

        let stepped = quickest(|| {
            let seen = decode(&body, false);
            assert_eq!(seen, (batches, 0));
        });
        let walked = quickest(|| {
            let seen = decode(&body, true);
            assert_eq!(seen, (batches, records));
        });
        let oracle = quickest(|| assert_eq!(decode_with_oracle(&body), records));
        let header = stepped / batches as f64;
        let record = walked / records as f64;
        let other = oracle / records as f64;
        println!(
            "{name:>12} {in_batch:>8} | {header:>10.1} {record:>10.1} | {other:>14.1} {:>6.1}x",
            other / record
        );
    }
}

/// Nanoseconds of the quickest of some runs: what else the machine does only adds.
fn quickest(mut run: impl FnMut()) -> f64 {
    let mut least = u128::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        run();
        least = least.min(start.elapsed().as_nanos());
    }
    least as f64
}

/// Batches and records seen.
fn decode(body: &[u8], records: bool) -> (usize, usize) {
    let limits = Limits {
        records,
        ..Limits::default()
    };
    let mut decoder = Decoder::new(Side::Response, FETCH, VERSION, body.len() as u64, limits);
    let mut seen = (0, 0);
    for piece in body.chunks(PIECE) {
        decoder.feed(Segment::Bytes(piece), &mut |event| match event {
            Event::Batch(header) => seen.0 += usize::from(black_box(header.records_count) > 0),
            Event::Record(record) => seen.1 += usize::from(!black_box(record).truncated),
            _ => {}
        });
    }
    seen
}

fn decode_with_oracle(body: &Bytes) -> usize {
    let answer = FetchResponse::decode(&mut body.clone(), VERSION).expect("its own answer");
    let partitions = answer
        .responses
        .into_iter()
        .flat_map(|topic| topic.partitions);
    let fields = partitions.filter_map(|partition| partition.records);
    fields
        .map(|mut field| {
            let sets = RecordBatchDecoder::decode_all(&mut field).expect("its own batches");
            black_box(sets)
                .iter()
                .map(|set| set.records.len())
                .sum::<usize>()
        })
        .sum()
}

fn answer(size: usize, in_batch: usize, batches: usize) -> Bytes {
    let records: Vec<Record> = (0..in_batch)
        .map(|i| Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: 0,
            producer_id: 7,
            producer_epoch: 0,
            timestamp_type: TimestampType::Creation,
            offset: i as i64,
            sequence: i as i32,
            timestamp: 1_700_000_000_000 + i as i64,
            key: Some(Bytes::from(format!("order-{i:06}"))),
            value: Some(Bytes::from(vec![b'v'; size - 12])),
            headers: Default::default(),
        })
        .collect();
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    let mut batch = Vec::new();
    RecordBatchEncoder::encode(&mut batch, &records, &options).expect("plain records");
    let mut partition = PartitionData::default();
    partition.records = Some(batch.repeat(batches).into());
    let mut topic = FetchableTopicResponse::default();
    topic.partitions = vec![partition];
    let mut answer = FetchResponse::default();
    answer.responses = vec![topic];
    let mut body = Vec::new();
    answer
        .encode(&mut body, VERSION)
        .expect("the oracle encodes");
    body.into()
}

//! What `kafka-wire` makes of a body, as JSON of the shape that Kafka's own log has. In: a frame of a recording. Out: its fields, or why
//! it was not understood.

use anyhow::{Result, bail};
use kafka_wire::body::{Decoder, Event, Limits, Partition, Side};
use kafka_wire::{Segment, TopicRef};
use serde_json::{Value, json};

use super::debug_text;

/// Bodies are decoded whole: answers about all topics too.
const LIMITS: Limits = Limits {
    keep: 1024,
    whole: 64 << 20,
    large: 64 << 20,
    records: false,
};

pub fn decode(side: Side, key: i16, version: i16, body: &[Segment<'_>]) -> Result<Value> {
    let length = body.iter().map(|segment| match segment {
        Segment::Bytes(bytes) => bytes.len() as u64,
        Segment::Elided(n) => *n,
    });
    let mut decoder = Decoder::new(side, key, version, length.sum(), LIMITS);
    let mut whole = Whole::default();
    let mut on = |event: Event<'_>| whole.event(event);
    for segment in body {
        decoder.feed(*segment, &mut on);
    }
    decoder.finish(&mut on);
    match whole.problem {
        Some(problem) => bail!("{problem}"),
        None => Ok(whole.value),
    }
}

#[derive(Default)]
struct Whole {
    value: Value,
    problem: Option<String>,
}

impl Whole {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Message(message) => match debug_text::parse(&format!("{message:?}")) {
                Ok(value) => self.value = value,
                Err(error) => self.problem = Some(error.to_string()),
            },
            Event::Produce {
                transactional_id,
                acks,
                timeout_ms,
            } => {
                self.value = json!({
                    "transactionalId": transactional_id, "acks": acks, "timeoutMs": timeout_ms, "topicData": [],
                });
            }
            Event::Fetch {
                throttle_ms,
                error_code,
                session_id,
            } => {
                self.value = json!({
                    "throttleTimeMs": throttle_ms, "errorCode": error_code, "sessionId": session_id, "responses": [],
                });
            }
            Event::ShareFetch {
                throttle_ms,
                error_code,
                acquisition_lock_timeout_ms,
            } => {
                self.value = json!({
                    "throttleTimeMs": throttle_ms, "errorCode": error_code,
                    "acquisitionLockTimeoutMs": acquisition_lock_timeout_ms, "responses": [],
                });
            }
            Event::Topic(topic) => {
                let partitions = if self.is_request() {
                    "partitionData"
                } else {
                    "partitions"
                };
                let topic = match topic {
                    TopicRef::Name(name) => json!({"$name": name}),
                    TopicRef::Id(id) => json!({"$id": debug_text::uuid(&id.0)}),
                };
                push(self.topics(), json!({"topic": topic, partitions: []}));
            }
            Event::Partition(partition) => {
                let partition = if self.is_request() {
                    json!({"index": partition.index, "recordsSizeInBytes": partition.records_len})
                } else {
                    let mut answered = answered(&partition);
                    // Of a ShareFetch the log does not say how long its records are.
                    let shared = self.value.get("acquisitionLockTimeoutMs").is_some();
                    if let Some(fields) = answered.as_object_mut().filter(|_| shared) {
                        fields.remove("recordsSizeInBytes");
                    }
                    answered
                };
                push(self.partitions(), partition);
            }
            Event::Acquired(acquired) => {
                let acquired = json!({
                    "firstOffset": acquired.first_offset, "lastOffset": acquired.last_offset,
                    "deliveryCount": acquired.delivery_count,
                });
                let partition = self.partitions().and_then(last);
                push(
                    partition.and_then(|it| it.get_mut("acquiredRecords")),
                    acquired,
                );
            }
            Event::Undecodable { reason } => self.problem = Some(reason.to_owned()),
            Event::PartitionEnd { complete: false } | Event::End { complete: false } => {
                self.problem.get_or_insert("incomplete".to_owned());
            }
            _ => {}
        }
    }

    fn is_request(&self) -> bool {
        self.value.get("topicData").is_some()
    }

    fn topics(&mut self) -> Option<&mut Value> {
        let name = if self.is_request() {
            "topicData"
        } else {
            "responses"
        };
        self.value.get_mut(name)
    }

    fn partitions(&mut self) -> Option<&mut Value> {
        let is_request = self.is_request();
        let topic = self.topics().and_then(last)?;
        topic.get_mut(if is_request {
            "partitionData"
        } else {
            "partitions"
        })
    }
}

fn answered(partition: &Partition<'_>) -> Value {
    let aborted: Vec<Value> = partition
        .aborted
        .pairs
        .iter()
        .map(|(producer, first)| json!({"producerId": producer, "firstOffset": first}))
        .collect();
    json!({
        "partitionIndex": partition.index, "errorCode": partition.error_code,
        "acknowledgeErrorCode": partition.acknowledge_error_code, "highWatermark": partition.high_watermark,
        "lastStableOffset": partition.last_stable_offset, "logStartOffset": partition.log_start_offset,
        "abortedTransactions": aborted, "preferredReadReplica": partition.preferred_read_replica,
        "recordsSizeInBytes": partition.records_len, "acquiredRecords": [],
    })
}

fn last(value: &mut Value) -> Option<&mut Value> {
    value.as_array_mut()?.last_mut()
}

fn push(to: Option<&mut Value>, item: Value) {
    if let Some(Value::Array(items)) = to {
        items.push(item);
    }
}

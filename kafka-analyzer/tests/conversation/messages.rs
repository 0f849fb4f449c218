//! Messages of the conversations, with the fields that the tests are about.

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, FetchableTopicResponse, PartitionData,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub fn topic_id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub fn api_versions_request() -> ApiVersionsRequest {
    let mut request = ApiVersionsRequest::default();
    request.client_software_name = text("apache-kafka-java");
    request.client_software_version = text("4.1.0");
    request
}

pub fn api_versions_response() -> ApiVersionsResponse {
    ApiVersionsResponse::default()
}

pub fn metadata_request() -> MetadataRequest {
    MetadataRequest::default()
}

/// Brokers 10.0.0.9:9093 and 10.0.0.10:9093; `topics` with ids.
pub fn metadata_response(topics: &[(&str, u128)]) -> MetadataResponse {
    let mut response = MetadataResponse::default();
    response.cluster_id = Some(text(super::CLUSTER));
    for (id, host) in [(1, "10.0.0.9"), (2, "10.0.0.10")] {
        let mut broker = MetadataResponseBroker::default();
        (broker.node_id, broker.host, broker.port) = (id.into(), text(host), 9093);
        response.brokers.push(broker);
    }
    for (name, id) in topics {
        let mut topic = MetadataResponseTopic::default();
        topic.name = Some(text(name).into());
        topic.topic_id = topic_id(*id);
        topic.partitions.push(MetadataResponsePartition::default());
        response.topics.push(topic);
    }
    response
}

/// A topic by name or by id, as the version wants it.
#[derive(Clone, Copy, Debug)]
pub enum Named {
    Name(&'static str),
    Id(u128),
}

impl Named {
    fn split(self) -> (StrBytes, Uuid) {
        match self {
            Named::Name(name) => (text(name), Uuid::nil()),
            Named::Id(id) => (text(""), topic_id(id)),
        }
    }
}

pub fn produce_request(acks: i16, topics: &[(Named, &[(i32, Bytes)])]) -> ProduceRequest {
    let mut request = ProduceRequest::default();
    (request.acks, request.timeout_ms) = (acks, 30_000);
    for (named, partitions) in topics {
        let mut topic = TopicProduceData::default();
        let (name, id) = named.split();
        (topic.name, topic.topic_id) = (name.into(), id);
        for (index, records) in *partitions {
            let mut partition = PartitionProduceData::default();
            (partition.index, partition.records) = (*index, Some(records.clone()));
            topic.partition_data.push(partition);
        }
        request.topic_data.push(topic);
    }
    request
}

/// (partition, error code, base offset).
pub type Acknowledged = (i32, i16, i64);

pub fn produce_response(topics: &[(Named, &[Acknowledged])]) -> ProduceResponse {
    let mut response = ProduceResponse::default();
    for (named, partitions) in topics {
        let mut topic = TopicProduceResponse::default();
        let (name, id) = named.split();
        (topic.name, topic.topic_id) = (name.into(), id);
        for (index, error, base_offset) in *partitions {
            let mut partition = PartitionProduceResponse::default();
            (partition.index, partition.error_code, partition.base_offset) =
                (*index, *error, *base_offset);
            (partition.log_append_time_ms, partition.log_start_offset) = (-1, 0);
            topic.partition_responses.push(partition);
        }
        response.responses.push(topic);
    }
    response
}

/// Session (id, epoch), isolation, (partition, fetch offset) of each topic.
pub fn fetch_request(
    session: (i32, i32),
    isolation: i8,
    topics: &[(Named, &[(i32, i64)])],
) -> FetchRequest {
    let mut request = FetchRequest::default();
    (request.session_id, request.session_epoch) = session;
    (request.isolation_level, request.max_bytes) = (isolation, 1 << 20);
    request.replica_id = BrokerId(-1);
    for (named, partitions) in topics {
        let mut topic = FetchTopic::default();
        let (name, id) = named.split();
        (topic.topic, topic.topic_id) = (name.into(), id);
        for (index, offset) in *partitions {
            let mut partition = FetchPartition::default();
            (partition.partition, partition.fetch_offset) = (*index, *offset);
            partition.partition_max_bytes = 1 << 20;
            topic.partitions.push(partition);
        }
        request.topics.push(topic);
    }
    request
}

pub fn forget(mut request: FetchRequest, named: Named, partitions: &[i32]) -> FetchRequest {
    let mut topic = ForgottenTopic::default();
    let (name, id) = named.split();
    (topic.topic, topic.topic_id) = (name.into(), id);
    topic.partitions = partitions.to_vec();
    request.forgotten_topics_data.push(topic);
    request
}

/// One partition of a Fetch answer.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    pub index: i32,
    pub error: i16,
    pub high_watermark: i64,
    /// (producer id, first offset).
    pub aborted: Vec<(i64, i64)>,
    pub records: Option<Bytes>,
}

pub fn fetch_response(session: i32, topics: &[(Named, &[Answered])]) -> FetchResponse {
    let mut response = FetchResponse::default();
    response.session_id = session;
    for (named, partitions) in topics {
        let mut topic = FetchableTopicResponse::default();
        let (name, id) = named.split();
        (topic.topic, topic.topic_id) = (name.into(), id);
        for answered in *partitions {
            let mut partition = PartitionData::default();
            (partition.partition_index, partition.error_code) = (answered.index, answered.error);
            (partition.high_watermark, partition.last_stable_offset) =
                (answered.high_watermark, answered.high_watermark);
            partition.log_start_offset = 0;
            let aborted = answered.aborted.iter().map(|(producer, first)| {
                let mut aborted = AbortedTransaction::default();
                (aborted.producer_id, aborted.first_offset) = (ProducerId(*producer), *first);
                aborted
            });
            partition.aborted_transactions = Some(aborted.collect());
            partition.records = answered.records.clone();
            topic.partitions.push(partition);
        }
        response.responses.push(topic);
    }
    response
}

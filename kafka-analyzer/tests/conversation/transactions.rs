//! A transactional producer's side of a conversation, in both versions of the protocol.

use kafka_analyzer::observation::{Event, Observation, Transaction, TransactionState};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::*;
use kafka_protocol::records::{Compression, Record};

use super::messages::{Named, produce_request, produce_response, text};
use super::{Talk, batch, record};

pub const SECOND: u64 = 1_000_000_000;

/// A producer with its connection.
pub struct Producing {
    pub talk: Talk,
    pub id: &'static str,
    /// Producer id and epoch.
    pub producer: (i64, i16),
    /// KIP-890.
    pub v2: bool,
    correlation: i32,
}

impl Producing {
    pub fn new(connection: u64, id: &'static str, v2: bool) -> Producing {
        let mut talk = Talk::new(connection);
        talk.greet();
        Producing {
            talk,
            id,
            producer: (-1, -1),
            v2,
            correlation: 10,
        }
    }

    fn next(&mut self) -> i32 {
        self.correlation += 1;
        self.correlation
    }

    /// InitProducerId; an epoch below 0 is the error code.
    pub fn init(&mut self, timeout_ms: i32, producer: (i64, i16)) {
        let mut request = InitProducerIdRequest::default();
        request.transactional_id = Some(TransactionalId(text(self.id)));
        request.transaction_timeout_ms = timeout_ms;
        (request.producer_id, request.producer_epoch) = (ProducerId(-1), -1);
        let mut answer = InitProducerIdResponse::default();
        (answer.producer_id, answer.producer_epoch) = (ProducerId(producer.0), producer.1);
        let id = self.next();
        self.talk.exchange(22, 4, id, &request, &answer);
        self.producer = producer;
    }

    /// AddPartitionsToTxn v3.
    pub fn add(&mut self, topic: &'static str, partitions: &[i32], error: i16) {
        let mut request = AddPartitionsToTxnRequest::default();
        request.v3_and_below_transactional_id = TransactionalId(text(self.id));
        request.v3_and_below_producer_id = ProducerId(self.producer.0);
        request.v3_and_below_producer_epoch = self.producer.1;
        let mut asked = AddPartitionsToTxnTopic::default();
        asked.name = text(topic).into();
        asked.partitions = partitions.to_vec();
        request.v3_and_below_topics = vec![asked];
        let mut told = AddPartitionsToTxnTopicResult::default();
        told.name = text(topic).into();
        for index in partitions {
            let mut result = AddPartitionsToTxnPartitionResult::default();
            (result.partition_index, result.partition_error_code) = (*index, error);
            told.results_by_partition.push(result);
        }
        let mut answer = AddPartitionsToTxnResponse::default();
        answer.results_by_topic_v3_and_below = vec![told];
        let id = self.next();
        self.talk.exchange(24, 3, id, &request, &answer);
    }

    /// AddOffsetsToTxn.
    pub fn add_offsets(&mut self, group: &'static str) {
        let mut request = AddOffsetsToTxnRequest::default();
        request.transactional_id = TransactionalId(text(self.id));
        request.producer_id = ProducerId(self.producer.0);
        request.producer_epoch = self.producer.1;
        request.group_id = GroupId(text(group));
        let id = self.next();
        let answer = AddOffsetsToTxnResponse::default();
        self.talk.exchange(25, 3, id, &request, &answer);
    }

    /// TxnOffsetCommit of (partition, offset) of a topic.
    pub fn commit(
        &mut self,
        group: &'static str,
        topic: &'static str,
        offsets: &[(i32, i64)],
        error: i16,
    ) {
        let mut request = TxnOffsetCommitRequest::default();
        request.transactional_id = TransactionalId(text(self.id));
        request.producer_id = ProducerId(self.producer.0);
        request.producer_epoch = self.producer.1;
        request.group_id = GroupId(text(group));
        let mut asked = TxnOffsetCommitRequestTopic::default();
        asked.name = text(topic).into();
        let mut told = TxnOffsetCommitResponseTopic::default();
        told.name = text(topic).into();
        for (index, offset) in offsets {
            let mut partition = TxnOffsetCommitRequestPartition::default();
            (partition.partition_index, partition.committed_offset) = (*index, *offset);
            asked.partitions.push(partition);
            let mut partition = TxnOffsetCommitResponsePartition::default();
            (partition.partition_index, partition.error_code) = (*index, error);
            told.partitions.push(partition);
        }
        request.topics = vec![asked];
        let mut answer = TxnOffsetCommitResponse::default();
        answer.topics = vec![told];
        let (id, version) = (self.next(), if self.v2 { 5 } else { 4 });
        self.talk.exchange(28, version, id, &request, &answer);
    }

    /// Produce of one batch to a partition, answered with an error code.
    pub fn produce(&mut self, topic: &'static str, index: i32, records: &[Record], error: i16) {
        let mut request = produce_request(
            -1,
            &[(
                Named::Name(topic),
                &[(index, batch(records, Compression::None))],
            )],
        );
        request.transactional_id = Some(TransactionalId(text(self.id)));
        let base_offset = if error == 0 { 0 } else { -1 };
        let answer = produce_response(&[(Named::Name(topic), &[(index, error, base_offset)])]);
        let (id, version) = (self.next(), if self.v2 { 12 } else { 11 });
        self.talk.exchange(0, version, id, &request, &answer);
    }

    /// `n` records of this producer from this sequence on.
    pub fn records(&self, first: i32, n: i32) -> Vec<Record> {
        let (id, epoch) = self.producer;
        (0..n)
            .map(|i| Record {
                transactional: true,
                producer_id: id,
                producer_epoch: epoch,
                sequence: first + i,
                ..record(i64::from(i), &format!("k{i}"), "v")
            })
            .collect()
    }

    /// EndTxn; in version 2 the epoch goes up.
    pub fn end(&mut self, committed: bool, error: i16) {
        let (request, mut answer) = (self.end_request(committed), EndTxnResponse::default());
        answer.error_code = error;
        (answer.producer_id, answer.producer_epoch) = (ProducerId(-1), -1);
        if self.v2 && error == 0 {
            self.producer.1 += 1;
            answer.producer_id = ProducerId(self.producer.0);
            answer.producer_epoch = self.producer.1;
        }
        let (id, version) = (self.next(), if self.v2 { 5 } else { 3 });
        self.talk.exchange(26, version, id, &request, &answer);
    }

    /// EndTxn that is not answered.
    pub fn ask_end(&mut self, committed: bool) {
        let request = self.end_request(committed);
        let (id, version) = (self.next(), if self.v2 { 5 } else { 3 });
        self.talk.ask(26, version, id, &request);
    }

    fn end_request(&self, committed: bool) -> EndTxnRequest {
        let mut request = EndTxnRequest::default();
        request.transactional_id = TransactionalId(text(self.id));
        request.producer_id = ProducerId(self.producer.0);
        request.producer_epoch = self.producer.1;
        request.committed = committed;
        request
    }

    pub fn wait(&mut self, nanos: u64) {
        self.talk.clock += nanos;
    }
}

pub fn transactions(observations: &[Observation]) -> Vec<&Transaction> {
    observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::Transaction(transaction) => Some(transaction),
            _ => None,
        })
        .collect()
}

/// Those that ended: state, records, error.
pub fn ended(observations: &[Observation]) -> Vec<(TransactionState, u64, Option<&'static str>)> {
    let ended = transactions(observations)
        .into_iter()
        .filter(|transaction| transaction.state.is_ended());
    ended
        .map(|transaction| (transaction.state, transaction.records, transaction.error))
        .collect()
}

pub fn events(observations: &[Observation]) -> Vec<&Event> {
    observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::Event(event) => Some(event),
            _ => None,
        })
        .collect()
}

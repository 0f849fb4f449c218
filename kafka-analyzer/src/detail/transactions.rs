//! Transactions: InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, WriteTxnMarkers. In: request and answer; out: who the producer is, what is part of its
//! transaction, how it ends.
//!
//! TxnOffsetCommit is in `offsets`. Brokers ask each other with AddPartitionsToTxn of many transactions, or only to verify: nothing begins then.

use std::collections::{HashMap, HashSet};

use kafka_wire::api::Message;
use kafka_wire::api::n24_add_partitions_to_txn::AddPartitionsToTxnRequest;
use kafka_wire::api::n27_write_txn_markers::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};

use crate::error::error_name;
use crate::fact::detail::{Marker, Producer, TransactionRef};
use crate::fact::{Detail, Topic};
use crate::names::Names;

pub(super) fn asked(message: &Message<'_>, names: &mut Names) -> Option<Detail> {
    match message {
        Message::InitProducerIdRequest(request) => Some(Detail::ProducerId {
            transactional_id: request.transactional_id.map(|id| names.get(id)),
            timeout_ms: request.transaction_timeout_ms,
            given: None,
        }),
        Message::AddPartitionsToTxnRequest(request) => partitions(request, names),
        Message::AddOffsetsToTxnRequest(request) => {
            let (id, epoch) = (request.producer_id, request.producer_epoch);
            Some(Detail::TransactionOffsets {
                transaction: transaction(request.transactional_id, id, epoch, names),
                group: names.get(request.group_id),
            })
        }
        Message::EndTxnRequest(request) => {
            let (id, epoch) = (request.producer_id, request.producer_epoch);
            Some(Detail::TransactionEnd {
                transaction: transaction(request.transactional_id, id, epoch, names),
                committed: request.committed,
                next: None,
            })
        }
        Message::WriteTxnMarkersRequest(request) => Some(Detail::Markers(markers(request, names))),
        _ => None,
    }
}

pub(super) fn answered(detail: &mut Detail, message: &Message<'_>, names: &mut Names) {
    match (detail, message) {
        (Detail::ProducerId { given, .. }, Message::InitProducerIdResponse(answer)) => {
            *given = producer(answer.error_code, answer.producer_id, answer.producer_epoch);
        }
        (
            Detail::TransactionPartitions { partitions, .. },
            Message::AddPartitionsToTxnResponse(answer),
        ) => {
            let mut codes = HashMap::new();
            let topics = answer.results_by_transaction.iter();
            for topic in topics.flat_map(|result| &result.topic_results) {
                let name = Topic::Name(names.get(topic.name));
                for result in &topic.results_by_partition {
                    codes.insert(
                        (name.clone(), result.partition_index),
                        result.partition_error_code,
                    );
                }
            }
            for (topic, partition, error) in partitions {
                let code = codes.get(&(topic.clone(), *partition)).copied();
                *error = error_name(code.unwrap_or(answer.error_code));
            }
        }
        (Detail::TransactionEnd { next, .. }, Message::EndTxnResponse(answer)) => {
            *next = producer(answer.error_code, answer.producer_id, answer.producer_epoch);
        }
        (Detail::Markers(markers), Message::WriteTxnMarkersResponse(answer)) => {
            let taken = taken(answer, names);
            for marker in markers {
                let id = marker.producer.id;
                let partitions = &mut marker.partitions;
                partitions.retain(|(topic, index)| taken.contains(&(id, topic.clone(), *index)));
            }
        }
        _ => {}
    }
}

fn markers(request: &WriteTxnMarkersRequest<'_>, names: &mut Names) -> Vec<Marker> {
    let mut markers = Vec::new();
    for marker in &request.markers {
        let mut partitions = Vec::new();
        for topic in &marker.topics {
            let name = Topic::Name(names.get(topic.name));
            let indexes = topic.partition_indexes.iter();
            partitions.extend(indexes.map(|index| (name.clone(), *index)));
        }
        markers.push(Marker {
            producer: Producer {
                id: marker.producer_id,
                epoch: marker.producer_epoch,
            },
            committed: marker.transaction_result,
            partitions,
        });
    }
    markers
}

/// Producer id, topic and partition of the markers that are in the log.
fn taken(answer: &WriteTxnMarkersResponse<'_>, names: &mut Names) -> HashSet<(i64, Topic, i32)> {
    let mut taken = HashSet::new();
    for marker in &answer.markers {
        for topic in &marker.topics {
            let name = Topic::Name(names.get(topic.name));
            let written = topic.partitions.iter().filter(|it| it.error_code == 0);
            taken.extend(written.map(|it| (marker.producer_id, name.clone(), it.partition_index)));
        }
    }
    taken
}

fn partitions(request: &AddPartitionsToTxnRequest<'_>, names: &mut Names) -> Option<Detail> {
    let [only] = &request.transactions[..] else {
        return None;
    };
    if only.verify_only {
        return None;
    }
    let mut partitions = Vec::new();
    for topic in &only.topics {
        let name = Topic::Name(names.get(topic.name));
        partitions.extend(
            topic
                .partitions
                .iter()
                .map(|index| (name.clone(), *index, None)),
        );
    }
    let (id, epoch) = (only.producer_id, only.producer_epoch);
    Some(Detail::TransactionPartitions {
        transaction: transaction(only.transactional_id, id, epoch, names),
        partitions,
    })
}

fn transaction(transactional_id: &str, id: i64, epoch: i16, names: &mut Names) -> TransactionRef {
    TransactionRef {
        transactional_id: names.get(transactional_id),
        producer: Producer { id, epoch },
    }
}

/// What an answer gives; None with an error, and where the version has none.
fn producer(error_code: i16, id: i64, epoch: i16) -> Option<Producer> {
    (error_code == 0 && id >= 0).then_some(Producer { id, epoch })
}

//! What a tool asks of transactions: DescribeProducers, DescribeTransactions, ListTransactions.

use kafka_protocol::messages as oracle;
use kafka_protocol::messages::{
    describe_producers_request as ask, describe_producers_response as tell,
    describe_transactions_response as described, list_transactions_response as listed,
};
use kafka_wire::api::Message;
use kafka_wire::api::n61_describe_producers::*;
use kafka_wire::api::n65_describe_transactions as describe;
use kafka_wire::api::n66_list_transactions as list;
use kafka_wire::body::Side::{Request, Response};

use super::*;

#[test]
fn describe_producers_requests() {
    each_version(0..=0, |version, random| {
        let topics = random.many(3, |random| {
            ask::TopicRequest::default()
                .with_name(random.text().into())
                .with_partition_indexes(random.many(4, Random::i32))
                .with_unknown_tagged_fields(random.tags(true))
        });
        let body = oracle::DescribeProducersRequest::default().with_topics(topics);
        let topics = body.topics.iter().map(|it| TopicRequest {
            name: &it.name,
            partition_indexes: it.partition_indexes.clone(),
        });
        let expected = Message::DescribeProducersRequest(DescribeProducersRequest {
            topics: topics.collect(),
        });
        exactly(Request, 61, version, &body, &expected);
    });
}

#[test]
fn describe_producers_answers() {
    each_version(0..=0, |version, random| {
        let partition = |random: &mut Random| {
            let producers = random.many(3, |random| {
                tell::ProducerState::default()
                    .with_producer_id(random.i64().into())
                    .with_producer_epoch(random.i32())
                    .with_last_sequence(random.i32())
                    .with_last_timestamp(random.i64())
                    .with_coordinator_epoch(random.i32())
                    .with_current_txn_start_offset(random.i64())
                    .with_unknown_tagged_fields(random.tags(true))
            });
            tell::PartitionResponse::default()
                .with_partition_index(random.i32())
                .with_error_code(random.error())
                .with_error_message(random.maybe())
                .with_active_producers(producers)
                .with_unknown_tagged_fields(random.tags(true))
        };
        let topics = random.many(3, |random| {
            tell::TopicResponse::default()
                .with_name(random.text().into())
                .with_partitions(random.many(3, partition))
                .with_unknown_tagged_fields(random.tags(true))
        });
        let body = oracle::DescribeProducersResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_topics(topics);
        let producer = |it: &tell::ProducerState| ProducerState {
            producer_id: it.producer_id.0,
            producer_epoch: it.producer_epoch,
            last_sequence: it.last_sequence,
            last_timestamp: it.last_timestamp,
            coordinator_epoch: it.coordinator_epoch,
            current_txn_start_offset: it.current_txn_start_offset,
        };
        let (mut topics, mut codes) = (Vec::new(), Vec::new());
        for topic in &body.topics {
            let partitions = topic.partitions.iter();
            codes.extend(partitions.clone().map(|it| it.error_code));
            topics.push(TopicResponse {
                name: &topic.name,
                partitions: partitions
                    .map(|it| PartitionResponse {
                        partition_index: it.partition_index,
                        error_code: it.error_code,
                        error_message: text(&it.error_message),
                        active_producers: it.active_producers.iter().map(producer).collect(),
                    })
                    .collect(),
            });
        }
        let expected = Message::DescribeProducersResponse(DescribeProducersResponse {
            throttle_time_ms: body.throttle_time_ms,
            topics,
        });
        answers(&expected, Some(body.throttle_time_ms), &codes);
        exactly(Response, 61, version, &body, &expected);
    });
}

#[test]
fn describe_transactions() {
    each_version(0..=0, |version, random| {
        let ids = random.many(3, Random::text);
        let body = oracle::DescribeTransactionsRequest::default()
            .with_transactional_ids(ids.into_iter().map(Into::into).collect());
        let request = describe::DescribeTransactionsRequest {
            transactional_ids: body
                .transactional_ids
                .iter()
                .map(|it| it.as_str())
                .collect(),
        };
        let expected = Message::DescribeTransactionsRequest(request);
        exactly(Request, 65, version, &body, &expected);

        let states = random.many(3, |random| {
            let topics = random.many(3, |random| {
                described::TopicData::default()
                    .with_topic(random.text().into())
                    .with_partitions(random.many(4, Random::i32))
                    .with_unknown_tagged_fields(random.tags(true))
            });
            described::TransactionState::default()
                .with_error_code(random.error())
                .with_transactional_id(random.text().into())
                .with_transaction_state(random.text())
                .with_transaction_timeout_ms(random.i32())
                .with_transaction_start_time_ms(random.i64())
                .with_producer_id(random.i64().into())
                .with_producer_epoch(random.i16())
                .with_topics(topics)
                .with_unknown_tagged_fields(random.tags(true))
        });
        let body = oracle::DescribeTransactionsResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_transaction_states(states);
        let mut transaction_states = Vec::new();
        for state in &body.transaction_states {
            let topics = state.topics.iter().map(|it| describe::TopicData {
                topic: &it.topic,
                partitions: it.partitions.clone(),
            });
            transaction_states.push(describe::TransactionState {
                error_code: state.error_code,
                transactional_id: &state.transactional_id,
                transaction_state: &state.transaction_state,
                transaction_timeout_ms: state.transaction_timeout_ms,
                transaction_start_time_ms: state.transaction_start_time_ms,
                producer_id: state.producer_id.0,
                producer_epoch: state.producer_epoch,
                topics: topics.collect(),
            });
        }
        let response = describe::DescribeTransactionsResponse {
            throttle_time_ms: body.throttle_time_ms,
            transaction_states,
        };
        let expected = Message::DescribeTransactionsResponse(response);
        let states = body.transaction_states.iter();
        let codes: Vec<_> = states.map(|it| it.error_code).collect();
        answers(&expected, Some(body.throttle_time_ms), &codes);
        exactly(Response, 65, version, &body, &expected);
    });
}

#[test]
fn list_transactions() {
    each_version(0..=2, |version, random| {
        let mut body = oracle::ListTransactionsRequest::default()
            .with_state_filters(random.many(3, Random::text))
            .with_producer_id_filters(random.many(3, |random| random.i64().into()));
        if version >= 1 {
            body.duration_filter = random.i64();
        }
        if version >= 2 {
            body.transactional_id_pattern = random.maybe();
        }
        let expected = Message::ListTransactionsRequest(list::ListTransactionsRequest {
            state_filters: body.state_filters.iter().map(|it| &**it).collect(),
            producer_id_filters: body.producer_id_filters.iter().map(|it| it.0).collect(),
            duration_filter: if version >= 1 {
                body.duration_filter
            } else {
                -1
            },
            transactional_id_pattern: text(&body.transactional_id_pattern),
        });
        exactly(Request, 66, version, &body, &expected);

        let states = random.many(3, |random| {
            listed::TransactionState::default()
                .with_transactional_id(random.text().into())
                .with_producer_id(random.i64().into())
                .with_transaction_state(random.text())
                .with_unknown_tagged_fields(random.tags(true))
        });
        let body = oracle::ListTransactionsResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_error_code(random.error())
            .with_unknown_state_filters(random.many(3, Random::text))
            .with_transaction_states(states);
        let states = body
            .transaction_states
            .iter()
            .map(|it| list::TransactionState {
                transactional_id: &it.transactional_id,
                producer_id: it.producer_id.0,
                transaction_state: &it.transaction_state,
            });
        let expected = Message::ListTransactionsResponse(list::ListTransactionsResponse {
            throttle_time_ms: body.throttle_time_ms,
            error_code: body.error_code,
            unknown_state_filters: body.unknown_state_filters.iter().map(|it| &**it).collect(),
            transaction_states: states.collect(),
        });
        answers(&expected, Some(body.throttle_time_ms), &[body.error_code]);
        exactly(Response, 66, version, &body, &expected);
    });
}

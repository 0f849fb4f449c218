//! The closed set of messages that are decoded whole. In: nothing; out: the enum, and the questions that fit every message.

use super::*;

/// A decoded body. Field names are Kafka's; fields that a version does not have hold the default of Kafka's schema (−1, 0, None), as
/// each field's comment says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message<'a> {
    ProduceResponse(n00_produce::ProduceResponse<'a>),
    FetchRequest(n01_fetch::FetchRequest<'a>),
    ListOffsetsRequest(n02_list_offsets::ListOffsetsRequest<'a>),
    ListOffsetsResponse(n02_list_offsets::ListOffsetsResponse<'a>),
    MetadataRequest(n03_metadata::MetadataRequest<'a>),
    MetadataResponse(n03_metadata::MetadataResponse<'a>),
    OffsetCommitRequest(n08_offset_commit::OffsetCommitRequest<'a>),
    OffsetCommitResponse(n08_offset_commit::OffsetCommitResponse<'a>),
    OffsetFetchRequest(n09_offset_fetch::OffsetFetchRequest<'a>),
    OffsetFetchResponse(n09_offset_fetch::OffsetFetchResponse<'a>),
    FindCoordinatorRequest(n10_find_coordinator::FindCoordinatorRequest<'a>),
    FindCoordinatorResponse(n10_find_coordinator::FindCoordinatorResponse<'a>),
    JoinGroupRequest(n11_join_group::JoinGroupRequest<'a>),
    JoinGroupResponse(n11_join_group::JoinGroupResponse<'a>),
    HeartbeatRequest(n12_heartbeat::HeartbeatRequest<'a>),
    HeartbeatResponse(n12_heartbeat::HeartbeatResponse),
    LeaveGroupRequest(n13_leave_group::LeaveGroupRequest<'a>),
    LeaveGroupResponse(n13_leave_group::LeaveGroupResponse<'a>),
    SyncGroupRequest(n14_sync_group::SyncGroupRequest<'a>),
    SyncGroupResponse(n14_sync_group::SyncGroupResponse<'a>),
    DescribeGroupsRequest(n15_describe_groups::DescribeGroupsRequest<'a>),
    DescribeGroupsResponse(n15_describe_groups::DescribeGroupsResponse<'a>),
    ListGroupsRequest(n16_list_groups::ListGroupsRequest<'a>),
    ListGroupsResponse(n16_list_groups::ListGroupsResponse<'a>),
    SaslHandshakeRequest(n17_sasl_handshake::SaslHandshakeRequest<'a>),
    SaslHandshakeResponse(n17_sasl_handshake::SaslHandshakeResponse<'a>),
    ApiVersionsRequest(n18_api_versions::ApiVersionsRequest<'a>),
    ApiVersionsResponse(n18_api_versions::ApiVersionsResponse<'a>),
    CreateTopicsRequest(n19_create_topics::CreateTopicsRequest<'a>),
    CreateTopicsResponse(n19_create_topics::CreateTopicsResponse<'a>),
    DeleteTopicsRequest(n20_delete_topics::DeleteTopicsRequest<'a>),
    DeleteTopicsResponse(n20_delete_topics::DeleteTopicsResponse<'a>),
    DeleteRecordsRequest(n21_delete_records::DeleteRecordsRequest<'a>),
    DeleteRecordsResponse(n21_delete_records::DeleteRecordsResponse<'a>),
    InitProducerIdRequest(n22_init_producer_id::InitProducerIdRequest<'a>),
    InitProducerIdResponse(n22_init_producer_id::InitProducerIdResponse),
    OffsetForLeaderEpochRequest(n23_offset_for_leader_epoch::OffsetForLeaderEpochRequest<'a>),
    OffsetForLeaderEpochResponse(n23_offset_for_leader_epoch::OffsetForLeaderEpochResponse<'a>),
    AddPartitionsToTxnRequest(n24_add_partitions_to_txn::AddPartitionsToTxnRequest<'a>),
    AddPartitionsToTxnResponse(n24_add_partitions_to_txn::AddPartitionsToTxnResponse<'a>),
    AddOffsetsToTxnRequest(n25_add_offsets_to_txn::AddOffsetsToTxnRequest<'a>),
    AddOffsetsToTxnResponse(n25_add_offsets_to_txn::AddOffsetsToTxnResponse),
    EndTxnRequest(n26_end_txn::EndTxnRequest<'a>),
    EndTxnResponse(n26_end_txn::EndTxnResponse),
    WriteTxnMarkersRequest(n27_write_txn_markers::WriteTxnMarkersRequest<'a>),
    WriteTxnMarkersResponse(n27_write_txn_markers::WriteTxnMarkersResponse<'a>),
    TxnOffsetCommitRequest(n28_txn_offset_commit::TxnOffsetCommitRequest<'a>),
    TxnOffsetCommitResponse(n28_txn_offset_commit::TxnOffsetCommitResponse<'a>),
    SaslAuthenticateResponse(n36_sasl_authenticate::SaslAuthenticateResponse<'a>),
    CreatePartitionsRequest(n37_create_partitions::CreatePartitionsRequest<'a>),
    CreatePartitionsResponse(n37_create_partitions::CreatePartitionsResponse<'a>),
    DeleteGroupsRequest(n42_delete_groups::DeleteGroupsRequest<'a>),
    DeleteGroupsResponse(n42_delete_groups::DeleteGroupsResponse<'a>),
    OffsetDeleteRequest(n47_offset_delete::OffsetDeleteRequest<'a>),
    OffsetDeleteResponse(n47_offset_delete::OffsetDeleteResponse<'a>),
    DescribeClusterRequest(n60_describe_cluster::DescribeClusterRequest),
    DescribeClusterResponse(n60_describe_cluster::DescribeClusterResponse<'a>),
    DescribeProducersRequest(n61_describe_producers::DescribeProducersRequest<'a>),
    DescribeProducersResponse(n61_describe_producers::DescribeProducersResponse<'a>),
    BrokerRegistrationRequest(n62_broker_registration::BrokerRegistrationRequest<'a>),
    DescribeTransactionsRequest(n65_describe_transactions::DescribeTransactionsRequest<'a>),
    DescribeTransactionsResponse(n65_describe_transactions::DescribeTransactionsResponse<'a>),
    ListTransactionsRequest(n66_list_transactions::ListTransactionsRequest<'a>),
    ListTransactionsResponse(n66_list_transactions::ListTransactionsResponse<'a>),
    ConsumerGroupHeartbeatRequest(n68_consumer_group_heartbeat::ConsumerGroupHeartbeatRequest<'a>),
    ConsumerGroupHeartbeatResponse(
        n68_consumer_group_heartbeat::ConsumerGroupHeartbeatResponse<'a>,
    ),
    ConsumerGroupDescribeRequest(n69_consumer_group_describe::ConsumerGroupDescribeRequest<'a>),
    ConsumerGroupDescribeResponse(n69_consumer_group_describe::ConsumerGroupDescribeResponse<'a>),
    GetTelemetrySubscriptionsRequest(
        n71_get_telemetry_subscriptions::GetTelemetrySubscriptionsRequest,
    ),
    GetTelemetrySubscriptionsResponse(
        n71_get_telemetry_subscriptions::GetTelemetrySubscriptionsResponse<'a>,
    ),
    PushTelemetryRequest(n72_push_telemetry::PushTelemetryRequest),
    PushTelemetryResponse(n72_push_telemetry::PushTelemetryResponse),
    DescribeTopicPartitionsRequest(
        n75_describe_topic_partitions::DescribeTopicPartitionsRequest<'a>,
    ),
    DescribeTopicPartitionsResponse(
        n75_describe_topic_partitions::DescribeTopicPartitionsResponse<'a>,
    ),
    ShareGroupHeartbeatRequest(n76_share_group_heartbeat::ShareGroupHeartbeatRequest<'a>),
    ShareGroupHeartbeatResponse(n76_share_group_heartbeat::ShareGroupHeartbeatResponse<'a>),
    ShareGroupDescribeRequest(n77_share_group_describe::ShareGroupDescribeRequest<'a>),
    ShareGroupDescribeResponse(n77_share_group_describe::ShareGroupDescribeResponse<'a>),
    ShareFetchRequest(n78_share_fetch::ShareFetchRequest<'a>),
    ShareAcknowledgeRequest(n79_share_acknowledge::ShareAcknowledgeRequest<'a>),
    ShareAcknowledgeResponse(n79_share_acknowledge::ShareAcknowledgeResponse<'a>),
    StreamsGroupHeartbeatRequest(n88_streams_group_heartbeat::StreamsGroupHeartbeatRequest<'a>),
    StreamsGroupHeartbeatResponse(n88_streams_group_heartbeat::StreamsGroupHeartbeatResponse<'a>),
    StreamsGroupDescribeRequest(n89_streams_group_describe::StreamsGroupDescribeRequest<'a>),
    StreamsGroupDescribeResponse(n89_streams_group_describe::StreamsGroupDescribeResponse<'a>),
    DescribeShareGroupOffsetsRequest(
        n90_describe_share_group_offsets::DescribeShareGroupOffsetsRequest<'a>,
    ),
    DescribeShareGroupOffsetsResponse(
        n90_describe_share_group_offsets::DescribeShareGroupOffsetsResponse<'a>,
    ),
}

impl Message<'_> {
    /// The first error code that is not 0, in wire order; None: no error, or a request.
    pub fn first_error(&self) -> Option<i16> {
        let failed = |code: &i16| *code != 0;
        match self {
            Message::ProduceResponse(answer) => answer.first_error(),
            Message::ListOffsetsResponse(answer) => answer.first_error(),
            Message::MetadataResponse(answer) => answer.first_error(),
            Message::OffsetCommitResponse(answer) => answer.first_error(),
            Message::OffsetFetchResponse(answer) => answer.first_error(),
            Message::FindCoordinatorResponse(answer) => answer.first_error(),
            Message::JoinGroupResponse(answer) => Some(answer.error_code).filter(failed),
            Message::HeartbeatResponse(answer) => Some(answer.error_code).filter(failed),
            Message::LeaveGroupResponse(answer) => answer.first_error(),
            Message::SyncGroupResponse(answer) => Some(answer.error_code).filter(failed),
            Message::DescribeGroupsResponse(answer) => answer.first_error(),
            Message::ListGroupsResponse(answer) => Some(answer.error_code).filter(failed),
            Message::SaslHandshakeResponse(answer) => Some(answer.error_code).filter(failed),
            Message::ApiVersionsResponse(answer) => Some(answer.error_code).filter(failed),
            Message::CreateTopicsResponse(answer) => answer.first_error(),
            Message::DeleteTopicsResponse(answer) => answer.first_error(),
            Message::DeleteRecordsResponse(answer) => answer.first_error(),
            Message::InitProducerIdResponse(answer) => Some(answer.error_code).filter(failed),
            Message::OffsetForLeaderEpochResponse(answer) => answer.first_error(),
            Message::AddPartitionsToTxnResponse(answer) => answer.first_error(),
            Message::AddOffsetsToTxnResponse(answer) => Some(answer.error_code).filter(failed),
            Message::EndTxnResponse(answer) => Some(answer.error_code).filter(failed),
            Message::WriteTxnMarkersResponse(answer) => answer.first_error(),
            Message::TxnOffsetCommitResponse(answer) => answer.first_error(),
            Message::SaslAuthenticateResponse(answer) => Some(answer.error_code).filter(failed),
            Message::CreatePartitionsResponse(answer) => answer.first_error(),
            Message::DeleteGroupsResponse(answer) => answer.first_error(),
            Message::OffsetDeleteResponse(answer) => answer.first_error(),
            Message::DescribeClusterResponse(answer) => Some(answer.error_code).filter(failed),
            Message::DescribeProducersResponse(answer) => answer.first_error(),
            Message::DescribeTransactionsResponse(answer) => answer.first_error(),
            Message::ListTransactionsResponse(answer) => Some(answer.error_code).filter(failed),
            Message::ConsumerGroupHeartbeatResponse(answer) => {
                Some(answer.error_code).filter(failed)
            }
            Message::ConsumerGroupDescribeResponse(answer) => answer.first_error(),
            Message::GetTelemetrySubscriptionsResponse(answer) => {
                Some(answer.error_code).filter(failed)
            }
            Message::PushTelemetryResponse(answer) => Some(answer.error_code).filter(failed),
            Message::DescribeTopicPartitionsResponse(answer) => answer.first_error(),
            Message::ShareGroupHeartbeatResponse(answer) => Some(answer.error_code).filter(failed),
            Message::ShareGroupDescribeResponse(answer) => answer.first_error(),
            Message::ShareAcknowledgeResponse(answer) => answer.first_error(),
            Message::StreamsGroupHeartbeatResponse(answer) => {
                Some(answer.error_code).filter(failed)
            }
            Message::StreamsGroupDescribeResponse(answer) => answer.first_error(),
            Message::DescribeShareGroupOffsetsResponse(answer) => answer.first_error(),
            Message::FetchRequest(_)
            | Message::ListOffsetsRequest(_)
            | Message::MetadataRequest(_)
            | Message::OffsetCommitRequest(_)
            | Message::OffsetFetchRequest(_)
            | Message::FindCoordinatorRequest(_)
            | Message::JoinGroupRequest(_)
            | Message::HeartbeatRequest(_)
            | Message::LeaveGroupRequest(_)
            | Message::SyncGroupRequest(_)
            | Message::DescribeGroupsRequest(_)
            | Message::ListGroupsRequest(_)
            | Message::SaslHandshakeRequest(_)
            | Message::ApiVersionsRequest(_)
            | Message::CreateTopicsRequest(_)
            | Message::DeleteTopicsRequest(_)
            | Message::DeleteRecordsRequest(_)
            | Message::InitProducerIdRequest(_)
            | Message::OffsetForLeaderEpochRequest(_)
            | Message::AddPartitionsToTxnRequest(_)
            | Message::AddOffsetsToTxnRequest(_)
            | Message::EndTxnRequest(_)
            | Message::WriteTxnMarkersRequest(_)
            | Message::TxnOffsetCommitRequest(_)
            | Message::CreatePartitionsRequest(_)
            | Message::DeleteGroupsRequest(_)
            | Message::OffsetDeleteRequest(_)
            | Message::DescribeClusterRequest(_)
            | Message::BrokerRegistrationRequest(_)
            | Message::DescribeProducersRequest(_)
            | Message::DescribeTransactionsRequest(_)
            | Message::ListTransactionsRequest(_)
            | Message::ConsumerGroupHeartbeatRequest(_)
            | Message::ConsumerGroupDescribeRequest(_)
            | Message::GetTelemetrySubscriptionsRequest(_)
            | Message::PushTelemetryRequest(_)
            | Message::DescribeTopicPartitionsRequest(_)
            | Message::ShareGroupHeartbeatRequest(_)
            | Message::ShareGroupDescribeRequest(_)
            | Message::ShareFetchRequest(_)
            | Message::ShareAcknowledgeRequest(_)
            | Message::StreamsGroupHeartbeatRequest(_)
            | Message::StreamsGroupDescribeRequest(_)
            | Message::DescribeShareGroupOffsetsRequest(_) => None,
        }
    }

    /// How long the broker held the client back, where the answer says so.
    pub fn throttle_time_ms(&self) -> Option<i32> {
        match self {
            Message::ProduceResponse(answer) => Some(answer.throttle_time_ms),
            Message::ListOffsetsResponse(answer) => Some(answer.throttle_time_ms),
            Message::MetadataResponse(answer) => Some(answer.throttle_time_ms),
            Message::OffsetCommitResponse(answer) => Some(answer.throttle_time_ms),
            Message::OffsetFetchResponse(answer) => Some(answer.throttle_time_ms),
            Message::FindCoordinatorResponse(answer) => Some(answer.throttle_time_ms),
            Message::JoinGroupResponse(answer) => Some(answer.throttle_time_ms),
            Message::HeartbeatResponse(answer) => Some(answer.throttle_time_ms),
            Message::LeaveGroupResponse(answer) => Some(answer.throttle_time_ms),
            Message::SyncGroupResponse(answer) => Some(answer.throttle_time_ms),
            Message::DescribeGroupsResponse(answer) => Some(answer.throttle_time_ms),
            Message::ListGroupsResponse(answer) => Some(answer.throttle_time_ms),
            Message::ApiVersionsResponse(answer) => Some(answer.throttle_time_ms),
            Message::CreateTopicsResponse(answer) => Some(answer.throttle_time_ms),
            Message::DeleteTopicsResponse(answer) => Some(answer.throttle_time_ms),
            Message::DeleteRecordsResponse(answer) => Some(answer.throttle_time_ms),
            Message::InitProducerIdResponse(answer) => Some(answer.throttle_time_ms),
            Message::OffsetForLeaderEpochResponse(answer) => Some(answer.throttle_time_ms),
            Message::AddPartitionsToTxnResponse(answer) => Some(answer.throttle_time_ms),
            Message::AddOffsetsToTxnResponse(answer) => Some(answer.throttle_time_ms),
            Message::EndTxnResponse(answer) => Some(answer.throttle_time_ms),
            Message::TxnOffsetCommitResponse(answer) => Some(answer.throttle_time_ms),
            Message::CreatePartitionsResponse(answer) => Some(answer.throttle_time_ms),
            Message::DeleteGroupsResponse(answer) => Some(answer.throttle_time_ms),
            Message::OffsetDeleteResponse(answer) => Some(answer.throttle_time_ms),
            Message::DescribeClusterResponse(answer) => Some(answer.throttle_time_ms),
            Message::DescribeProducersResponse(answer) => Some(answer.throttle_time_ms),
            Message::DescribeTransactionsResponse(answer) => Some(answer.throttle_time_ms),
            Message::ListTransactionsResponse(answer) => Some(answer.throttle_time_ms),
            Message::ConsumerGroupHeartbeatResponse(answer) => Some(answer.throttle_time_ms),
            Message::ConsumerGroupDescribeResponse(answer) => Some(answer.throttle_time_ms),
            Message::GetTelemetrySubscriptionsResponse(answer) => Some(answer.throttle_time_ms),
            Message::PushTelemetryResponse(answer) => Some(answer.throttle_time_ms),
            Message::DescribeTopicPartitionsResponse(answer) => Some(answer.throttle_time_ms),
            Message::ShareGroupHeartbeatResponse(answer) => Some(answer.throttle_time_ms),
            Message::ShareGroupDescribeResponse(answer) => Some(answer.throttle_time_ms),
            Message::ShareAcknowledgeResponse(answer) => Some(answer.throttle_time_ms),
            Message::StreamsGroupHeartbeatResponse(answer) => Some(answer.throttle_time_ms),
            Message::StreamsGroupDescribeResponse(answer) => Some(answer.throttle_time_ms),
            Message::DescribeShareGroupOffsetsResponse(answer) => Some(answer.throttle_time_ms),
            _ => None,
        }
    }
}

//! Every API of Kafka 4.4 by key: its name, its versions, and how its bodies are read.
//!
//! A new API is one file `api/nNN_name.rs` with a function from a [`Reader`] to a [`Message`], and its line in `APIS`. What has no decoder is
//! framed, named and counted all the same; a key or version that is not in the table is never read as something else.

use crate::body::{Side, parts};
use crate::reader::{Read, Reader};

mod message;
pub mod n00_produce;
pub mod n01_fetch;
pub mod n02_list_offsets;
pub mod n03_metadata;
pub mod n08_offset_commit;
pub mod n09_offset_fetch;
pub mod n10_find_coordinator;
pub mod n11_join_group;
pub mod n12_heartbeat;
pub mod n13_leave_group;
pub mod n14_sync_group;
pub mod n15_describe_groups;
pub mod n16_list_groups;
pub mod n17_sasl_handshake;
pub mod n18_api_versions;
pub mod n19_create_topics;
pub mod n20_delete_topics;
pub mod n21_delete_records;
pub mod n22_init_producer_id;
pub mod n23_offset_for_leader_epoch;
pub mod n24_add_partitions_to_txn;
pub mod n25_add_offsets_to_txn;
pub mod n26_end_txn;
pub mod n27_write_txn_markers;
pub mod n28_txn_offset_commit;
pub mod n36_sasl_authenticate;
pub mod n37_create_partitions;
pub mod n42_delete_groups;
pub mod n47_offset_delete;
pub mod n60_describe_cluster;
pub mod n61_describe_producers;
pub mod n62_broker_registration;
pub mod n65_describe_transactions;
pub mod n66_list_transactions;
pub mod n68_consumer_group_heartbeat;
pub mod n69_consumer_group_describe;
pub mod n71_get_telemetry_subscriptions;
pub mod n72_push_telemetry;
pub mod n75_describe_topic_partitions;
pub mod n76_share_group_heartbeat;
pub mod n77_share_group_describe;
pub mod n78_share_fetch;
pub mod n79_share_acknowledge;
pub mod n88_streams_group_heartbeat;
pub mod n89_streams_group_describe;
pub mod n90_describe_share_group_offsets;

pub use message::Message;

pub const PRODUCE: i16 = 0;
pub const FETCH: i16 = 1;
pub const LIST_OFFSETS: i16 = 2;
pub const METADATA: i16 = 3;
pub const CONTROLLED_SHUTDOWN: i16 = 7;
pub const OFFSET_COMMIT: i16 = 8;
pub const OFFSET_FETCH: i16 = 9;
pub const FIND_COORDINATOR: i16 = 10;
pub const JOIN_GROUP: i16 = 11;
pub const HEARTBEAT: i16 = 12;
pub const LEAVE_GROUP: i16 = 13;
pub const SYNC_GROUP: i16 = 14;
pub const DESCRIBE_GROUPS: i16 = 15;
pub const LIST_GROUPS: i16 = 16;
pub const SASL_HANDSHAKE: i16 = 17;
pub const API_VERSIONS: i16 = 18;
pub const CREATE_TOPICS: i16 = 19;
pub const INIT_PRODUCER_ID: i16 = 22;
pub const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
pub const SASL_AUTHENTICATE: i16 = 36;
pub const DELETE_GROUPS: i16 = 42;
pub const OFFSET_DELETE: i16 = 47;
pub const DESCRIBE_CLUSTER: i16 = 60;
pub const CONSUMER_GROUP_HEARTBEAT: i16 = 68;
pub const CONSUMER_GROUP_DESCRIBE: i16 = 69;
pub const PUSH_TELEMETRY: i16 = 72;
pub const SHARE_FETCH: i16 = 78;

pub(crate) type Decode = for<'a> fn(&mut Reader<'a>, i16) -> Read<Message<'a>>;

/// Decodes one part, and says which one comes next.
pub(crate) type DecodePart =
    for<'a> fn(&mut Reader<'a>, i16, parts::At) -> Read<(Message<'a>, parts::At)>;

/// How a body is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Stepped over.
    Framed,
    /// Gathered, then decoded at once.
    Whole(Decode),
    /// The same, where bodies are as large as groups and commits are: up to [`crate::body::Limits::large`].
    Large(Decode),
    /// Whole while it is small enough to be gathered, else part by part.
    Parts(Decode, DecodePart),
    ProduceRequest,
    FetchResponse,
    ShareFetchResponse,
}

/// What the decoder makes of a body, for those who store bodies: see [`reading`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Stepped over.
    Nothing,
    /// One message, or several.
    Messages,
    /// Record batches lie among what it tells.
    Records,
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    pub key: i16,
    /// Kafka's own name.
    pub name: &'static str,
    /// The newest version of Kafka 4.4; for APIs removed in 4.0 the last there was.
    pub max_version: i16,
    /// From this version on it is flexible (KIP-482).
    pub flexible_from: i16,
    pub(crate) request: Shape,
    pub(crate) response: Shape,
}

/// The line of `key`, if Kafka 4.4 knows it.
pub fn find(key: i16) -> Option<&'static Api> {
    APIS.get(usize::try_from(key).ok()?)
}

/// How bodies of this key and version are read; what is not known is only framed.
pub(crate) fn shape(side: Side, key: i16, version: i16) -> Shape {
    match find(key).filter(|api| (0..=api.max_version).contains(&version)) {
        Some(api) if side == Side::Request => api.request,
        Some(api) => api.response,
        None => Shape::Framed,
    }
}

/// What a [`body::Decoder`](crate::body::Decoder) reads of bodies of this key and version.
pub fn reading(side: Side, key: i16, version: i16) -> Reading {
    match shape(side, key, version) {
        Shape::Framed => Reading::Nothing,
        Shape::Whole(_) | Shape::Large(_) | Shape::Parts(..) => Reading::Messages,
        Shape::ProduceRequest | Shape::FetchResponse | Shape::ShareFetchResponse => {
            Reading::Records
        }
    }
}

/// Kafka's own name of an API (`Produce`, `Fetch`, ...).
pub fn name(key: i16) -> Option<&'static str> {
    find(key).map(|api| api.name)
}

/// True if this version of this API is in the table, so that its bodies can be read.
pub fn is_known(key: i16, version: i16) -> bool {
    find(key).is_some_and(|api| (0..=api.max_version).contains(&version))
}

/// True where compact types and tag buffers are used. An unknown version of a known API is as its newest known one.
pub fn is_flexible(key: i16, version: i16) -> bool {
    find(key).is_some_and(|api| version >= api.flexible_from)
}

const NEVER: i16 = i16::MAX;

const fn framed(key: i16, name: &'static str, max_version: i16, flexible_from: i16) -> Api {
    Api {
        key,
        name,
        max_version,
        flexible_from,
        request: Shape::Framed,
        response: Shape::Framed,
    }
}

impl Api {
    const fn request(mut self, shape: Shape) -> Api {
        self.request = shape;
        self
    }

    const fn response(mut self, shape: Shape) -> Api {
        self.response = shape;
        self
    }
}

#[rustfmt::skip]
static APIS: [Api; 95] = [
    framed(0, "Produce", 13, 9).request(Shape::ProduceRequest).response(Shape::Whole(n00_produce::response)),
    framed(1, "Fetch", 18, 12).request(Shape::Whole(n01_fetch::request)).response(Shape::FetchResponse),
    framed(2, "ListOffsets", 11, 6).request(Shape::Whole(n02_list_offsets::request)).response(Shape::Whole(n02_list_offsets::response)),
    framed(3, "Metadata", 13, 9).request(Shape::Whole(n03_metadata::request)).response(Shape::Parts(n03_metadata::response, n03_metadata::response_part)),
    framed(4, "LeaderAndIsr", 7, 4),
    framed(5, "StopReplica", 4, 2),
    framed(6, "UpdateMetadata", 8, 6),
    framed(7, "ControlledShutdown", 3, 3),
    framed(8, "OffsetCommit", 10, 8).request(Shape::Large(n08_offset_commit::request)).response(Shape::Large(n08_offset_commit::response)),
    framed(9, "OffsetFetch", 10, 6).request(Shape::Large(n09_offset_fetch::request)).response(Shape::Large(n09_offset_fetch::response)),
    framed(10, "FindCoordinator", 6, 3).request(Shape::Whole(n10_find_coordinator::request)).response(Shape::Whole(n10_find_coordinator::response)),
    framed(11, "JoinGroup", 9, 6).request(Shape::Whole(n11_join_group::request)).response(Shape::Large(n11_join_group::response)),
    framed(12, "Heartbeat", 4, 4).request(Shape::Whole(n12_heartbeat::request)).response(Shape::Whole(n12_heartbeat::response)),
    framed(13, "LeaveGroup", 5, 4).request(Shape::Whole(n13_leave_group::request)).response(Shape::Whole(n13_leave_group::response)),
    framed(14, "SyncGroup", 5, 4).request(Shape::Large(n14_sync_group::request)).response(Shape::Large(n14_sync_group::response)),
    framed(15, "DescribeGroups", 6, 5).request(Shape::Whole(n15_describe_groups::request)).response(Shape::Large(n15_describe_groups::response)),
    framed(16, "ListGroups", 5, 3).request(Shape::Whole(n16_list_groups::request)).response(Shape::Whole(n16_list_groups::response)),
    framed(17, "SaslHandshake", 1, NEVER).request(Shape::Whole(n17_sasl_handshake::request)).response(Shape::Whole(n17_sasl_handshake::response)),
    framed(18, "ApiVersions", 5, 3).request(Shape::Whole(n18_api_versions::request)).response(Shape::Whole(n18_api_versions::response)),
    framed(19, "CreateTopics", 7, 5).request(Shape::Whole(n19_create_topics::request)).response(Shape::Whole(n19_create_topics::response)),
    framed(20, "DeleteTopics", 6, 4).request(Shape::Whole(n20_delete_topics::request)).response(Shape::Whole(n20_delete_topics::response)),
    framed(21, "DeleteRecords", 2, 2).request(Shape::Whole(n21_delete_records::request)).response(Shape::Whole(n21_delete_records::response)),
    framed(22, "InitProducerId", 6, 2).request(Shape::Whole(n22_init_producer_id::request)).response(Shape::Whole(n22_init_producer_id::response)),
    framed(23, "OffsetForLeaderEpoch", 4, 4).request(Shape::Whole(n23_offset_for_leader_epoch::request)).response(Shape::Whole(n23_offset_for_leader_epoch::response)),
    framed(24, "AddPartitionsToTxn", 5, 3).request(Shape::Whole(n24_add_partitions_to_txn::request)).response(Shape::Whole(n24_add_partitions_to_txn::response)),
    framed(25, "AddOffsetsToTxn", 4, 3).request(Shape::Whole(n25_add_offsets_to_txn::request)).response(Shape::Whole(n25_add_offsets_to_txn::response)),
    framed(26, "EndTxn", 5, 3).request(Shape::Whole(n26_end_txn::request)).response(Shape::Whole(n26_end_txn::response)),
    framed(27, "WriteTxnMarkers", 2, 1).request(Shape::Whole(n27_write_txn_markers::request)).response(Shape::Whole(n27_write_txn_markers::response)),
    framed(28, "TxnOffsetCommit", 6, 3).request(Shape::Large(n28_txn_offset_commit::request)).response(Shape::Large(n28_txn_offset_commit::response)),
    framed(29, "DescribeAcls", 3, 2),
    framed(30, "CreateAcls", 3, 2),
    framed(31, "DeleteAcls", 3, 2),
    framed(32, "DescribeConfigs", 4, 4),
    framed(33, "AlterConfigs", 2, 2),
    framed(34, "AlterReplicaLogDirs", 2, 2),
    framed(35, "DescribeLogDirs", 5, 2),
    framed(36, "SaslAuthenticate", 2, 2).response(Shape::Whole(n36_sasl_authenticate::response)),
    framed(37, "CreatePartitions", 3, 2).request(Shape::Whole(n37_create_partitions::request)).response(Shape::Whole(n37_create_partitions::response)),
    framed(38, "CreateDelegationToken", 3, 2),
    framed(39, "RenewDelegationToken", 2, 2),
    framed(40, "ExpireDelegationToken", 2, 2),
    framed(41, "DescribeDelegationToken", 3, 2),
    framed(42, "DeleteGroups", 3, 2).request(Shape::Whole(n42_delete_groups::request)).response(Shape::Whole(n42_delete_groups::response)),
    framed(43, "ElectLeaders", 2, 2),
    framed(44, "IncrementalAlterConfigs", 1, 1),
    framed(45, "AlterPartitionReassignments", 1, 0),
    framed(46, "ListPartitionReassignments", 0, 0),
    framed(47, "OffsetDelete", 0, NEVER).request(Shape::Whole(n47_offset_delete::request)).response(Shape::Whole(n47_offset_delete::response)),
    framed(48, "DescribeClientQuotas", 1, 1),
    framed(49, "AlterClientQuotas", 1, 1),
    framed(50, "DescribeUserScramCredentials", 0, 0),
    framed(51, "AlterUserScramCredentials", 0, 0),
    framed(52, "Vote", 2, 0),
    framed(53, "BeginQuorumEpoch", 1, 1),
    framed(54, "EndQuorumEpoch", 1, 1),
    framed(55, "DescribeQuorum", 2, 0),
    framed(56, "AlterPartition", 3, 0),
    framed(57, "UpdateFeatures", 2, 0),
    framed(58, "Envelope", 0, 0),
    framed(59, "FetchSnapshot", 1, 0),
    framed(60, "DescribeCluster", 2, 0).request(Shape::Whole(n60_describe_cluster::request)).response(Shape::Whole(n60_describe_cluster::response)),
    framed(61, "DescribeProducers", 0, 0).request(Shape::Whole(n61_describe_producers::request)).response(Shape::Whole(n61_describe_producers::response)),
    framed(62, "BrokerRegistration", 4, 0).request(Shape::Whole(n62_broker_registration::request)),
    framed(63, "BrokerHeartbeat", 2, 0),
    framed(64, "UnregisterBroker", 0, 0),
    framed(65, "DescribeTransactions", 0, 0).request(Shape::Whole(n65_describe_transactions::request)).response(Shape::Whole(n65_describe_transactions::response)),
    framed(66, "ListTransactions", 2, 0).request(Shape::Whole(n66_list_transactions::request)).response(Shape::Whole(n66_list_transactions::response)),
    framed(67, "AllocateProducerIds", 0, 0),
    framed(68, "ConsumerGroupHeartbeat", 1, 0).request(Shape::Whole(n68_consumer_group_heartbeat::request)).response(Shape::Whole(n68_consumer_group_heartbeat::response)),
    framed(69, "ConsumerGroupDescribe", 1, 0).request(Shape::Whole(n69_consumer_group_describe::request)).response(Shape::Large(n69_consumer_group_describe::response)),
    framed(70, "ControllerRegistration", 0, 0),
    framed(71, "GetTelemetrySubscriptions", 0, 0).request(Shape::Whole(n71_get_telemetry_subscriptions::request)).response(Shape::Whole(n71_get_telemetry_subscriptions::response)),
    framed(72, "PushTelemetry", 0, 0).request(Shape::Whole(n72_push_telemetry::request)).response(Shape::Whole(n72_push_telemetry::response)),
    framed(73, "AssignReplicasToDirs", 0, 0),
    framed(74, "ListConfigResources", 1, 0),
    framed(75, "DescribeTopicPartitions", 0, 0).request(Shape::Whole(n75_describe_topic_partitions::request)).response(Shape::Whole(n75_describe_topic_partitions::response)),
    framed(76, "ShareGroupHeartbeat", 1, 0).request(Shape::Whole(n76_share_group_heartbeat::request)).response(Shape::Whole(n76_share_group_heartbeat::response)),
    framed(77, "ShareGroupDescribe", 1, 0).request(Shape::Whole(n77_share_group_describe::request)).response(Shape::Large(n77_share_group_describe::response)),
    framed(78, "ShareFetch", 2, 0).request(Shape::Whole(n78_share_fetch::request)).response(Shape::ShareFetchResponse),
    framed(79, "ShareAcknowledge", 2, 0).request(Shape::Whole(n79_share_acknowledge::request)).response(Shape::Whole(n79_share_acknowledge::response)),
    framed(80, "AddRaftVoter", 1, 0),
    framed(81, "RemoveRaftVoter", 0, 0),
    framed(82, "UpdateRaftVoter", 0, 0),
    framed(83, "InitializeShareGroupState", 0, 0),
    framed(84, "ReadShareGroupState", 0, 0),
    framed(85, "WriteShareGroupState", 1, 0),
    framed(86, "DeleteShareGroupState", 0, 0),
    framed(87, "ReadShareGroupStateSummary", 1, 0),
    framed(88, "StreamsGroupHeartbeat", 1, 0).request(Shape::Whole(n88_streams_group_heartbeat::request)).response(Shape::Whole(n88_streams_group_heartbeat::response)),
    framed(89, "StreamsGroupDescribe", 1, 0).request(Shape::Whole(n89_streams_group_describe::request)).response(Shape::Large(n89_streams_group_describe::response)),
    framed(90, "DescribeShareGroupOffsets", 1, 0).request(Shape::Whole(n90_describe_share_group_offsets::request)).response(Shape::Whole(n90_describe_share_group_offsets::response)),
    framed(91, "AlterShareGroupOffsets", 0, 0),
    framed(92, "DeleteShareGroupOffsets", 0, 0),
    framed(93, "StreamsGroupTopologyDescriptionUpdate", 0, 0),
    framed(94, "UnregisterController", 0, 0),
];

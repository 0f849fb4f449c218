//! StreamsGroupHeartbeat, versions 0–1 (KIP-1071). In: a body; out: the topology and tasks of a Kafka Streams member, and those it is given.
//!
//! Copartition groups, client tags and configurations of internal topics are stepped over.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamsGroupHeartbeatRequest<'a> {
    pub group_id: &'a str,
    pub member_id: &'a str,
    /// 0: joins. −1: leaves. −2: leaves for a while (static members).
    pub member_epoch: i32,
    pub endpoint_information_epoch: i32,
    /// None: unchanged, or not given; so in what follows.
    pub instance_id: Option<&'a str>,
    pub rack_id: Option<&'a str>,
    /// −1: unchanged.
    pub rebalance_timeout_ms: i32,
    /// Sent by those who join.
    pub topology: Option<Topology<'a>>,
    pub active_tasks: Option<Vec<TaskIds<'a>>>,
    pub standby_tasks: Option<Vec<TaskIds<'a>>>,
    pub warmup_tasks: Option<Vec<TaskIds<'a>>>,
    /// One of all the members of one process.
    pub process_id: Option<&'a str>,
    /// Where interactive queries of this process go (`application.server`).
    pub user_endpoint: Option<Endpoint<'a>>,
    pub task_offsets: Option<Vec<TaskOffset<'a>>>,
    pub task_end_offsets: Option<Vec<TaskOffset<'a>>>,
    pub shutdown_application: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology<'a> {
    pub epoch: i32,
    pub subtopologies: Vec<Subtopology<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtopology<'a> {
    pub subtopology_id: &'a str,
    pub source_topics: Vec<&'a str>,
    pub source_topic_regex: Vec<&'a str>,
    pub state_changelog_topics: Vec<TopicInfo<'a>>,
    pub repartition_sink_topics: Vec<&'a str>,
    pub repartition_source_topics: Vec<TopicInfo<'a>>,
}

/// An internal topic. Also of StreamsGroupDescribe, as the structs that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicInfo<'a> {
    pub name: &'a str,
    /// 0: as many as the topics it derives from.
    pub partitions: i32,
    /// 0: the broker's default.
    pub replication_factor: i16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskIds<'a> {
    pub subtopology_id: &'a str,
    pub partitions: Vec<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint<'a> {
    pub host: &'a str,
    pub port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskOffset<'a> {
    pub subtopology_id: &'a str,
    pub partition: i32,
    pub offset: i64,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let mut request = StreamsGroupHeartbeatRequest {
        group_id: reader.string()?,
        member_id: reader.string()?,
        member_epoch: reader.i32()?,
        endpoint_information_epoch: reader.i32()?,
        instance_id: reader.nullable_string()?,
        rack_id: reader.nullable_string()?,
        rebalance_timeout_ms: reader.i32()?,
        topology: reader.nullable_struct(topology)?,
        active_tasks: reader.nullable_array(task_ids)?,
        standby_tasks: reader.nullable_array(task_ids)?,
        warmup_tasks: reader.nullable_array(task_ids)?,
        process_id: reader.nullable_string()?,
        user_endpoint: reader.nullable_struct(endpoint)?,
        task_offsets: None,
        task_end_offsets: None,
        shutdown_application: false,
    };
    reader.elements(skip_key_value)?; // client_tags
    request.task_offsets = reader.nullable_array(task_offset)?;
    request.task_end_offsets = reader.nullable_array(task_offset)?;
    request.shutdown_application = reader.bool()?;
    reader.tags()?;
    Ok(Message::StreamsGroupHeartbeatRequest(request))
}

fn topology<'a>(reader: &mut Reader<'a>) -> Read<Topology<'a>> {
    let topology = Topology {
        epoch: reader.i32()?,
        subtopologies: reader.elements(|reader| {
            let subtopology = Subtopology {
                subtopology_id: reader.string()?,
                source_topics: reader.elements(Reader::string)?,
                source_topic_regex: reader.elements(Reader::string)?,
                state_changelog_topics: reader.elements(topic_info)?,
                repartition_sink_topics: reader.elements(Reader::string)?,
                repartition_source_topics: reader.elements(topic_info)?,
            };
            reader.elements(skip_copartition_group)?;
            reader.tags()?;
            Ok(subtopology)
        })?,
    };
    reader.tags()?;
    Ok(topology)
}

fn skip_copartition_group(reader: &mut Reader<'_>) -> Read<()> {
    // Positions of source topics, of expressions, and of repartition topics.
    for _ in 0..3 {
        reader.skip_array(2)?;
    }
    reader.tags()
}

pub(super) fn topic_info<'a>(reader: &mut Reader<'a>) -> Read<TopicInfo<'a>> {
    let topic = TopicInfo {
        name: reader.string()?,
        partitions: reader.i32()?,
        replication_factor: reader.i16()?,
    };
    reader.elements(skip_key_value)?; // topic_configs
    reader.tags()?;
    Ok(topic)
}

pub(super) fn task_ids<'a>(reader: &mut Reader<'a>) -> Read<TaskIds<'a>> {
    let tasks = TaskIds {
        subtopology_id: reader.string()?,
        partitions: reader.elements(Reader::i32)?,
    };
    reader.tags()?;
    Ok(tasks)
}

pub(super) fn endpoint<'a>(reader: &mut Reader<'a>) -> Read<Endpoint<'a>> {
    let endpoint = Endpoint {
        host: reader.string()?,
        port: reader.i16()? as u16,
    };
    reader.tags()?;
    Ok(endpoint)
}

pub(super) fn task_offset<'a>(reader: &mut Reader<'a>) -> Read<TaskOffset<'a>> {
    let offset = TaskOffset {
        subtopology_id: reader.string()?,
        partition: reader.i32()?,
        offset: reader.i64()?,
    };
    reader.tags()?;
    Ok(offset)
}

pub(super) fn skip_key_value(reader: &mut Reader<'_>) -> Read<()> {
    reader.string()?;
    reader.string()?;
    reader.tags()
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamsGroupHeartbeatResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub member_id: &'a str,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    pub task_offset_interval_ms: i32,
    /// How far behind a task may be to count as caught up; −1: the broker does not say.
    pub acceptable_recovery_lag: i64,
    pub status: Option<Vec<Status<'a>>>,
    /// None: unchanged.
    pub active_tasks: Option<Vec<TaskIds<'a>>>,
    pub standby_tasks: Option<Vec<TaskIds<'a>>>,
    pub warmup_tasks: Option<Vec<TaskIds<'a>>>,
    /// The broker wants the topology's description; false before v1.
    pub topology_description_required: bool,
    pub endpoint_information_epoch: i32,
    /// One for each member: those of one process have the same endpoint. None: unchanged.
    pub partitions_by_user_endpoint: Option<Vec<EndpointToPartitions<'a>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<'a> {
    /// 0 stale topology, 1 missing source topics, 2 incorrectly partitioned topics, 3 missing internal topics, 4 shutdown of the application,
    /// 5 assignment delayed, 6 missing client tags.
    pub status_code: i8,
    pub status_detail: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointToPartitions<'a> {
    pub user_endpoint: Endpoint<'a>,
    pub active_partitions: Vec<TopicPartition<'a>>,
    pub standby_partitions: Vec<TopicPartition<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartition<'a> {
    pub topic: &'a str,
    pub partitions: Vec<i32>,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let mut response = StreamsGroupHeartbeatResponse {
        throttle_time_ms: reader.i32()?,
        error_code: reader.i16()?,
        error_message: reader.nullable_string()?,
        member_id: reader.string()?,
        member_epoch: reader.i32()?,
        heartbeat_interval_ms: reader.i32()?,
        // An i32 before the other interval in v0, an i64 behind it since.
        acceptable_recovery_lag: if version == 0 {
            i64::from(reader.i32()?)
        } else {
            -1
        },
        task_offset_interval_ms: reader.i32()?,
        status: None,
        active_tasks: None,
        standby_tasks: None,
        warmup_tasks: None,
        topology_description_required: false,
        endpoint_information_epoch: 0,
        partitions_by_user_endpoint: None,
    };
    if version >= 1 {
        response.acceptable_recovery_lag = reader.i64()?;
    }
    response.status = reader.nullable_array(status)?;
    response.active_tasks = reader.nullable_array(task_ids)?;
    response.standby_tasks = reader.nullable_array(task_ids)?;
    response.warmup_tasks = reader.nullable_array(task_ids)?;
    response.topology_description_required = version >= 1 && reader.bool()?;
    response.endpoint_information_epoch = reader.i32()?;
    response.partitions_by_user_endpoint = reader.nullable_array(|reader| {
        let endpoint = EndpointToPartitions {
            user_endpoint: endpoint(reader)?,
            active_partitions: reader.elements(topic_partition)?,
            standby_partitions: reader.elements(topic_partition)?,
        };
        reader.tags()?;
        Ok(endpoint)
    })?;
    reader.tags()?;
    Ok(Message::StreamsGroupHeartbeatResponse(response))
}

fn status<'a>(reader: &mut Reader<'a>) -> Read<Status<'a>> {
    let status = Status {
        status_code: reader.i8()?,
        status_detail: reader.string()?,
    };
    reader.tags()?;
    Ok(status)
}

fn topic_partition<'a>(reader: &mut Reader<'a>) -> Read<TopicPartition<'a>> {
    let topic = TopicPartition {
        topic: reader.string()?,
        partitions: reader.elements(Reader::i32)?,
    };
    reader.tags()?;
    Ok(topic)
}

//! StreamsGroupDescribe, versions 0–1 (KIP-1071). In: a body; out: the topology, members and tasks of Kafka Streams groups.
//!
//! Client tags, authorized operations and the description of the topology (v1+) are stepped over.

use super::Message;
use super::n88_streams_group_heartbeat::{
    Endpoint, TaskIds, TaskOffset, TopicInfo, endpoint, skip_key_value, task_ids, task_offset,
    topic_info,
};
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamsGroupDescribeRequest<'a> {
    pub group_ids: Vec<&'a str>,
    pub include_authorized_operations: bool,
    /// False before v1.
    pub include_topology_description: bool,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let request = StreamsGroupDescribeRequest {
        group_ids: reader.elements(Reader::string)?,
        include_authorized_operations: reader.bool()?,
        include_topology_description: version >= 1 && reader.bool()?,
    };
    reader.tags()?;
    Ok(Message::StreamsGroupDescribeRequest(request))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamsGroupDescribeResponse<'a> {
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup<'a> {
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub group_id: &'a str,
    pub group_state: &'a str,
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    /// None: not initialized yet.
    pub topology: Option<Topology<'a>>,
    pub members: Vec<Member<'a>>,
    /// None before v1.
    pub assignor_name: Option<&'a str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology<'a> {
    pub epoch: i32,
    /// None: the topology is not valid.
    pub subtopologies: Option<Vec<Subtopology<'a>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtopology<'a> {
    pub subtopology_id: &'a str,
    pub source_topics: Vec<&'a str>,
    pub repartition_sink_topics: Vec<&'a str>,
    pub state_changelog_topics: Vec<TopicInfo<'a>>,
    pub repartition_source_topics: Vec<TopicInfo<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    pub member_id: &'a str,
    pub member_epoch: i32,
    pub instance_id: Option<&'a str>,
    pub rack_id: Option<&'a str>,
    pub client_id: &'a str,
    pub client_host: &'a str,
    pub topology_epoch: i32,
    pub process_id: &'a str,
    pub user_endpoint: Option<Endpoint<'a>>,
    pub task_offsets: Vec<TaskOffset<'a>>,
    pub task_end_offsets: Vec<TaskOffset<'a>>,
    pub assignment: Assignment<'a>,
    pub target_assignment: Assignment<'a>,
    /// It speaks the classic protocol.
    pub is_classic: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment<'a> {
    pub active_tasks: Vec<TaskIds<'a>>,
    pub standby_tasks: Vec<TaskIds<'a>>,
    pub warmup_tasks: Vec<TaskIds<'a>>,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = StreamsGroupDescribeResponse {
        throttle_time_ms: reader.i32()?,
        groups: reader.elements(|reader| group(reader, version))?,
    };
    reader.tags()?;
    Ok(Message::StreamsGroupDescribeResponse(response))
}

fn group<'a>(reader: &mut Reader<'a>, version: i16) -> Read<DescribedGroup<'a>> {
    let mut group = DescribedGroup {
        error_code: reader.i16()?,
        error_message: reader.nullable_string()?,
        group_id: reader.string()?,
        group_state: reader.string()?,
        group_epoch: reader.i32()?,
        assignment_epoch: reader.i32()?,
        topology: reader.nullable_struct(topology)?,
        members: reader.elements(member)?,
        assignor_name: None,
    };
    reader.i32()?; // authorized_operations
    if version >= 1 {
        reader.nullable_struct(skip_topology_description)?;
        reader.i8()?; // topology_description_status
        group.assignor_name = reader.nullable_string()?;
    }
    reader.tags()?;
    Ok(group)
}

fn topology<'a>(reader: &mut Reader<'a>) -> Read<Topology<'a>> {
    let topology = Topology {
        epoch: reader.i32()?,
        subtopologies: reader.nullable_array(|reader| {
            let subtopology = Subtopology {
                subtopology_id: reader.string()?,
                source_topics: reader.elements(Reader::string)?,
                repartition_sink_topics: reader.elements(Reader::string)?,
                state_changelog_topics: reader.elements(topic_info)?,
                repartition_source_topics: reader.elements(topic_info)?,
            };
            reader.tags()?;
            Ok(subtopology)
        })?,
    };
    reader.tags()?;
    Ok(topology)
}

fn member<'a>(reader: &mut Reader<'a>) -> Read<Member<'a>> {
    let member = Member {
        member_id: reader.string()?,
        member_epoch: reader.i32()?,
        instance_id: reader.nullable_string()?,
        rack_id: reader.nullable_string()?,
        client_id: reader.string()?,
        client_host: reader.string()?,
        topology_epoch: reader.i32()?,
        process_id: reader.string()?,
        user_endpoint: reader.nullable_struct(endpoint)?,
        task_offsets: {
            reader.elements(skip_key_value)?; // client_tags
            reader.elements(task_offset)?
        },
        task_end_offsets: reader.elements(task_offset)?,
        assignment: assignment(reader)?,
        target_assignment: assignment(reader)?,
        is_classic: reader.bool()?,
    };
    reader.tags()?;
    Ok(member)
}

fn assignment<'a>(reader: &mut Reader<'a>) -> Read<Assignment<'a>> {
    let assignment = Assignment {
        active_tasks: reader.elements(task_ids)?,
        standby_tasks: reader.elements(task_ids)?,
        warmup_tasks: reader.elements(task_ids)?,
    };
    reader.tags()?;
    Ok(assignment)
}

fn skip_topology_description(reader: &mut Reader<'_>) -> Read<()> {
    reader.elements(|reader| {
        reader.string()?; // subtopology_id
        reader.elements(skip_node)?;
        reader.tags()
    })?;
    reader.elements(|reader| {
        skip_node(reader)?; // source
        skip_node(reader)?; // processor
        reader.tags()
    })?;
    reader.tags()
}

fn skip_node(reader: &mut Reader<'_>) -> Read<()> {
    let skip_string = |reader: &mut Reader<'_>| reader.string().map(|_| ());
    reader.string()?; // name
    reader.i8()?; // node_type
    reader.elements(skip_string)?; // source_topics
    reader.nullable_string()?; // sink_topic
    reader.elements(skip_string)?; // stores
    reader.elements(skip_string)?; // successors
    reader.tags()
}

impl StreamsGroupDescribeResponse<'_> {
    /// The first error code that is not 0, in wire order.
    pub fn first_error(&self) -> Option<i16> {
        self.groups
            .iter()
            .map(|group| group.error_code)
            .find(|code| *code != 0)
    }
}

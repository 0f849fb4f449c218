//! DescribeCluster, versions 0–2. In: a body; out: the cluster's id, its controller and its brokers.
//!
//! Authorized operations are stepped over.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescribeClusterRequest {
    /// 1 brokers (always in v0), 2 controllers.
    pub endpoint_type: i8,
    /// False before v2.
    pub include_fenced_brokers: bool,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    reader.bool()?; // include_cluster_authorized_operations
    let request = DescribeClusterRequest {
        endpoint_type: if version >= 1 { reader.i8()? } else { 1 },
        include_fenced_brokers: if version >= 2 { reader.bool()? } else { false },
    };
    reader.tags()?;
    Ok(Message::DescribeClusterRequest(request))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeClusterResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    /// 1 brokers (always in v0), 2 controllers.
    pub endpoint_type: i8,
    /// "" with an error.
    pub cluster_id: &'a str,
    /// −1: unknown.
    pub controller_id: i32,
    pub brokers: Vec<DescribeClusterBroker<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescribeClusterBroker<'a> {
    pub broker_id: i32,
    pub host: &'a str,
    pub port: i32,
    pub rack: Option<&'a str>,
    /// False before v2.
    pub is_fenced: bool,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = DescribeClusterResponse {
        throttle_time_ms: reader.i32()?,
        error_code: reader.i16()?,
        error_message: reader.nullable_string()?,
        endpoint_type: if version >= 1 { reader.i8()? } else { 1 },
        cluster_id: reader.string()?,
        controller_id: reader.i32()?,
        brokers: reader.elements(|reader| {
            let broker = DescribeClusterBroker {
                broker_id: reader.i32()?,
                host: reader.string()?,
                port: reader.i32()?,
                rack: reader.nullable_string()?,
                is_fenced: if version >= 2 { reader.bool()? } else { false },
            };
            reader.tags()?;
            Ok(broker)
        })?,
    };
    reader.i32()?; // cluster_authorized_operations
    reader.tags()?;
    Ok(Message::DescribeClusterResponse(response))
}

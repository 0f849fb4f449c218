//! ApiVersions, versions 0–5. In: a body; out: the client's software, the broker's versions and features.
//!
//! A broker that does not know the requested version answers with error 35 and a version 0 body (KIP-511).

use super::Message;
use crate::error_code::UNSUPPORTED_VERSION;
use crate::reader::{Read, Reader, Stop};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiVersionsRequest<'a> {
    /// None before v3 (KIP-511).
    pub client_software_name: Option<&'a str>,
    pub client_software_version: Option<&'a str>,
    /// None before v5 (KIP-1242).
    pub cluster_id: Option<&'a str>,
    /// −1 before v5.
    pub node_id: i32,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let request = ApiVersionsRequest {
        client_software_name: if version >= 3 {
            Some(reader.string()?)
        } else {
            None
        },
        client_software_version: if version >= 3 {
            Some(reader.string()?)
        } else {
            None
        },
        cluster_id: if version >= 5 {
            reader.nullable_string()?
        } else {
            None
        },
        node_id: if version >= 5 { reader.i32()? } else { -1 },
    };
    reader.tags()?;
    Ok(Message::ApiVersionsRequest(request))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiVersionsResponse<'a> {
    pub error_code: i16,
    pub api_keys: Vec<ApiVersion>,
    /// 0 in v0.
    pub throttle_time_ms: i32,
    /// Tag 1; −1 when absent.
    pub finalized_features_epoch: i64,
    /// Tag 2 (v3+): for example `transaction.version`, `group.version`, `share.version`.
    pub finalized_features: Vec<FinalizedFeature<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiVersion {
    pub api_key: i16,
    pub min_version: i16,
    pub max_version: i16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalizedFeature<'a> {
    pub name: &'a str,
    pub max_version_level: i16,
    pub min_version_level: i16,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    if Reader::new(reader.rest(), false).i16()? == UNSUPPORTED_VERSION && version > 0 {
        let mut plain = Reader::new(reader.rest(), false);
        if let Ok(message) = body(&mut plain, 0)
            && plain.rest().is_empty()
        {
            reader.take(plain.position())?;
            return Ok(message);
        }
    }
    body(reader, version)
}

fn body<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let mut response = ApiVersionsResponse {
        error_code: reader.i16()?,
        api_keys: reader.elements(|reader| {
            let range = ApiVersion {
                api_key: reader.i16()?,
                min_version: reader.i16()?,
                max_version: reader.i16()?,
            };
            reader.tags()?;
            Ok(range)
        })?,
        throttle_time_ms: if version >= 1 { reader.i32()? } else { 0 },
        finalized_features_epoch: -1,
        finalized_features: Vec::new(),
    };
    reader.tags_with(|tag, field| {
        match tag {
            1 => response.finalized_features_epoch = field.i64()?,
            2 => response.finalized_features = field.elements(feature)?,
            _ => return Ok(()),
        }
        if field.rest().is_empty() {
            Ok(())
        } else {
            Err(Stop::Bad("tag_size"))
        }
    })?;
    Ok(Message::ApiVersionsResponse(response))
}

fn feature<'a>(reader: &mut Reader<'a>) -> Read<FinalizedFeature<'a>> {
    let feature = FinalizedFeature {
        name: reader.string()?,
        max_version_level: reader.i16()?,
        min_version_level: reader.i16()?,
    };
    reader.tags()?;
    Ok(feature)
}

//! BrokerRegistration requests, versions 0–4: a broker to its controller. In: a body; out: its cluster and its listeners.
//!
//! Features, log directories and what else only brokers want to know are stepped over, and so is the answer.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistrationRequest<'a> {
    pub broker_id: i32,
    pub cluster_id: &'a str,
    pub listeners: Vec<Listener<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener<'a> {
    pub name: &'a str,
    pub host: &'a str,
    pub port: u16,
    /// 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let broker_id = reader.i32()?;
    let cluster_id = reader.string()?;
    reader.uuid()?; // incarnation_id
    let listeners = reader.elements(|reader| {
        let listener = Listener {
            name: reader.string()?,
            host: reader.string()?,
            port: reader.i16()?.cast_unsigned(),
            security_protocol: reader.i16()?,
        };
        reader.tags()?;
        Ok(listener)
    })?;
    reader.elements(|reader| {
        reader.string()?; // name
        reader.i32()?; // min_supported_version, max_supported_version
        reader.tags()
    })?;
    reader.skip_string()?; // rack
    if version >= 1 {
        reader.bool()?; // is_migrating_zk_broker
    }
    if version >= 2 {
        reader.skip_array(16)?; // log_dirs
    }
    if version >= 3 {
        reader.i64()?; // previous_broker_epoch
    }
    reader.tags()?;
    let request = BrokerRegistrationRequest {
        broker_id,
        cluster_id,
        listeners,
    };
    Ok(Message::BrokerRegistrationRequest(request))
}

//! What a ShareFetch answer has beside a Fetch answer, versions 0–2. In: windows of the body; out: its start, and the offsets acquired.
//!
//! Error messages, current leaders and node endpoints are stepped over.

use super::{After, At, Stream, count};
use crate::body::{AcquiredRecords, Event, Partition};
use crate::reader::{Read, Reader};

pub(super) fn start(reader: &mut Reader<'_>, version: i16) -> Read<Event<'static>> {
    let (throttle_ms, error_code) = (reader.i32()?, reader.i16()?);
    reader.skip_string()?; // error_message
    Ok(Event::ShareFetch {
        throttle_ms,
        error_code,
        acquisition_lock_timeout_ms: if version >= 1 { reader.i32()? } else { 0 },
    })
}

impl Stream {
    /// Up to the current leader, a struct whose tags come before the records.
    pub(super) fn share_partition(&mut self, reader: &mut Reader<'_>) -> Read<()> {
        let mut partition = Partition {
            index: reader.i32()?,
            error_code: reader.i16()?,
            ..Partition::UNKNOWN
        };
        reader.skip_string()?; // error_message
        partition.acknowledge_error_code = reader.i16()?;
        reader.skip_string()?; // acknowledge_error_message
        reader.i32()?; // leader_id
        reader.i32()?; // leader_epoch
        self.partition = partition;
        self.after_struct(After::Leader);
        Ok(())
    }

    pub(super) fn acquired_count(&mut self, reader: &mut Reader<'_>) -> Read<()> {
        self.at = At::Acquired {
            left: count(reader)?,
        };
        Ok(())
    }

    pub(super) fn acquired(
        &mut self,
        reader: &mut Reader<'_>,
        left: u32,
        emit: &mut impl FnMut(Event<'_>),
    ) -> Read<()> {
        let acquired = AcquiredRecords {
            first_offset: reader.i64()?,
            last_offset: reader.i64()?,
            delivery_count: reader.i16()?,
        };
        self.after_struct(After::Acquired { left: left - 1 });
        emit(Event::Acquired(acquired));
        Ok(())
    }

    pub(super) fn node_count(&mut self, reader: &mut Reader<'_>) -> Read<()> {
        self.at = At::Node {
            left: count(reader)?,
        };
        Ok(())
    }

    pub(super) fn node(&mut self, reader: &mut Reader<'_>, left: u32) -> Read<()> {
        reader.i32()?; // node_id
        reader.skip_string()?; // host
        reader.i32()?; // port
        reader.skip_string()?; // rack
        self.after_struct(After::Node { left: left - 1 });
        Ok(())
    }
}

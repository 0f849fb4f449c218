//! Control records: the records of a control batch, which no consumer's application sees. In: the key or the value of one; out: what it marks.
//!
//! A transaction ends on a partition with one such record; the others belong to KRaft's own log. A newer version of either is read as the
//! newest known one, as Kafka does: they only grow at their end.

use crate::reader::{Read, Reader, Stop};

/// What a control record marks (`ControlRecordType` of Kafka).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlRecordType {
    /// The producer's transaction was aborted.
    Abort,
    /// The producer's transaction was committed.
    Commit,
    LeaderChange,
    SnapshotHeader,
    SnapshotFooter,
    KraftVersion,
    KraftVoters,
    Unknown(i16),
}

/// The key of a control record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlRecordKey {
    pub version: i16,
    pub control_type: ControlRecordType,
}

impl ControlRecordKey {
    pub fn parse(key: &[u8]) -> Read<ControlRecordKey> {
        let mut reader = Reader::new(key, false);
        Ok(ControlRecordKey {
            version: version(&mut reader)?,
            control_type: match reader.i16()? {
                0 => ControlRecordType::Abort,
                1 => ControlRecordType::Commit,
                2 => ControlRecordType::LeaderChange,
                3 => ControlRecordType::SnapshotHeader,
                4 => ControlRecordType::SnapshotFooter,
                5 => ControlRecordType::KraftVersion,
                6 => ControlRecordType::KraftVoters,
                unknown => ControlRecordType::Unknown(unknown),
            },
        })
    }
}

/// The value of an abort or commit record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnMarker {
    pub version: i16,
    /// Of the transaction coordinator that wrote it.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    pub fn parse(value: &[u8]) -> Read<EndTxnMarker> {
        let mut reader = Reader::new(value, false);
        Ok(EndTxnMarker {
            version: version(&mut reader)?,
            coordinator_epoch: reader.i32()?,
        })
    }
}

fn version(reader: &mut Reader<'_>) -> Read<i16> {
    let version = reader.i16()?;
    if version < 0 {
        return Err(Stop::Bad("version"));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_what_is_marked() {
        use ControlRecordType::*;
        let types = [
            Abort,
            Commit,
            LeaderChange,
            SnapshotHeader,
            SnapshotFooter,
            KraftVersion,
            KraftVoters,
            Unknown(7),
        ];
        for (number, control_type) in (0..).zip(types) {
            for version in [0u8, 1] {
                let expected = ControlRecordKey {
                    version: i16::from(version),
                    control_type,
                };
                let key = [0, version, 0, number, 0xaa];
                assert_eq!(ControlRecordKey::parse(&key[..4]), Ok(expected));
                assert_eq!(ControlRecordKey::parse(&key), Ok(expected), "a newer one");
            }
        }
        let unknown = ControlRecordKey::parse(&[0, 0, 0xff, 0xff]);
        assert_eq!(unknown.map(|key| key.control_type), Ok(Unknown(-1)));
    }

    #[test]
    fn markers_have_an_epoch() {
        let value = [0, 0, 0, 0, 1, 2, 0xaa];
        let expected = EndTxnMarker {
            version: 0,
            coordinator_epoch: 258,
        };
        assert_eq!(EndTxnMarker::parse(&value[..6]), Ok(expected));
        assert_eq!(EndTxnMarker::parse(&value), Ok(expected));
    }

    #[test]
    fn what_is_cut_or_negative_is_refused() {
        for n in 0..4 {
            let need = if n < 2 { 2 } else { 4 };
            assert_eq!(ControlRecordKey::parse(&[0; 4][..n]), Err(Stop::Need(need)));
        }
        for n in 0..6 {
            let need = if n < 2 { 2 } else { 6 };
            assert_eq!(EndTxnMarker::parse(&[0; 6][..n]), Err(Stop::Need(need)));
        }
        let negative = [0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(
            ControlRecordKey::parse(&negative),
            Err(Stop::Bad("version"))
        );
        assert_eq!(EndTxnMarker::parse(&negative), Err(Stop::Bad("version")));
    }
}

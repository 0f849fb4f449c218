//! The Kafka versions that brokers are started of, and what each of them cannot do. In: nothing. Out: facts, measured with real
//! brokers; every difference between the versions that the laboratory must know stands here.

use std::fmt;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// KRaft as a preview: no SCRAM, no InitProducerId, so neither transactions nor idempotence.
    V2_8_2,
    /// The last line with the old group coordinator as default; its KRaft is complete.
    V3_9_1,
    /// The newest: groups by KIP-848, transactions by KIP-890.
    #[default]
    V4_4_0,
}

impl Version {
    pub const ALL: [Self; 3] = [Self::V4_4_0, Self::V3_9_1, Self::V2_8_2];

    pub fn number(self) -> &'static str {
        match self {
            Self::V2_8_2 => "2.8.2",
            Self::V3_9_1 => "3.9.1",
            Self::V4_4_0 => "4.4.0",
        }
    }

    /// The jars bring no log back end: group, artifact, version of one that fits.
    pub(super) fn logging(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::V4_4_0 => ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5"),
            Self::V3_9_1 | Self::V2_8_2 => ("org.slf4j", "slf4j-reload4j", "1.7.36"),
        }
    }

    pub fn has_scram(self) -> bool {
        self != Self::V2_8_2
    }

    /// 2.8 refuses a PEM key without a password.
    pub(super) fn has_pem(self) -> bool {
        self != Self::V2_8_2
    }

    /// InitProducerId: idempotent and transactional producers.
    pub fn has_transactions(self) -> bool {
        self != Self::V2_8_2
    }

    /// `group.protocol=consumer`.
    pub fn has_kip_848(self) -> bool {
        self == Self::V4_4_0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}

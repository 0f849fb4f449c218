//! The client libraries that are tried as members of a group, and what each of them cannot do. In: nothing. Out: facts; that a
//! library has no such function is said here once, so that no cell fails for it.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Library {
    Java,
    Franz,
    Sarama,
    Segmentio,
    ConfluentGo,
    ConfluentPython,
    /// The same with librdkafka 2.0.2, which names topics where newer ones send ids.
    ConfluentPython20,
    KafkaPython,
    Aiokafka,
    Kafkajs,
}

impl Library {
    pub const ALL: [Self; 10] = [
        Self::Java,
        Self::Franz,
        Self::Sarama,
        Self::Segmentio,
        Self::ConfluentGo,
        Self::ConfluentPython,
        Self::ConfluentPython20,
        Self::KafkaPython,
        Self::Aiokafka,
        Self::Kafkajs,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Franz => "franz-go",
            Self::Sarama => "sarama",
            Self::Segmentio => "kafka-go",
            Self::ConfluentGo => "confluent-kafka-go",
            Self::ConfluentPython => "confluent-kafka-python",
            Self::ConfluentPython20 => "librdkafka-2.0",
            Self::KafkaPython => "kafka-python",
            Self::Aiokafka => "aiokafka",
            Self::Kafkajs => "kafkajs",
        }
    }

    /// No hook sees into JSSE; the pure Python libraries and Node are tried in the clear.
    pub fn tls(self) -> bool {
        !matches!(
            self,
            Self::Java | Self::KafkaPython | Self::Aiokafka | Self::Kafkajs
        )
    }

    /// Librdkafka 2.0 fails SCRAM-SHA-512.
    pub fn mechanism(self) -> &'static str {
        if self == Self::ConfluentPython20 {
            "PLAIN"
        } else {
            "SCRAM-SHA-512"
        }
    }
}

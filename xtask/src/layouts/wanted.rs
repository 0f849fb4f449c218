//! What hooks must know of the Kafka clients for Go, and of servers for Go in the same programs.

pub struct Module {
    pub path: &'static str,
    /// The package inside the module, as the rest of its import path.
    pub package: &'static str,
    pub structs: &'static [(&'static str, &'static str)],
    pub functions: &'static [&'static str],
    /// Rows in place of those that are read, where types of other packages stand in the way: these are not followed. Read from the DWARF of a program
    /// (`cargo run -p symbolizer --example members`), for releases whose source has the same declarations.
    pub by_hand: &'static [&'static str],
}

/// Before this month only the last release is of interest.
pub const SINCE: &str = "2022-11";

const SARAMA_STRUCTS: &[(&str, &str)] = &[
    (
        "ConsumerMessage",
        "Headers Timestamp Key Value Topic Partition Offset sizeof",
    ),
    (
        "ProducerMessage",
        "Topic Key Value Headers Offset Partition sizeof",
    ),
    ("partitionConsumer", "consumer"),
];

const SARAMA_FUNCTIONS: &[&str] = &[
    "(*syncProducer).SendMessage",
    "(*syncProducer).SendMessages",
    "(*asyncProducer).returnError",
    "(*asyncProducer).returnSuccesses",
    "(*topicProducer).partitionMessage",
    "(*partitionConsumer).interceptors",
    "(*partitionConsumer).parseResponse",
    "(*consumerGroupSession).MarkMessage",
    "(*consumerGroupSession).MarkOffset",
    "(*consumerGroupSession).ResetOffset",
    "(*consumerGroupSession).Commit",
    "(*consumerGroupSession).consume",
    "(*Broker).write",
    "(*Broker).sendInternal",
    "(*responsePromise).handle",
];

const CONFLUENT_STRUCTS: &[(&str, &str)] = &[
    (
        "Message",
        "TopicPartition Value Key Timestamp Headers sizeof",
    ),
    ("TopicPartition", "Topic Partition Offset Error sizeof"),
    ("Consumer", "handle"),
];

const CONFLUENT_FUNCTIONS: &[&str] = &[
    "(*Producer).Produce",
    "(*Producer).produce",
    "(*Producer).produceBatch",
    "(*Producer).SendOffsetsToTransaction",
    "(*Consumer).Poll",
    "(*Consumer).ReadMessage",
    "(*Consumer).commit",
    "(*Consumer).CommitMessage",
    "(*Consumer).StoreOffsets",
    "(*Consumer).StoreMessage",
    "(*Consumer).Seek",
    "(*Consumer).SeekPartitions",
    "(*handle).eventPoll",
    "(*handle).newMessageFromGlueMsg",
];

pub const MODULES: [Module; 9] = [
    Module {
        path: "github.com/twmb/franz-go",
        package: "/pkg/kgo",
        structs: &[
            (
                "Record",
                "Key Value Headers Timestamp Topic Partition ProducerEpoch ProducerID LeaderEpoch Offset Context sizeof",
            ),
            ("Fetch", "Topics sizeof"),
            ("FetchTopic", "Topic Partitions sizeof"),
            (
                "FetchPartition",
                "Partition Err HighWatermark Records sizeof",
            ),
            ("promisedRec", "Record"),
        ],
        functions: &[
            "(*Client).Produce",
            "(*Client).TryProduce",
            "(*Client).produce",
            "(*Client).ProduceSync",
            "(*Client).PollFetches",
            "(*Client).PollRecords",
            "(*Client).finishRecordPromise",
            "(*Client).CommitRecords",
            "(*Client).MarkCommitRecords",
            "(*Client).CommitUncommittedOffsets",
            "(*Client).CommitOffsets",
            "(*Client).AllowRebalance",
            "(*Client).MarkAcks",
            "(*Client).BeginTransaction",
            "(*Client).EndTransaction",
        ],
        by_hand: &[],
    },
    Module {
        path: "github.com/IBM/sarama",
        package: "",
        structs: SARAMA_STRUCTS,
        functions: SARAMA_FUNCTIONS,
        by_hand: &[],
    },
    Module {
        path: "github.com/Shopify/sarama",
        package: "",
        structs: SARAMA_STRUCTS,
        functions: SARAMA_FUNCTIONS,
        by_hand: &[],
    },
    Module {
        path: "github.com/segmentio/kafka-go",
        package: "",
        structs: &[
            (
                "Message",
                "Topic Partition Offset HighWaterMark Key Value Headers Time sizeof",
            ),
            ("Writer", "Topic Async"),
        ],
        functions: &[
            "(*Reader).FetchMessage",
            "(*Reader).ReadMessage",
            "(*Reader).CommitMessages",
            "(*Reader).SetOffset",
            "(*Writer).WriteMessages",
            "(*Writer).produce",
            "(*writeBatch).complete",
            "(*reader).read",
            "(*reader).sendMessage",
            "(*Conn).ReadMessage",
            "(*Conn).WriteMessages",
        ],
        by_hand: &[],
    },
    Module {
        path: "github.com/confluentinc/confluent-kafka-go",
        package: "/kafka",
        structs: CONFLUENT_STRUCTS,
        functions: CONFLUENT_FUNCTIONS,
        by_hand: &[],
    },
    Module {
        path: "github.com/confluentinc/confluent-kafka-go/v2",
        package: "/kafka",
        structs: CONFLUENT_STRUCTS,
        functions: CONFLUENT_FUNCTIONS,
        by_hand: &[],
    },
    Module {
        path: "golang.org/x/net",
        package: "/http2",
        structs: &[
            ("responseWriter", "rws"),
            ("responseWriterState", "stream"),
            ("stream", "id"),
        ],
        functions: &["(*serverConn).readFrames", "(*serverConn).runHandler"],
        by_hand: &[],
    },
    Module {
        path: "google.golang.org/grpc",
        package: "",
        structs: &[],
        functions: &["(*Server).handleStream"],
        by_hand: &[
            "function (*Server).handleStream v1.50.1 v1.58.3 | s=AX t=BX:CX stream=DI trInfo=SI |  | func(t transport.ServerTransport, stream *transport.Stream, trInfo *traceInfo)",
            "function (*Server).handleStream v1.59.0 v1.68.1 | s=AX t=BX:CX stream=DI |  | func(t transport.ServerTransport, stream *transport.Stream)",
            "function (*Server).handleStream v1.69.0 v1.85.0 | s=AX t=BX:CX stream=DI |  | func(t transport.ServerTransport, stream *transport.ServerStream)",
        ],
    },
    Module {
        path: "google.golang.org/grpc",
        package: "/internal/transport",
        structs: &[("Stream", "id"), ("ServerStream", "Stream st")],
        functions: &["(*http2Server).HandleStreams"],
        by_hand: &[
            "member Stream id v1.50.1 v1.76.0 0",
            "member Stream id v1.77.0 v1.85.0 108",
            "member ServerStream st v1.69.0 v1.76.0 8",
            "member ServerStream st v1.77.0 v1.85.0 360",
        ],
    },
];

impl Module {
    /// Everything asked of one release, a line each: `struct NAME MEMBER...`, `function NAME`.
    pub fn questions(&self) -> String {
        let structs = self
            .structs
            .iter()
            .map(|(name, members)| format!("struct {name} {members}\n"));
        let functions = self
            .functions
            .iter()
            .map(|name| format!("function {name}\n"));
        structs.chain(functions).collect()
    }

    /// How the lines of answers begin, in the order in which they stand in the table.
    pub fn subjects(&self) -> Vec<String> {
        let members = self.structs.iter().flat_map(|(name, members)| {
            members
                .split(' ')
                .map(move |member| format!("member {name} {member}"))
        });
        let functions = self.functions.iter().map(|name| format!("function {name}"));
        members.chain(functions).collect()
    }
}

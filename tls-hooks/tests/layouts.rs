//! The table of client layouts against the DWARF of programs that hold these clients.

#[path = "../../symbolizer/tests/support/mod.rs"]
mod support;

use support::fixture;
use symbolizer::Binary;
use tls_hooks::layouts;

/// Structs and members of a package, as they are asked for by hooks.
type Wanted = [(&'static str, &'static str)];

const FRANZ: &Wanted = &[
    ("Record", "Key"),
    ("Record", "Value"),
    ("Record", "Headers"),
    ("Record", "Timestamp"),
    ("Record", "Topic"),
    ("Record", "Partition"),
    ("Record", "ProducerEpoch"),
    ("Record", "ProducerID"),
    ("Record", "LeaderEpoch"),
    ("Record", "Offset"),
    ("Record", "Context"),
    ("Record", layouts::SIZE),
    ("Fetch", "Topics"),
    ("Fetch", layouts::SIZE),
    ("FetchTopic", "Topic"),
    ("FetchTopic", "Partitions"),
    ("FetchTopic", layouts::SIZE),
    ("FetchPartition", "Partition"),
    ("FetchPartition", "Err"),
    ("FetchPartition", "HighWatermark"),
    ("FetchPartition", "Records"),
    ("FetchPartition", layouts::SIZE),
];

const SARAMA_CONSUMER: &Wanted = &[
    ("ConsumerMessage", "Headers"),
    ("ConsumerMessage", "Timestamp"),
    ("ConsumerMessage", "Key"),
    ("ConsumerMessage", "Value"),
    ("ConsumerMessage", "Topic"),
    ("ConsumerMessage", "Partition"),
    ("ConsumerMessage", "Offset"),
    ("ConsumerMessage", layouts::SIZE),
];

const SARAMA_PRODUCER: &Wanted = &[
    ("ProducerMessage", "Topic"),
    ("ProducerMessage", "Key"),
    ("ProducerMessage", "Value"),
    ("ProducerMessage", "Headers"),
    ("ProducerMessage", "Offset"),
    ("ProducerMessage", "Partition"),
    ("ProducerMessage", layouts::SIZE),
];

const SEGMENTIO: &Wanted = &[
    ("Message", "Topic"),
    ("Message", "Partition"),
    ("Message", "Offset"),
    ("Message", "HighWaterMark"),
    ("Message", "Key"),
    ("Message", "Value"),
    ("Message", "Headers"),
    ("Message", "Time"),
    ("Message", layouts::SIZE),
];

const CONFLUENT: &Wanted = &[
    ("Message", "TopicPartition"),
    ("Message", "Value"),
    ("Message", "Key"),
    ("Message", "Timestamp"),
    ("Message", "Headers"),
    ("Message", layouts::SIZE),
    ("TopicPartition", "Topic"),
    ("TopicPartition", "Partition"),
    ("TopicPartition", "Offset"),
    ("TopicPartition", "Error"),
    ("TopicPartition", layouts::SIZE),
];

/// Module, program with DWARF, the same stripped, what is asked, what the members are known to be.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static Wanted,
    &'static [u16],
);

const CASES: &[Case] = &[
    (
        "github.com/twmb/franz-go",
        "franz",
        "franz-stripped",
        FRANZ,
        &[
            0, 24, 48, 72, 96, 112, 118, 120, 128, 136, 144, 160, 0, 24, 0, 32, 56, 0, 8, 24, 48,
            72,
        ],
    ),
    (
        "github.com/twmb/franz-go",
        "franz-go1.22",
        "franz-go1.22-stripped",
        FRANZ,
        &[
            0, 24, 48, 72, 96, 112, 118, 120, 128, 136, 144, 160, 0, 24, 0, 32, 56, 0, 8, 24, 48,
            72,
        ],
    ),
    (
        "github.com/twmb/franz-go",
        "clients-go1.18",
        "clients-go1.18-stripped",
        FRANZ,
        &[
            0, 24, 48, 72, 96, 112, 118, 120, 128, 136, 144, 160, 0, 24, 0, 16, 40, 0, 8, 24, 48,
            72,
        ],
    ),
    (
        "github.com/Shopify/sarama",
        "clients-go1.18",
        "clients-go1.18-stripped",
        SARAMA_CONSUMER,
        &[0, 24, 72, 96, 120, 136, 144, 152],
    ),
    (
        "github.com/Shopify/sarama",
        "clients-go1.18",
        "clients-go1.18-stripped",
        SARAMA_PRODUCER,
        &[0, 16, 32, 48, 88, 96, 160],
    ),
    (
        "github.com/segmentio/kafka-go",
        "clients-go1.18",
        "clients-go1.18-stripped",
        SEGMENTIO,
        &[0, 16, 24, 32, 40, 64, 88, 112, 136],
    ),
    // A program that only produces.
    (
        "github.com/IBM/sarama",
        "sarama-dwarf",
        "sarama",
        SARAMA_PRODUCER,
        &[0, 16, 32, 48, 88, 96, 160],
    ),
    (
        "github.com/segmentio/kafka-go",
        "segmentio-dwarf",
        "segmentio",
        SEGMENTIO,
        &[0, 16, 24, 32, 40, 64, 88, 128, 152],
    ),
    (
        "github.com/confluentinc/confluent-kafka-go/v2",
        "confluent",
        "confluent-stripped",
        CONFLUENT,
        &[0, 56, 80, 104, 152, 184, 0, 8, 16, 32, 56],
    ),
];

#[test]
fn the_table_is_what_dwarf_says() {
    for (module, with, without, wanted, values) in CASES {
        let open = |name: &str| Binary::open(&fixture(name)).unwrap();
        let values: Vec<Option<u16>> = values.iter().map(|value| Some(*value)).collect();
        for name in [with, without] {
            let binary = open(name);
            let go = binary.go().unwrap();
            let found = layouts::offsets(&binary, &go, module, wanted);
            assert_eq!(found, values, "{name}: {wanted:?}");
        }
        // That each answer came from where it should.
        let names: Vec<String> = wanted
            .iter()
            .map(|(structure, _)| layouts::symbol(module, structure).unwrap())
            .collect();
        let asked: Vec<(&str, &str)> = names
            .iter()
            .zip(*wanted)
            .map(|(structure, (_, member))| (structure.as_str(), *member))
            .collect();
        let by_dwarf = open(with).members(&asked);
        assert!(by_dwarf.iter().all(Option::is_some), "{with}: {by_dwarf:?}");
        assert!(open(without).members(&asked).iter().all(Option::is_none));
    }
}

#[test]
fn a_module_that_is_not_in_the_program_has_no_layout() {
    let binary = Binary::open(&fixture("franz-stripped")).unwrap();
    let go = binary.go().unwrap();
    let sarama = layouts::offsets(&binary, &go, "github.com/IBM/sarama", &SARAMA_CONSUMER[..2]);
    assert_eq!(sarama, [None, None]);
    let mark = "(*consumerGroupSession).MarkMessage";
    assert!(layouts::signature(&go, "github.com/IBM/sarama", mark).is_none());
    let poll = layouts::signature(&go, "github.com/twmb/franz-go", "(*Client).PollRecords");
    assert!(poll.is_some());
    let symbol = layouts::symbol("github.com/twmb/franz-go", "(*Client).PollRecords").unwrap();
    assert!(go.functions(&[&symbol])[0].is_some());
}

//! confluent-kafka-go: cgo around librdkafka with OpenSSL inside, both linked statically; TLS is not crypto/tls.

use obi_abi::client::{means, option, walk};
use obi_abi::{ClientShape, Place};

use super::go::{self, Call, Library, Members, of_client, says};
use super::layouts::SIZE;
use crate::facts::Facts;

pub(super) const MODULES: [&str; 2] = [
    "github.com/confluentinc/confluent-kafka-go",
    "github.com/confluentinc/confluent-kafka-go/v2",
];

pub(super) fn detect(facts: &Facts<'_>) -> Option<(&'static str, String)> {
    super::go_module(
        facts,
        "confluent-kafka-go",
        &MODULES,
        &[
            "github.com/confluentinc/confluent-kafka-go/v2/kafka.NewProducer",
            "github.com/confluentinc/confluent-kafka-go/v2/kafka.NewConsumer",
        ],
    )
}

pub(super) const MEMBERS: Members = &[
    ("Message", "TopicPartition"),
    ("Message", "Key"),
    ("Message", "Value"),
    ("TopicPartition", "Topic"),
    ("TopicPartition", "Partition"),
    ("TopicPartition", "Offset"),
    ("TopicPartition", "Error"),
    ("TopicPartition", SIZE),
];

/// The Go side alone: what it calls in C runs on whichever thread the goroutine has at that moment. `CommitMessage`, `StoreMessage` and the like end in
/// `commit` and `StoreOffsets`, which name the offset behind the message. Messages that come through `Events()`, and reports of delivery, are not seen.
pub(super) fn calls(library: &Library<'_>) -> Vec<Call> {
    let message = message(library);
    let partitions = partitions(library);
    let polled = || {
        // An event of many kinds: the table of its methods has the hash of its type.
        let [table, at] = library.result("(*Consumer).Poll", "event")?;
        let shape = ClientShape {
            guard: Place::word(table, go::ITAB_HASH),
            expect: library.hash_of_receiver("(*Message).String")?,
            means: means::HANDS_OVER,
            ..message?
        };
        Some(go::one(shape, at))
    };
    let read = || {
        let [at] = library.result("(*Consumer).ReadMessage", "0")?;
        let [error, _] = library.result("(*Consumer).ReadMessage", "1")?;
        let shape = ClientShape {
            means: means::HANDS_OVER,
            ..message?
        };
        Some(go::unless_error(go::one(shape, at), error))
    };
    let list = |function, argument, means, options| {
        let slice: [u8; 3] = library.argument(function, argument)?;
        let shape = ClientShape {
            means,
            options,
            ..partitions?
        };
        go::slice(of_client(shape), walk::STRUCTS, &slice)
    };
    let behind = option::OFFSET_BEHIND;
    let commits_all = || {
        let [at, ..]: [u8; 3] = library.argument("(*Consumer).commit", "offsets")?;
        Some(go::unless_error(of_client(says(means::SETTLES_ALL)), at))
    };
    let seeks = || {
        // A struct in registers, a word each.
        let words = library.words("(*Consumer).Seek", "partition")?;
        let of = |member| {
            words
                .get(usize::from(library.member("TopicPartition", member)?) / 8)
                .copied()
        };
        Some(ClientShape {
            means: means::SEEKS,
            walk: walk::ARGUMENTS,
            at: Place::register(of("Topic")?),
            topic: Place::NOWHERE,
            partition: of("Partition")?.into(),
            offset: of("Offset")?.into(),
            ..of_client(partitions?)
        })
    };
    let produces = || {
        let [at] = library.argument("(*Producer).produce", "msg")?;
        let shape = ClientShape {
            means: means::PRODUCES,
            ..message?
        };
        let partition = shape.partition;
        Some(ClientShape {
            partition,
            ..go::unplaced(go::one(of_client(shape), at))
        })
    };
    let client = |means| [Some(of_client(says(means)))];
    vec![
        Call::poll("kafka.(*Consumer).Poll", polled()),
        Call::poll("kafka.(*Consumer).ReadMessage", read()),
        Call::entry(
            "kafka.(*Consumer).StoreOffsets",
            [list(
                "(*Consumer).StoreOffsets",
                "offsets",
                means::SETTLES,
                behind,
            )],
        ),
        Call::entry(
            "kafka.(*Consumer).commit",
            [
                list("(*Consumer).commit", "offsets", means::SETTLES, behind),
                commits_all(),
            ],
        ),
        Call::entry("kafka.(*Consumer).Seek", [seeks()]).rare(),
        Call::entry(
            "kafka.(*Consumer).SeekPartitions",
            [list(
                "(*Consumer).SeekPartitions",
                "partitions",
                means::SEEKS,
                0,
            )],
        )
        .rare(),
        Call::entry("kafka.(*Consumer).Close", client(means::CLOSES)).rare(),
        Call::entry("kafka.(*Producer).produce", [produces()]),
        Call::entry(
            "kafka.(*Producer).SendOffsetsToTransaction",
            [list(
                "(*Producer).SendOffsetsToTransaction",
                "offsets",
                means::SETTLES,
                behind,
            )],
        )
        .rare(),
        Call::entry(
            "kafka.(*Producer).BeginTransaction",
            client(means::BEGINS_TRANSACTION),
        )
        .rare(),
        Call::entry(
            "kafka.(*Producer).CommitTransaction",
            client(means::ENDS_TRANSACTION),
        )
        .rare(),
        Call::entry(
            "kafka.(*Producer).AbortTransaction",
            client(means::ENDS_TRANSACTION),
        )
        .rare(),
        Call::entry("kafka.(*Producer).Close", client(means::CLOSES)).rare(),
    ]
}

/// `TopicPartition`, which holds its topic by a pointer.
fn partition(library: &Library<'_>, from: u16, texts: Option<[u16; 2]>) -> Option<ClientShape> {
    let of = |member| library.member("TopicPartition", member)?.checked_add(from);
    let topic = Place {
        steps: 1,
        path: [of("Topic")?, 0, 0],
        ..Place::NOWHERE
    };
    Some(go::message(topic, of("Partition")?, of("Offset")?, texts))
}

fn partitions(library: &Library<'_>) -> Option<ClientShape> {
    Some(ClientShape {
        stride: library.member("TopicPartition", SIZE)?,
        ..partition(library, 0, None)?
    })
}

/// One that holds an error is none: the type in an interface is not 0.
fn message(library: &Library<'_>) -> Option<ClientShape> {
    let from = library.member("Message", "TopicPartition")?;
    let texts = [
        library.member("Message", "Key")?,
        library.member("Message", "Value")?,
    ];
    let error = library.member("TopicPartition", "Error")?;
    Some(ClientShape {
        error: error.checked_add(from)?,
        ..partition(library, from, Some(texts))?
    })
}

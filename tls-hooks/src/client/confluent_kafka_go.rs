//! confluent-kafka-go: cgo around librdkafka with OpenSSL inside, both linked statically; TLS is not crypto/tls.

use obi_abi::client::{NO_MEMBER, base, means, option, walk};
use obi_abi::{ClientShape, NO_REG, Place};

use super::go::{self, Call, Library, Members, of_client, says};
use super::layouts::SIZE;
use super::librdkafka;
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
    ("Consumer", "handle"),
];

/// Go functions of cgo, by which the C ones are called: all arguments are on the stack, and in its frame the result, as C would lay out a struct of them.
const DO_PRODUCE: &str = "_Cfunc_do_produce";
const REPORTS: &str = "_Cfunc_rd_kafka_event_message_array";
/// Above the stack pointer, as it is at the first instruction and at a RET: `rkt` and `cgoid` of `do_produce` (the same from 1.0 to 2.15); the array of pointers and the count of
/// `rd_kafka_event_message_array`.
const TOPIC_ARGUMENT: u16 = 16;
const ID_ARGUMENT: u16 = 104;
const ARRAY_ARGUMENT: u16 = 16;
const COUNT_RESULT: u16 = 32;
/// `ClientShape::pair` of `produce`, which has the message, and of what it calls with the message's id.
const PRODUCE: u16 = u16::MAX;

/// The Go side alone: what it calls in C runs on whichever thread the goroutine has at that moment. `Poll` and `ReadMessage` (which the compiler puts into
/// their callers) ask by `eventPoll`, which makes a message of each C one: on the goroutine that asked, or, without having been asked, on the one that
/// fills the channel of `Events()`. `CommitMessage`, `StoreMessage` and the like end in `commit` and `StoreOffsets`, which name the offset behind the
/// message; messages of `ProduceChannel()` are told by the goroutine that empties it. A message that has a channel for its delivery report or an `Opaque` has an id
/// until then, by which the report knows it: `produce` keeps the message for `do_produce`, which is given the id. It is told apart by topic, as each producer counts its own.
pub(super) fn calls(library: &Library<'_>) -> Vec<Call> {
    let message = message(library);
    let partitions = partitions(library);
    // A consumer is known by the handle inside it, the only thing that polling has.
    let of_consumer = |shape| {
        Some(ClientShape {
            client: Place::address(go::RECEIVER, library.member("Consumer", "handle")?),
            ..shape
        })
    };
    let asks = || {
        // Who polls gives no channel to be filled.
        let [channel] = library.argument("(*handle).eventPoll", "channel")?;
        Some(go::unless_error(of_client(says(means::ASKS_ONLY)), channel))
    };
    let given = || {
        let [at] = library.result("(*handle).newMessageFromGlueMsg", "msg")?;
        let shape = ClientShape {
            means: means::HANDS_OVER,
            options: option::QUIET,
            ..message?
        };
        Some(go::one(shape, at))
    };
    let list = |function, argument, means, options| {
        let slice: [u8; 3] = library.argument(function, argument)?;
        let shape = ClientShape {
            means,
            options,
            ..partitions?
        };
        go::slice(shape, walk::STRUCTS, &slice)
    };
    let list_of_consumer =
        |function, argument, means, options| of_consumer(list(function, argument, means, options)?);
    let behind = option::OFFSET_BEHIND;
    let commits_all = || {
        let [at, ..]: [u8; 3] = library.argument("(*Consumer).commit", "offsets")?;
        Some(go::unless_error(of_consumer(says(means::SETTLES_ALL))?, at))
    };
    let seeks = || {
        // A struct in registers, a word each.
        let words = library.words("(*Consumer).Seek", "partition")?;
        let of = |member| {
            words
                .get(usize::from(library.member("TopicPartition", member)?) / 8)
                .copied()
        };
        of_consumer(ClientShape {
            means: means::SEEKS,
            walk: walk::ARGUMENTS,
            at: Place::register(of("Topic")?),
            topic: Place::NOWHERE,
            partition: of("Partition")?.into(),
            offset: of("Offset")?.into(),
            ..partitions?
        })
    };
    let produced = |at| {
        let shape = ClientShape {
            means: means::PRODUCES,
            error: NO_MEMBER,
            ..message?
        };
        let partition = shape.partition;
        Some(ClientShape {
            partition,
            ..go::unplaced(go::one(shape, at))
        })
    };
    let produces = || {
        let [at] = library.argument("(*Producer).produce", "msg")?;
        Some(of_client(produced(at)?))
    };
    let keeps = || {
        let [at] = library.argument("(*Producer).produce", "msg")?;
        Some(ClientShape {
            keeps: 1,
            keep: [at, NO_REG, NO_REG, NO_REG],
            pair: PRODUCE,
            ..says(0)
        })
    };
    let produces_by_id = || {
        Some(ClientShape {
            client: Place::word(base::STACK, TOPIC_ARGUMENT),
            pair: PRODUCE,
            known: ID_ARGUMENT,
            options: option::KNOWN_ON_STACK,
            ..produced(base::KEPT)?
        })
    };
    let reports = librdkafka::reports(
        Place::word(base::STACK, ARRAY_ARGUMENT),
        Place::word(base::STACK, COUNT_RESULT),
    );
    let has_ids = [DO_PRODUCE, REPORTS].iter().all(|name| library.reads(name));
    let produces_all = || {
        let slice: [u8; 3] = library.argument("(*Producer).produceBatch", "msgs")?;
        let shape = ClientShape {
            means: means::PRODUCES,
            error: NO_MEMBER,
            ..message?
        };
        go::slice(go::unplaced(of_client(shape)), walk::POINTERS, &slice)
    };
    let client = |means| [Some(of_client(says(means)))];
    let mut all = vec![
        Call::entry("kafka.(*handle).eventPoll", [asks()]),
        Call::returning("kafka.(*handle).newMessageFromGlueMsg", given()),
        Call::entry(
            "kafka.(*Consumer).StoreOffsets",
            [list_of_consumer(
                "(*Consumer).StoreOffsets",
                "offsets",
                means::SETTLES,
                behind,
            )],
        ),
        Call::entry(
            "kafka.(*Consumer).commit",
            [
                list_of_consumer("(*Consumer).commit", "offsets", means::SETTLES, behind),
                commits_all(),
            ],
        ),
        Call::entry("kafka.(*Consumer).Seek", [seeks()]).rare(),
        Call::entry(
            "kafka.(*Consumer).SeekPartitions",
            [list_of_consumer(
                "(*Consumer).SeekPartitions",
                "partitions",
                means::SEEKS,
                0,
            )],
        )
        .rare(),
        Call::entry(
            "kafka.(*Consumer).Close",
            [of_consumer(says(means::CLOSES))],
        )
        .rare(),
        Call::entry("kafka.(*Producer).produceBatch", [produces_all()]).rare(),
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
    ];
    all.extend(match has_ids {
        true => vec![
            Call::entry("kafka.(*Producer).produce", [keeps()]),
            Call::entry("kafka._Cfunc_do_produce", [produces_by_id()]),
            Call::returning("kafka._Cfunc_rd_kafka_event_message_array", Some(reports)),
        ],
        false => vec![Call::entry("kafka.(*Producer).produce", [produces()])],
    });
    all
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

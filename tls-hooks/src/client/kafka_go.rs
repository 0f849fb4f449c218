//! segmentio's kafka-go: pure Go, TLS by crypto/tls.

use obi_abi::client::{base, means, option, walk};
use obi_abi::{ClientShape, Place};

use super::go::{self, Call, Library, Members, of_client, says};
use super::layouts::SIZE;
use crate::facts::Facts;

pub(super) fn detect(facts: &Facts<'_>) -> Option<(&'static str, String)> {
    super::go_module(
        facts,
        "kafka-go",
        &["github.com/segmentio/kafka-go"],
        &[
            "github.com/segmentio/kafka-go.(*Conn).Read",
            "github.com/segmentio/kafka-go.(*Writer).WriteMessages",
        ],
    )
}

pub(super) const MEMBERS: Members = &[
    ("Message", "Topic"),
    ("Message", "Partition"),
    ("Message", "Offset"),
    ("Message", "Key"),
    ("Message", "Value"),
    ("Message", SIZE),
    ("Writer", "Topic"),
    ("Writer", "Async"),
];

/// `FetchMessage` returns a message whole, on the stack of its caller; `ReadMessage` calls it and commits. A message to send names its topic, or
/// its writer does, for all of them: kafka-go refuses a message where both do, or none. Readers without a group that set their offset are not seen to seek.
pub(super) fn calls(library: &Library<'_>) -> Vec<Call> {
    let message = message(library);
    let of = |means| Some(ClientShape { means, ..message? });
    let slice_of = |function, means| {
        let slice: [u8; 3] = library.argument(function, "msgs")?;
        go::slice(of_client(of(means)?), walk::STRUCTS, &slice)
    };
    let given = |function| {
        let at = library.stacked(function, "0")?;
        let [error, _] = library.result(function, "1")?;
        let shape = ClientShape {
            walk: walk::ONE,
            at: Place::address(base::STACK, at),
            ..of(means::HANDS_OVER)?
        };
        Some(go::unless_error(shape, error))
    };
    let closes = || [Some(of_client(says(means::CLOSES)))];
    // A writer that does not wait returns before anything was acknowledged.
    let produced = library.member("Writer", "Async").map(|member| ClientShape {
        client: Place::register(base::KEPT),
        guard: Place::word(base::KEPT, member),
        ..says(means::PRODUCED)
    });
    let produces = slice_of("(*Writer).WriteMessages", means::PRODUCES).map(go::unplaced);
    let writer = library.member("Writer", "Topic");
    let length = writer.and_then(|topic| topic.checked_add(8));
    let guarded = |shape| {
        Some(ClientShape {
            guard: Place::word(go::RECEIVER, length?),
            ..shape
        })
    };
    let by_message = produces.and_then(guarded);
    let by_writer = produces.and_then(guarded).zip(writer);
    let by_writer = by_writer.map(|(shape, topic)| ClientShape {
        topic: Place::address(go::RECEIVER, topic),
        options: option::UNLESS,
        ..shape
    });
    vec![
        Call::poll(
            "kafka.(*Reader).FetchMessage",
            given("(*Reader).FetchMessage"),
        ),
        Call::poll(
            "kafka.(*Reader).ReadMessage",
            given("(*Reader).ReadMessage"),
        ),
        Call::entry(
            "kafka.(*Reader).CommitMessages",
            [slice_of("(*Reader).CommitMessages", means::SETTLES)],
        ),
        Call::entry("kafka.(*Reader).Close", closes()).rare(),
        Call::pair("kafka.(*Writer).WriteMessages", by_message, produced).and_entry(by_writer),
        Call::entry("kafka.(*Writer).Close", closes()).rare(),
    ]
}

fn message(library: &Library<'_>) -> Option<ClientShape> {
    let of = |member| library.member("Message", member);
    let texts = [of("Key")?, of("Value")?];
    Some(ClientShape {
        stride: of(SIZE)?,
        ..go::message(
            go::within(of("Topic")?),
            of("Partition")?,
            of("Offset")?,
            Some(texts),
        )
    })
}

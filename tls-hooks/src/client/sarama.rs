//! sarama, before and after its move from Shopify to IBM: pure Go, TLS by crypto/tls.

use obi_abi::client::{NO_MEMBER, base, means, option, walk};
use obi_abi::{ClientShape, Place};

use super::go::{self, Call, Library, Members, of_client, says};
use crate::facts::Facts;

pub(super) fn detect(facts: &Facts<'_>) -> Option<(&'static str, String)> {
    super::go_module(
        facts,
        "sarama",
        &["github.com/IBM/sarama", "github.com/Shopify/sarama"],
        &[
            "github.com/IBM/sarama.NewConfig",
            "github.com/Shopify/sarama.NewConfig",
        ],
    )
}

pub(super) const MEMBERS: Members = &[
    ("ConsumerMessage", "Topic"),
    ("ConsumerMessage", "Partition"),
    ("ConsumerMessage", "Offset"),
    ("ConsumerMessage", "Key"),
    ("ConsumerMessage", "Value"),
    ("ProducerMessage", "Topic"),
    ("ProducerMessage", "Partition"),
    ("ProducerMessage", "Offset"),
    ("partitionConsumer", "consumer"),
];

/// Messages go to the application through a channel, of which a receiver is not seen: they are known to be offered when the answer to a fetch was taken
/// apart (`parseResponse`), which is one call for many messages and stands in every program, other than the function for each message. What is sent to
/// `AsyncProducer.Input()` is not seen either, only what became of it. `MarkMessage` calls `MarkOffset`, which names the place behind a message.
/// `ResetOffset` and a plain `OffsetManager` are not hooked.
pub(super) fn calls(library: &Library<'_>) -> Vec<Call> {
    let consumed = |means| {
        let of = |member| library.member("ConsumerMessage", member);
        let texts = [of("Key")?, of("Value")?];
        let shape = go::message(
            go::within(of("Topic")?),
            of("Partition")?,
            of("Offset")?,
            Some(texts),
        );
        Some(ClientShape { means, ..shape })
    };
    // Key and value are encoders, which have no length before they are asked.
    let sent = |means| {
        let of = |member| library.member("ProducerMessage", member);
        let shape = go::message(
            go::within(of("Topic")?),
            of("Partition")?,
            of("Offset")?,
            None,
        );
        Some(ClientShape { means, ..shape })
    };
    let marks = || {
        let [at] = library.argument("(*consumerGroupSession).MarkMessage", "msg")?;
        Some(go::one(consumed(means::SETTLES)?, at))
    };
    let marks_offset = || {
        const FUNCTION: &str = "(*consumerGroupSession).MarkOffset";
        let topic = library.argument(FUNCTION, "topic")?;
        let [partition] = library.argument(FUNCTION, "partition")?;
        let [offset] = library.argument(FUNCTION, "offset")?;
        Some(ClientShape {
            options: option::OFFSET_BEHIND,
            ..go::named(means::SETTLES, topic, partition, offset)
        })
    };
    let claims = || {
        const FUNCTION: &str = "(*consumerGroupSession).consume";
        let topic = library.argument(FUNCTION, "topic")?;
        let [partition] = library.argument(FUNCTION, "partition")?;
        let shape = go::named(means::CLAIM_BEGINS, topic, partition, partition);
        Some(ClientShape {
            offset: NO_MEMBER,
            ..shape
        })
    };
    let sends = || {
        let [at] = library.argument("(*syncProducer).SendMessage", "msg")?;
        Some(go::unplaced(go::one(of_client(sent(means::PRODUCES)?), at)))
    };
    let sends_all = || {
        let slice: [u8; 3] = library.argument("(*syncProducer).SendMessages", "msgs")?;
        let shape = of_client(sent(means::PRODUCES)?);
        go::slice(go::unplaced(shape), walk::POINTERS, &slice)
    };
    let acknowledged = || {
        let slice: [u8; 3] = library.argument("(*asyncProducer).returnSuccesses", "batch")?;
        go::slice(
            of_client(sent(means::ACKNOWLEDGED)?),
            walk::POINTERS,
            &slice,
        )
    };
    let refused = || {
        let [at] = library.argument("(*asyncProducer).returnError", "msg")?;
        Some(ClientShape {
            // A word that is 0 never equals it.
            expect: 1,
            ..go::one(of_client(sent(means::ACKNOWLEDGED)?), at)
        })
    };
    let produced = ClientShape {
        client: Place::register(base::KEPT),
        ..says(means::PRODUCED)
    };
    let closes = || [Some(of_client(says(means::CLOSES)))];
    let mut all = vec![
        Call::pair(
            "sarama.(*partitionConsumer).parseResponse",
            Some(says(0)),
            offers(library, consumed(means::HANDS_OVER)),
        )
        .rare(),
        Call::entry(
            "sarama.(*consumerGroupSession).MarkOffset",
            [marks_offset()],
        ),
        Call::returning(
            "sarama.(*consumerGroupSession).consume",
            Some(says(means::CLAIM_ENDS)),
        )
        .and_entry(claims())
        .rare(),
        // Called with what `ConsumeClaim` gave back. Behind the claim's end come errors of the connection.
        Call::entry(
            "sarama.(*consumerGroup).handleError",
            [Some(says(means::FAILS))],
        )
        .rare(),
        Call::entry(
            "sarama.(*partitionConsumer).AsyncClose",
            [Some(says(means::CLAIM_ENDS))],
        )
        .rare(),
        Call::entry("sarama.(*consumer).Close", closes()).rare(),
        Call::pair(
            "sarama.(*syncProducer).SendMessage",
            sends(),
            Some(produced),
        ),
        Call::pair(
            "sarama.(*syncProducer).SendMessages",
            sends_all(),
            Some(produced),
        ),
        Call::entry("sarama.(*asyncProducer).returnSuccesses", [acknowledged()]),
        Call::entry("sarama.(*asyncProducer).returnError", [refused()]),
        Call::entry("sarama.(*asyncProducer).Close", closes()).rare(),
    ];
    // With profiles the compiler may put the one into the other; both would settle a message twice.
    let [message, offset] =
        ["MarkMessage", "MarkOffset"].map(|name| format!("(*consumerGroupSession).{name}"));
    if !library.calls(&message, &offset) {
        all.push(Call::entry(
            "sarama.(*consumerGroupSession).MarkMessage",
            [marks()],
        ));
    }
    all
}

/// Partitions of one consumer group share a consumer; an answer without messages offers none.
fn offers(library: &Library<'_>, consumed: Option<ClientShape>) -> Option<ClientShape> {
    let slice: [u8; 3] = library.result("(*partitionConsumer).parseResponse", "0")?;
    let consumer = library.member("partitionConsumer", "consumer")?;
    let shape = ClientShape {
        client: Place::word(base::KEPT, consumer),
        options: option::QUIET,
        ..consumed?
    };
    go::slice(shape, walk::POINTERS, &slice)
}

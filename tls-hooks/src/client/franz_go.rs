//! franz-go (github.com/twmb/franz-go): pure Go, TLS by crypto/tls.

use obi_abi::client::{Nested, means, walk};
use obi_abi::{ClientShape, Place};

use super::go::{self, Call, Library, Members, of_client, says};
use super::layouts::SIZE;
use crate::facts::Facts;

pub(super) fn detect(facts: &Facts<'_>) -> Option<(&'static str, String)> {
    super::go_module(
        facts,
        "franz-go",
        &["github.com/twmb/franz-go"],
        &["github.com/twmb/franz-go/pkg/kgo.NewClient"],
    )
}

pub(super) const MEMBERS: Members = &[
    ("Record", "Topic"),
    ("Record", "Partition"),
    ("Record", "Offset"),
    ("Record", "Key"),
    ("Record", "Value"),
    ("Fetch", "Topics"),
    ("Fetch", SIZE),
    ("FetchTopic", "Topic"),
    ("FetchTopic", "Partitions"),
    ("FetchTopic", SIZE),
    ("FetchPartition", "Partition"),
    ("FetchPartition", "Records"),
    ("FetchPartition", SIZE),
    ("promisedRec", "Record"),
];

/// A poll gives fetches of topics of partitions of records. `PollFetches`, `Produce` and `AllowRebalance` wrap what is hooked. Commits by a map of
/// offsets (`CommitOffsets`) name no records, and are not hooked.
pub(super) fn calls(library: &Library<'_>) -> Vec<Call> {
    let record = record(library);
    let of = |means| Some(ClientShape { means, ..record? });
    let slice_of = |function, means| {
        let slice: [u8; 3] = library.argument(function, "rs")?;
        go::slice(of_client(of(means)?), walk::POINTERS, &slice)
    };
    let acks = |status, means| {
        let [register] = library.argument("(*Client).MarkAcks", "status")?;
        Some(ClientShape {
            guard: Place::register(register),
            expect: status,
            ..slice_of("(*Client).MarkAcks", means)?
        })
    };
    let produces = || {
        let [at] = library.argument("(*Client).produce", "r")?;
        Some(go::unplaced(go::one(of_client(of(means::PRODUCES)?), at)))
    };
    let client = |means| [Some(of_client(says(means)))];
    let told = |means| [Some(says(means))];
    vec![
        Call::poll("kgo.(*Client).PollRecords", fetches(library, record)).rare(),
        Call::entry(
            "kgo.(*Client).MarkCommitRecords",
            [slice_of("(*Client).MarkCommitRecords", means::SETTLES)],
        ),
        Call::entry(
            "kgo.(*Client).CommitRecords",
            [slice_of("(*Client).CommitRecords", means::SETTLES)],
        ),
        Call::entry(
            "kgo.(*Client).CommitUncommittedOffsets",
            client(means::SETTLES_ALL),
        )
        .rare(),
        Call::entry("kgo.(*consumer).allowRebalance", told(means::SETTLES_ALL)).rare(),
        // It commits the offsets of its polls within the transaction.
        Call::entry("kgo.(*GroupTransactSession).End", told(means::SETTLES_ALL)).rare(),
        // AckAccept, AckRelease, AckReject.
        Call::entry(
            "kgo.(*Client).MarkAcks",
            [
                acks(1, means::SETTLES),
                acks(2, means::RELEASES),
                acks(3, means::REJECTS),
            ],
        ),
        Call::entry("kgo.(*Client).produce", [produces()]),
        Call::entry(
            "kgo.(*Client).finishRecordPromise",
            [acknowledged(library, record)],
        ),
        Call::returning("kgo.(*Client).ProduceSync", Some(says(means::PRODUCED))),
        Call::entry(
            "kgo.(*Client).BeginTransaction",
            client(means::BEGINS_TRANSACTION),
        )
        .rare(),
        Call::entry(
            "kgo.(*Client).EndTransaction",
            client(means::ENDS_TRANSACTION),
        )
        .rare(),
        // `Close` calls `close` since 1.13; both may be there, and to be closed twice means nothing.
        Call::entry("kgo.(*Client).Close", client(means::CLOSES)).rare(),
        Call::entry("kgo.(*Client).close", client(means::CLOSES)).rare(),
    ]
}

fn record(library: &Library<'_>) -> Option<ClientShape> {
    let of = |member| library.member("Record", member);
    let texts = [of("Key")?, of("Value")?];
    Some(go::message(
        go::within(of("Topic")?),
        of("Partition")?,
        of("Offset")?,
        Some(texts),
    ))
}

/// `Fetches`, of which each partition's records are in order.
fn fetches(library: &Library<'_>, record: Option<ClientShape>) -> Option<ClientShape> {
    let [at, count, _] = library.result("(*Client).PollRecords", "0")?;
    Some(ClientShape {
        means: means::HANDS_OVER,
        walk: walk::NESTED,
        at: Place::register(at),
        count: Place::register(count),
        topic: go::within(library.member("FetchTopic", "Topic")?),
        nested: Nested {
            stride: library.member("Fetch", SIZE)?,
            topics: library.member("Fetch", "Topics")?,
            topic_stride: library.member("FetchTopic", SIZE)?,
            partitions: library.member("FetchTopic", "Partitions")?,
            partition_stride: library.member("FetchPartition", SIZE)?,
            partition: library.member("FetchPartition", "Partition")?,
            messages: library.member("FetchPartition", "Records")?,
            reserved: 0,
        },
        ..record?
    })
}

/// The record is in its place, or was refused: an argument is a struct in registers, a word each.
fn acknowledged(library: &Library<'_>, record: Option<ClientShape>) -> Option<ClientShape> {
    const FUNCTION: &str = "(*Client).finishRecordPromise";
    let promised: [u8; 4] = library.argument(FUNCTION, "pr")?;
    let [error, _] = library.argument(FUNCTION, "err")?;
    let member = library.member("promisedRec", "Record")?;
    let at = promised.get(usize::from(member) / 8)?;
    let shape = ClientShape {
        means: means::ACKNOWLEDGED,
        ..record?
    };
    Some(go::unless_error(go::one(of_client(shape), *at), error))
}

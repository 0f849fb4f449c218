//! The committed table itself, and signatures whose places are known.

use super::*;

const FRANZ: &str = "github.com/twmb/franz-go";
const SARAMA: &str = "github.com/IBM/sarama";
const SEGMENTIO: &str = "github.com/segmentio/kafka-go";
const CONFLUENT: &str = "github.com/confluentinc/confluent-kafka-go/v2";

fn known(module: &str, release: &str, function: &str) -> Signature {
    let found = Part::of(module).unwrap().signature(release, function);
    found.unwrap_or_else(|| panic!("{module} {release} {function}"))
}

fn registers(names: &str) -> Option<Place> {
    let registers = names.split(' ').map(|name| register(name).unwrap());
    Some(Place::Registers(registers.collect()))
}

/// By abi-internal.md, and as the compiler of Go 1.26 was seen to do it.
#[test]
fn places_of_arguments_and_results() {
    let fetch = known(SEGMENTIO, "v0.4.51", "(*Reader).FetchMessage");
    assert_eq!(fetch.text, "func(ctx context.Context) (Message, error)");
    assert_eq!(fetch.argument("r"), registers("AX"));
    assert_eq!(fetch.argument("ctx"), registers("BX CX"));
    // A Message has more words than there are registers; the error behind it still fits into the first ones.
    assert_eq!(fetch.result("0"), Some(Place::Stack(8)));
    assert_eq!(fetch.result("1"), registers("AX BX"));
    assert_eq!(fetch.result("2"), None);
    assert_eq!(fetch.argument("c"), None);

    let commit = known(SEGMENTIO, "v0.4.51", "(*Reader).CommitMessages");
    assert_eq!(commit.argument("msgs"), registers("DI SI R8"));

    let poll = known(FRANZ, "v1.22.2", "(*Client).PollRecords");
    assert_eq!(poll.argument("maxPollRecords"), registers("DI"));
    assert_eq!(poll.result("0"), registers("AX BX CX"));

    let produce = known(FRANZ, "v1.22.2", "(*Client).Produce");
    assert_eq!(produce.argument("cl"), registers("AX"));
    assert_eq!(produce.argument("r"), registers("DI"));
    assert_eq!(produce.argument("promise"), registers("SI"));
    assert_eq!(produce.result("0"), None);

    let mark = known(SARAMA, "v1.61.1", "(*consumerGroupSession).MarkMessage");
    assert_eq!(mark.argument("msg"), registers("BX"));
    assert_eq!(mark.argument("metadata"), registers("CX DI"));

    let poll = known(CONFLUENT, "v2.11.1", "(*Consumer).Poll");
    assert_eq!(poll.argument("timeoutMs"), registers("BX"));
    assert_eq!(poll.result("event"), registers("AX BX"));
}

#[test]
fn only_the_releases_that_were_read_are_known() {
    let part = Part::of(FRANZ).unwrap();
    assert_eq!(part.offset("v1.22.2", "Record", "Offset"), Some(136));
    assert_eq!(part.offset("v1.15.4", "FetchTopic", SIZE), Some(40));
    assert_eq!(part.offset("v1.22.2", "FetchTopic", SIZE), Some(56));
    for version in [
        "v1.22.2-0.20260101000000-abcdefabcdef",
        "(devel)",
        "",
        "v9.9.9",
        "v1.22",
        "v1.22.2+dirty",
    ] {
        assert_eq!(part.offset(version, "Record", "Offset"), None, "{version}");
        assert_eq!(
            part.signature(version, "(*Client).Produce"),
            None,
            "{version}"
        );
    }
    assert_eq!(part.offset("v1.22.2", "Record", "NoSuch"), None);
    assert_eq!(part.offset("v1.22.2", "Rec", "Offset"), None);
    assert!(Part::of("github.com/twmb/franz-go/pkg/kmsg").is_none());
    assert!(Part::of("").is_none());
    let name = symbol(FRANZ, "(*Client).Produce").unwrap();
    assert_eq!(name, "github.com/twmb/franz-go/pkg/kgo.(*Client).Produce");
}

/// A row that cannot be read would be a hook that is silently missing.
#[test]
fn every_row_of_the_table_can_be_read() {
    let mut rows = 0;
    for path in TABLE
        .lines()
        .filter_map(|line| line.strip_prefix("module "))
    {
        let part = Part::of(path).unwrap();
        for line in part.rows.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let (from, to) = match words[0] {
                "member" => (words[3], words[4]),
                "function" => (words[2], words[3]),
                _ => continue,
            };
            rows += 1;
            for release in [from, to] {
                let read = match words[0] {
                    "member" => part
                        .offset(release, words[1], words[2])
                        .map(|offset| offset.to_string()),
                    _ => part
                        .signature(release, words[1])
                        .map(|signature| signature.text.to_owned()),
                };
                assert!(
                    read.is_some_and(|read| line.ends_with(&read)),
                    "{path} {release}: {line}"
                );
            }
        }
    }
    assert!(rows > 100, "{rows}");
}

//! Any split and any order that keeps each direction gives the same observations; any loss gives fewer, never more, and no panic.

mod conversation;

use std::collections::HashMap;

use conversation::calls::time_of;
use conversation::messages::{
    Answered, Named, fetch_request, fetch_response, metadata_request, metadata_response,
    produce_request, produce_response,
};
use conversation::*;
use kafka_analyzer::capture::{Direction, GapReason};
use kafka_analyzer::observation::Observation;
use kafka_analyzer::{Merge, Model, Settings, StreamStage};
use kafka_protocol::records::{Compression, Record};
use proptest::prelude::*;

const ORDERS: Named = Named::Name("orders");
const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// A client that greets, produces with pipelining and fetches, on each of three connections.
fn conversation() -> Vec<Captured> {
    let mut talks: Vec<Talk> = (1..=3).map(everything).collect();
    // As one capture: by time.
    let mut events: Vec<Captured> = talks
        .iter_mut()
        .flat_map(|talk| std::mem::take(&mut talk.events))
        .collect();
    events.sort_by_key(time_of);
    events
}

fn everything(connection: u64) -> Talk {
    let mut talk = Talk::new(connection);
    talk.exchange(
        18,
        3,
        1,
        &conversation::messages::api_versions_request(),
        &conversation::messages::api_versions_response(),
    );
    talk.exchange(
        3,
        12,
        2,
        &metadata_request(),
        &metadata_response(&[("orders", 7), ("audit", 8)]),
    );
    let mut id = 3;
    for (i, codec) in CODECS.into_iter().enumerate() {
        let long = |offset: i64| {
            with_header(
                record(offset, &format!("k{offset}"), &"v".repeat(50 * i)),
                "shop",
                "north",
            )
        };
        let sent: Vec<Record> = (0..7).map(long).collect();
        let first = produce_request(
            -1,
            &[(
                Named::Id(7),
                &[(0, batch(&sent, codec)), (1, batch(&sent[..3], codec))],
            )],
        );
        let second = produce_request(
            if i % 2 == 0 { 0 } else { 1 },
            &[(Named::Id(8), &[(2, batch(&sent, codec))])],
        );
        talk.ask(0, 13, id, &first);
        talk.ask(0, 13, id + 1, &second);
        talk.tell(
            13,
            id,
            &produce_response(&[(
                Named::Id(7),
                &[(0, 0, 70), (1, if i == 3 { 7 } else { 0 }, 30)],
            )]),
        );
        if i % 2 != 0 {
            talk.tell(
                13,
                id + 1,
                &produce_response(&[(Named::Id(8), &[(2, 0, 70)])]),
            );
        }
        let all = [
            batch(&records(100, 20), codec),
            batch(&records(120, 20), codec),
        ]
        .concat();
        let answered = [Answered {
            high_watermark: 200,
            records: Some(all.into()),
            ..Answered::default()
        }];
        talk.exchange(
            1,
            12,
            id + 2,
            &fetch_request((0, -1), 0, &[(ORDERS, &[(0, 103)])]),
            &fetch_response(0, &[(ORDERS, &answered)]),
        );
        id += 3;
    }
    talk.close();
    talk
}

fn json(observations: &[Observation]) -> Vec<String> {
    observations
        .iter()
        .map(|observation| serde_json::to_string(observation).unwrap())
        .collect()
}

/// Cuts every call into records of some size, as the ring does.
fn split(events: &[Captured], mut size: impl FnMut() -> usize) -> Vec<Captured> {
    let mut out = Vec::new();
    for event in events {
        let Captured::Data {
            connection,
            direction,
            offset,
            began,
            ended,
            goroutine,
            bytes,
        } = event
        else {
            out.push(event.clone());
            continue;
        };
        let mut at = 0;
        while at < bytes.len() {
            let n = size().clamp(1, bytes.len() - at);
            let (connection, direction, offset) = (*connection, *direction, offset + at as u64);
            let bytes = bytes[at..at + n].to_vec();
            out.push(Captured::Data {
                connection,
                direction,
                offset,
                began: *began,
                ended: *ended,
                goroutine: *goroutine,
                bytes,
            });
            at += n;
        }
    }
    out
}

/// Records acknowledged and consumed, by place.
fn totals(observations: &[Observation]) -> HashMap<(String, i32, bool), u64> {
    let mut totals = HashMap::new();
    for (topic, partition, error, n) in produced(observations) {
        if error.is_none() {
            *totals.entry((topic, partition, false)).or_default() += n;
        }
    }
    for (topic, partition, n) in fetched(observations) {
        *totals.entry((topic, partition, true)).or_default() += n;
    }
    totals
}

#[test]
fn the_conversation_is_what_it_says() {
    let observations = run(&conversation());
    let mut totals: Vec<_> = totals(&observations).into_iter().collect();
    totals.sort();
    let expected = [
        ("audit", 2, false, 7 * 5 * 3),
        ("orders", 0, false, 7 * 5 * 3),
        ("orders", 0, true, 37 * 5 * 3),
        ("orders", 1, false, 3 * 4 * 3),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(topic, partition, read, n)| (((*topic).to_owned(), *partition, *read), *n))
        .collect();
    assert_eq!(totals, expected);
    assert_eq!(unsupported(&observations), []);
    assert_eq!(gaps(&observations), []);
}

#[test]
fn one_shard_and_four_say_the_same() {
    let events = conversation();
    let one = json(&run(&events));
    for shards in 2..=4 {
        assert_eq!(
            json(&run_with(&Settings::default(), &events, shards).0),
            one
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_split_says_the_same(sizes in prop::collection::vec(1..300_usize, 1..50)) {
        let events = conversation();
        let mut sizes = sizes.into_iter().cycle();
        let pieces = split(&events, || sizes.next().unwrap_or(1));
        prop_assert_eq!(json(&run(&pieces)), json(&run(&events)));
    }

    /// Pieces of the two directions in any order: each keeps its own, and an answer is not a second ahead.
    #[test]
    fn any_interleaving_says_the_same(picks in prop::collection::vec(any::<bool>(), 1..200), size in 1..2000_usize) {
        let talk = everything(1);
        let straight = json(&run(&talk.events));
        let pieces = split(&talk.events, || size);
        let (first, last) = (pieces.first().cloned(), pieces.last().cloned());
        let (mut written, mut read): (Vec<_>, Vec<_>) = pieces
            .into_iter()
            .filter(|event| matches!(event, Captured::Data { .. }))
            .partition(|event| matches!(event, Captured::Data { direction: Direction::Write, .. }));
        written.reverse();
        read.reverse();
        let mut events: Vec<Captured> = first.into_iter().collect();
        let mut picks = picks.into_iter().cycle();
        while !written.is_empty() || !read.is_empty() {
            let write_next = picks.next().unwrap_or(true) && !written.is_empty() || read.is_empty();
            events.extend(if write_next { written.pop() } else { read.pop() });
        }
        events.extend(last);
        prop_assert_eq!(json(&run(&events)), straight);
    }

    /// Lost records, as gap events or in silence.
    #[test]
    fn any_loss_says_less(lost in prop::collection::vec(0..400_usize, 1..12), silent in any::<bool>(), size in 20..500_usize) {
        let events = split(&conversation(), || size);
        let truth = totals(&run(&events));
        let mut left = Vec::new();
        for (i, event) in events.iter().enumerate() {
            match event {
                Captured::Data { connection, direction, offset, ended, bytes, .. } if lost.contains(&i) => {
                    if !silent {
                        let (connection, direction, offset, time) = (*connection, *direction, *offset, *ended);
                        let length = bytes.len() as u64;
                        left.push(Captured::Gap { connection, direction, offset, length, time, reason: GapReason::PageFault });
                    }
                }
                other => left.push(other.clone()),
            }
        }
        let mut less: HashMap<_, u64> = HashMap::new();
        for ((topic, partition, read), n) in totals(&run(&left)) {
            // Without the Metadata answers a topic goes by its id.
            let topic = match topic.as_str() {
                "id:AAAAAAAAAAAAAAAAAAAABw" => "orders".to_owned(),
                "id:AAAAAAAAAAAAAAAAAAAACA" => "audit".to_owned(),
                _ => topic,
            };
            *less.entry((topic, partition, read)).or_default() += n;
        }
        for (place, n) in less {
            prop_assert!(n <= truth.get(&place).copied().unwrap_or(0), "{place:?}: {n}");
        }
    }

    /// Bytes that were changed: anything may be said, but nothing breaks and little is kept.
    #[test]
    fn hostile_bytes_break_nothing(changes in prop::collection::vec((any::<u32>(), any::<u8>()), 1..20)) {
        let mut events = conversation();
        let n = events.len() as u32;
        for (at, byte) in changes {
            if let Some(Captured::Data { bytes, .. }) = events.get_mut((at % n) as usize) {
                let i = (at / n) as usize % bytes.len();
                bytes[i] = byte;
            }
        }
        run(&events);
    }

    #[test]
    fn noise_breaks_nothing(noise in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..200)), 1..60)) {
        let mut talk = Talk::new(1);
        for (write, bytes) in noise {
            if write { talk.write(bytes) } else { talk.read(bytes) }
        }
        run(&talk.events);
    }

    /// A recording may claim any offset, length and time.
    #[test]
    fn absurd_places_break_nothing(
        changes in prop::collection::vec((any::<u32>(), any::<u64>(), 0..5_u8), 1..20),
    ) {
        let mut events = conversation();
        let n = events.len() as u32;
        for (at, number, what) in changes {
            match events.get_mut((at % n) as usize) {
                Some(Captured::Data { offset, began, ended, .. }) => match what {
                    0 => *offset = number,
                    1 => *offset = u64::MAX - number % 100,
                    2 => *ended = number,
                    3 => *began = number,
                    _ => *ended = u64::MAX,
                },
                Some(Captured::Closed { time, .. } | Captured::Opened { time, .. }) => *time = number,
                _ => {}
            }
        }
        let mut gap = Talk::new(9);
        gap.gap(Direction::Write, u64::MAX, GapReason::Sendfile);
        events.extend(gap.events);
        let mut stage = StreamStage::new(&Settings::default());
        let (mut facts, mut verdicts, mut observations) = (Vec::new(), Vec::new(), Vec::new());
        let (mut merge, mut model) = (Merge::new(1), Model::new(&Settings::default()));
        for event in &events {
            stage.event(&event.event(), &mut facts, &mut verdicts);
            merge.push(0, &mut facts, stage.clock());
        }
        merge.finish(&mut facts);
        for fact in facts {
            model.fact(fact, &mut observations);
        }
        model.finish(&mut observations);
    }
}

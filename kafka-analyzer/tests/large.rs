//! Large messages: exact, in place, with little memory; and that nothing stays behind when connections end.

mod conversation;

use conversation::messages::{
    Answered, Named, fetch_request, fetch_response, metadata_request, metadata_response,
    produce_request,
};
use conversation::*;
use kafka_analyzer::capture::{CaptureEvent, ConnectionId, Direction, Nanos, Source};
use kafka_analyzer::fact::Says;
use kafka_analyzer::observation::Observation;
use kafka_analyzer::{Fact, Model, Settings, StreamStage};
use kafka_protocol::records::{Compression, Record};

const ORDERS: Named = Named::Name("orders");
const MIB: usize = 1 << 20;

struct Reader {
    stage: StreamStage,
    facts: Vec<Fact>,
    read: u64,
    clock: Nanos,
    most: usize,
}

impl Reader {
    fn data(&mut self, direction: Direction, offset: u64, bytes: &[u8]) {
        self.clock += 1000;
        let event = CaptureEvent::Data {
            connection: ConnectionId(1),
            direction,
            offset,
            began: self.clock,
            ended: self.clock + 10,
            pid: 1,
            tid: 1,
            goroutine: None,
            source: Source::Openssl,
            bytes,
        };
        self.stage.event(&event, &mut self.facts, &mut Vec::new());
        self.most = self.most.max(self.stage.buffered());
    }

    fn read(&mut self, bytes: &[u8]) {
        self.data(Direction::Read, self.read, bytes);
        self.read += bytes.len() as u64;
    }
}

#[test]
fn a_hundred_mebibytes_in_16_kib_reads() {
    for compression in [Compression::None, Compression::Gzip] {
        // About a mebibyte of 1 KiB records that hardly compress.
        let mut state = 1_u64;
        let mut noise = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            char::from(b' ' + (state >> 33) as u8 % 90)
        };
        let sent: Vec<Record> = (0..1000)
            .map(|i| {
                record(
                    i,
                    &format!("key-{i}"),
                    &(0..1024).map(|_| noise()).collect::<String>(),
                )
            })
            .collect();
        let template = batch(&sent, compression);
        let batches = 100 * MIB / template.len() + 1;
        let mut all = Vec::with_capacity(batches * template.len());
        for i in 0..batches {
            all.extend_from_slice(&(1000 * i as i64).to_be_bytes());
            all.extend_from_slice(&template[8..]);
        }
        let answered = [Answered {
            high_watermark: 1 << 40,
            records: Some(all.into()),
            ..Answered::default()
        }];
        let answer = response(12, 3, &fetch_response(0, &[(ORDERS, &answered)]));
        assert!(answer.len() > 100 * MIB);

        let stage = StreamStage::new(&Settings::default());
        let mut reader = Reader {
            stage,
            facts: Vec::new(),
            read: 0,
            clock: 0,
            most: 0,
        };
        let asked = request(
            1,
            12,
            3,
            Some("app"),
            &fetch_request((0, -1), 0, &[(ORDERS, &[(0, 0)])]),
        );
        reader.data(Direction::Write, 0, &asked);
        for piece in answer.chunks(16 * 1024) {
            reader.read(piece);
        }
        let fetched: Vec<_> = reader
            .facts
            .iter()
            .filter_map(|fact| match &fact.says {
                Says::Exchange(exchange) => Some(&exchange.fetched),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(fetched.len(), 1);
        assert_eq!(fetched[0].records, 1000 * batches as u64);
        assert_eq!(fetched[0].next_offset, Some(1000 * batches as i64));
        assert!(
            reader.most <= 256 * 1024,
            "{} bytes of stream were held",
            reader.most
        );
        assert_eq!((reader.stage.buffered(), reader.stage.kept()), (0, 0));
    }
}

/// A cluster of 20,000 topics asked for all of them.
#[test]
fn a_metadata_answer_of_megabytes_is_read_topic_by_topic() {
    let names: Vec<String> = (0..20_000)
        .map(|n| format!("{}-{n}", "name".repeat(20)))
        .collect();
    let topics: Vec<(&str, u128)> = names.iter().map(String::as_str).zip(1..).collect();
    let answer = response(12, 3, &metadata_response(&topics));
    assert!(answer.len() > 2 * MIB);
    let mut reader = Reader {
        stage: StreamStage::new(&Settings::default()),
        facts: Vec::new(),
        read: 0,
        clock: 0,
        most: 0,
    };
    let asked = request(3, 12, 3, Some("app"), &metadata_request());
    reader.data(Direction::Write, 0, &asked);
    for piece in answer.chunks(16 * 1024) {
        reader.read(piece);
    }
    assert!(reader.most <= 256 * 1024, "{} bytes", reader.most);
    let (mut learnt, mut cluster) = (Vec::new(), None);
    for fact in &reader.facts {
        match &fact.says {
            Says::Topics(topics) => {
                learnt.extend(topics.iter().map(|(id, name)| (name.to_string(), id.0)))
            }
            Says::Cluster { id, .. } => cluster = Some(id.to_string()),
            Says::Exchange(exchange) => {
                assert_eq!((exchange.decoded, exchange.error), (true, None))
            }
            _ => {}
        }
    }
    let want = names.into_iter().zip((1u128..).map(u128::to_be_bytes));
    assert_eq!(learnt, want.collect::<Vec<_>>());
    assert_eq!(cluster.as_deref(), Some(conversation::CLUSTER));
}

#[test]
fn keys_and_headers_that_wait_are_bounded() {
    let settings = Settings {
        spans_per_second: 1_000_000,
        ..Settings::default()
    };
    let mut stage = StreamStage::new(&settings);
    let (mut facts, mut verdicts) = (Vec::new(), Vec::new());
    let mut talk = Talk::new(1);
    talk.greet();
    let wide: Vec<Record> = (0..100)
        .map(|i| record(i, &"k".repeat(9000), "v"))
        .collect();
    for id in 3..20 {
        talk.ask(
            0,
            9,
            id,
            &produce_request(1, &[(ORDERS, &[(0, batch(&wide, Compression::None))])]),
        );
    }
    for event in &talk.events {
        stage.event(&event.event(), &mut facts, &mut verdicts);
        assert!(stage.kept() <= 8 * MIB);
    }
    assert!(stage.kept() > 7 * MIB);
    let kept = 8 * MIB / (9000 + 200);
    let dropped = stage.losses().get("span_table_full") as usize;
    assert!(
        dropped > 0 && dropped.abs_diff(1700 - kept) < 100,
        "{dropped} dropped"
    );
    talk.close();
    stage.event(
        &talk.events.last().unwrap().event(),
        &mut facts,
        &mut verdicts,
    );
    assert_eq!(
        (stage.kept(), stage.buffered(), stage.connections()),
        (0, 0, 0)
    );
    // Exactly those are in the facts, and all records are counted.
    let produced: Vec<_> = facts
        .iter()
        .filter_map(|fact| match &fact.says {
            Says::Exchange(exchange) => Some(&exchange.produced),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(
        produced
            .iter()
            .map(|partition| partition.records)
            .sum::<u64>(),
        1700
    );
}

#[test]
fn nothing_stays_behind() {
    // Cut at each call, then closed.
    let mut talk = Talk::new(1);
    talk.greet();
    let sent = batch(&records(0, 50), Compression::Zstd);
    for id in 3..6 {
        talk.ask(
            0,
            9,
            id,
            &produce_request(1, &[(ORDERS, &[(0, sent.clone())])]),
        );
    }
    let answered = [Answered {
        records: Some(sent),
        ..Answered::default()
    }];
    talk.exchange(
        1,
        12,
        6,
        &fetch_request((0, -1), 0, &[(ORDERS, &[(0, 0)])]),
        &fetch_response(0, &[(ORDERS, &answered)]),
    );
    for calls in 1..=talk.events.len() {
        for cut in [1, 7, 40, 100] {
            let mut stage = StreamStage::new(&Settings::default());
            let (mut facts, mut verdicts) = (Vec::new(), Vec::new());
            for (i, event) in talk.events[..calls].iter().enumerate() {
                let mut event = event.clone();
                if let Captured::Data { bytes, .. } = &mut event
                    && i + 1 == calls
                {
                    bytes.truncate(cut);
                }
                stage.event(&event.event(), &mut facts, &mut verdicts);
            }
            let closed = CaptureEvent::Closed {
                connection: ConnectionId(1),
                time: 1 << 40,
            };
            stage.event(&closed, &mut facts, &mut verdicts);
            assert_eq!(
                (stage.kept(), stage.buffered(), stage.connections()),
                (0, 0, 0),
                "{calls} calls, {cut} bytes"
            );
        }
    }
}

/// Hardly compressible batches of about 6 MiB, as one partition's records.
fn large_batches(n: usize, compression: Compression) -> (Vec<u8>, usize) {
    let mut state = 7_u64;
    let mut noise = |size: usize| -> String {
        (0..size)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                char::from(b' ' + (state >> 33) as u8 % 90)
            })
            .collect()
    };
    let sent: Vec<Record> = (0..8)
        .map(|i| record(i, &format!("key-{i}"), &noise(MIB * 3 / 4)))
        .collect();
    let template = batch(&sent, compression);
    let mut all = Vec::with_capacity(n * template.len());
    for i in 0..n {
        all.extend_from_slice(&(8 * i as i64).to_be_bytes());
        all.extend_from_slice(&template[8..]);
    }
    (all, template.len())
}

#[test]
fn batches_that_find_no_room_are_opened_as_they_pass() {
    let codecs = [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    // 54 MiB are within what may be opened at once, 120 MiB are not.
    for (compression, n, within) in
        codecs
            .into_iter()
            .map(|codec| (codec, 9, true))
            .chain([(Compression::Lz4, 20, false)])
    {
        let (all, wire) = large_batches(n, compression);
        let answered = [Answered {
            high_watermark: 1 << 40,
            records: Some(all.into()),
            ..Answered::default()
        }];
        let answer = response(12, 3, &fetch_response(0, &[(ORDERS, &answered)]));
        let mut reader = Reader {
            stage: StreamStage::new(&Settings::default()),
            facts: Vec::new(),
            read: 0,
            clock: 0,
            most: 0,
        };
        let asked = request(
            1,
            12,
            3,
            Some("app"),
            &fetch_request((0, -1), 0, &[(ORDERS, &[(0, 0)])]),
        );
        reader.data(Direction::Write, 0, &asked);
        for piece in answer.chunks(16 * 1024) {
            reader.read(piece);
            assert!(reader.stage.kept() <= 20 * MIB, "{compression:?}");
        }
        assert_eq!((reader.stage.buffered(), reader.stage.kept()), (0, 0));
        let (mut model, mut out) = (Model::new(&Settings::default()), Vec::new());
        for mut fact in reader.facts {
            fact.open(&reader.stage.opening());
            model.fact(fact, &mut out);
        }
        model.finish(&mut out);
        let fetched = out
            .iter()
            .find_map(|found| match found {
                Observation::Exchange(exchange) => exchange.fetched.first(),
                _ => None,
            })
            .expect("fetched");
        assert_eq!(fetched.records, 8 * n as u64, "{compression:?}");
        let sizes = (fetched.batches.exact.count, fetched.batches.average.count);
        let links = out.iter().find_map(|found| match found {
            Observation::Span(span) => Some(span.links.len()),
            _ => None,
        });
        let lost = model.losses().get("batch_not_opened");
        if within {
            assert_eq!(sizes, (8 * n as u64, 0), "{compression:?}");
            assert_eq!((links, lost), (Some(8 * n), 0), "{compression:?}");
            let (_, ratio) = fetched.batches.ratios[0];
            let plain = (8 * MIB * 3 / 4) as f64;
            assert!((ratio * wire as f64 / plain - 1.0).abs() < 0.001, "{ratio}");
        } else {
            assert_eq!(sizes.0 + sizes.1, 8 * n as u64);
            assert!((1..n as u64).contains(&lost), "{lost}");
        }
    }
}

#[test]
fn a_large_batch_that_is_cut_leaves_nothing_behind() {
    for compression in [Compression::Snappy, Compression::Zstd, Compression::Lz4] {
        let (all, _) = large_batches(1, compression);
        let mut talk = Talk::new(1);
        talk.greet();
        talk.ask(
            0,
            9,
            3,
            &produce_request(1, &[(ORDERS, &[(0, all.into())])]),
        );
        let mut stage = StreamStage::new(&Settings::default());
        let (mut facts, mut verdicts) = (Vec::new(), Vec::new());
        let last = talk.events.len() - 1;
        for (i, event) in talk.events.iter().enumerate() {
            let mut event = event.clone();
            if let Captured::Data { bytes, .. } = &mut event
                && i == last
            {
                bytes.truncate(3 * MIB);
            }
            stage.event(&event.event(), &mut facts, &mut verdicts);
        }
        assert!(stage.kept() > 0, "{compression:?}");
        let closed = CaptureEvent::Closed {
            connection: ConnectionId(1),
            time: 1 << 40,
        };
        stage.event(&closed, &mut facts, &mut verdicts);
        assert_eq!((stage.kept(), stage.buffered()), (0, 0), "{compression:?}");
        let (mut model, mut out) = (Model::new(&Settings::default()), Vec::new());
        for fact in facts {
            model.fact(fact, &mut out);
        }
        model.finish(&mut out);
        assert_eq!(model.losses().get("batch_not_opened"), 0);
    }
}

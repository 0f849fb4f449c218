//! Exact values, bounds and expiry of the series tables.

use super::*;

const SECOND: Nanos = 1_000_000_000;

fn labels(topic: &str, partition: i32) -> [Label; 5] {
    let text = |s: &str| Label::text(&s.into());
    [
        text("c"),
        text("svc"),
        text("id"),
        text(topic),
        Label::from(partition),
    ]
}

fn only(registry: &Registry, id: Id) -> Vec<(Box<[Label]>, Value)> {
    registry
        .snapshot(Clocks::default())
        .into_iter()
        .find(|s| s.metric.id == id)
        .map(|s| s.series)
        .unwrap_or_default()
}

#[test]
fn counters_add_and_zero_makes_no_series() {
    let registry = Registry::new(100, SECOND);
    registry.add(Id::MessagesProduced, &labels("a", 0), 0, 0);
    assert_eq!(only(&registry, Id::MessagesProduced), []);
    registry.add(Id::MessagesProduced, &labels("a", 0), 3, 0);
    registry.add(Id::MessagesProduced, &labels("a", 0), 4, 1);
    assert_eq!(
        only(&registry, Id::MessagesProduced),
        [(Box::from(labels("a", 0)), Value::Counter(7))]
    );
}

#[test]
fn a_value_on_a_bound_belongs_to_its_bucket() {
    let mut buckets = Buckets::new(&[1.0, 2.0, 5.0]);
    for value in [0.0, 1.0, 1.5, 2.0, 5.0, 5.1] {
        buckets.observe(&[1.0, 2.0, 5.0], value);
    }
    assert_eq!(*buckets.counts, [2, 2, 1, 1]);
    assert_eq!(buckets.sum, 14.6);
    assert_eq!(buckets.count(), 6);
    buckets.add(&[1, 0, 0, 2], 21.0);
    assert_eq!(*buckets.counts, [3, 2, 1, 3]);
    assert_eq!(buckets.sum, 35.6);
}

#[test]
fn per_partition_series_are_turned_away_first() {
    let registry = Registry::new(100, SECOND);
    for partition in 0..200 {
        registry.add(Id::MessagesProduced, &labels("a", partition), 1, 0);
    }
    assert_eq!(only(&registry, Id::MessagesProduced).len(), 90);
    // What is known already still counts.
    registry.add(Id::MessagesProduced, &labels("a", 89), 1, 0);
    let gap = |n: usize| [Label::text(&format!("r{n}").into())];
    for n in 0..15 {
        registry.add(Id::StreamGaps, &gap(n), 1, 0);
    }
    assert_eq!(only(&registry, Id::StreamGaps).len(), 10);
    assert_eq!(
        registry.dropped(),
        [
            ("kafka_messages_produced_total", 110),
            ("obi_stream_gaps_total", 5)
        ]
    );
}

#[test]
fn a_histogram_costs_what_prometheus_stores() {
    let registry = Registry::new(34, SECOND);
    let labels = |n: usize| {
        [
            Label::Word("c"),
            Label::Word("s"),
            Label::text(&format!("api{n}").into()),
        ]
    };
    for n in 0..3 {
        registry.observe(Id::RequestDuration, &labels(n), 0, |b| {
            b.observe(super::super::catalogue::SECONDS, 0.2)
        });
    }
    // 14 bounds, +Inf, sum, count = 17 series each.
    assert_eq!(only(&registry, Id::RequestDuration).len(), 2);
    assert_eq!(registry.dropped(), [("kafka_request_duration_seconds", 1)]);
}

#[test]
fn stale_gauges_expire_and_counters_do_not() {
    let registry = Registry::new(100, 600 * SECOND);
    let gauge = |n: i32| [Label::Word("c"), Label::Word("t"), Label::from(n)];
    registry.set(Id::PartitionHighWatermark, &gauge(0), 5.0, SECOND);
    registry.set(Id::PartitionHighWatermark, &gauge(1), 6.0, 300 * SECOND);
    registry.add(Id::MessagesProduced, &labels("a", 0), 1, SECOND);
    registry.expire(601 * SECOND);
    assert_eq!(
        only(&registry, Id::PartitionHighWatermark),
        [(Box::from(gauge(1)), Value::Gauge(6.0))]
    );
    assert_eq!(only(&registry, Id::MessagesProduced).len(), 1);
}

#[test]
fn a_full_table_forgets_what_was_idle_for_an_hour() {
    let registry = Registry::new(10, SECOND);
    for partition in 0..9 {
        registry.add(Id::MessagesProduced, &labels("a", partition), 1, 0);
    }
    registry.add(Id::MessagesProduced, &labels("b", 0), 1, SECOND);
    assert_eq!(registry.dropped(), [("kafka_messages_produced_total", 1)]);
    registry.add(Id::MessagesProduced, &labels("a", 8), 1, 3_000 * SECOND);
    registry.add(Id::MessagesProduced, &labels("b", 0), 5, 3_600 * SECOND);
    let mut series = only(&registry, Id::MessagesProduced);
    series.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        series,
        [
            (Box::from(labels("a", 8)), Value::Counter(2)),
            (Box::from(labels("b", 0)), Value::Counter(5))
        ]
    );
    assert_eq!(registry.dropped(), [("kafka_messages_produced_total", 1)]);
}

#[test]
fn an_age_is_made_when_it_is_shown_and_a_removed_series_gives_its_room_back() {
    let registry = Registry::new(10, SECOND);
    let gauge = |group: &'static str, n: i32| {
        let text = Label::Word;
        [text("c"), text(group), text("t"), Label::from(n)]
    };
    registry.set_since(
        Id::ConsumerLagSeconds,
        &gauge("g", 0),
        Since::Wall(5_000),
        0,
    );
    registry.set_since(
        Id::ConsumerLagObservedAge,
        &gauge("g", 0),
        Since::Event(SECOND),
        0,
    );
    let shown = |now: Clocks| -> Vec<(Id, Value)> {
        let all = registry.snapshot(now).into_iter();
        all.flat_map(|s| {
            let id = s.metric.id;
            s.series.into_iter().map(move |(_, value)| (id, value))
        })
        .collect()
    };
    let clocks = |event, wall| Clocks { event, wall };
    assert_eq!(
        shown(clocks(3 * SECOND, Some(7_500))),
        [
            (Id::ConsumerLagSeconds, Value::Gauge(2.5)),
            (Id::ConsumerLagObservedAge, Value::Gauge(2.0))
        ]
    );
    // A producer's clock that is ahead, and a wall clock that is not known.
    assert_eq!(
        shown(clocks(0, Some(4_000))),
        [
            (Id::ConsumerLagSeconds, Value::Gauge(0.0)),
            (Id::ConsumerLagObservedAge, Value::Gauge(0.0))
        ]
    );
    assert_eq!(
        shown(clocks(0, None)),
        [(Id::ConsumerLagObservedAge, Value::Gauge(0.0))]
    );
    registry.remove(Id::ConsumerLagSeconds, &gauge("g", 0));
    registry.remove(Id::ConsumerLagSeconds, &gauge("g", 0));
    for partition in 0..8 {
        assert!(registry.set(Id::ConsumerLag, &gauge("g", partition), 1.0, 0));
    }
    assert!(!registry.set(Id::ConsumerLag, &gauge("g", 7), 1.0, 0));
    assert_eq!(registry.dropped(), []);
    registry.remove_where(Id::ConsumerLag, |labels| {
        labels.get(1) == Some(&Label::Word("g"))
    });
    assert_eq!(only(&registry, Id::ConsumerLag), []);
    assert!(registry.set(Id::ConsumerLag, &gauge("h", 0), 1.0, 0));
}

#[test]
fn seconds_are_added_with_their_fractions() {
    let registry = Registry::new(10, SECOND);
    let labels = [Label::Word("c"), Label::Word("s"), Label::Word("Fetch")];
    registry.add_seconds(Id::Throttle, &labels, 0.0, 0);
    assert_eq!(only(&registry, Id::Throttle), []);
    registry.add_seconds(Id::Throttle, &labels, 0.25, 0);
    registry.add_seconds(Id::Throttle, &labels, 0.5, 0);
    assert_eq!(
        only(&registry, Id::Throttle),
        [(Box::from(labels), Value::CounterF64(0.75))]
    );
}

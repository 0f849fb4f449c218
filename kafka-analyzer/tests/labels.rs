//! Labels that are learnt late, never, or from elsewhere on the node.

mod conversation;

use conversation::messages::{
    Answered, Named, fetch_request, fetch_response, metadata_request, metadata_response,
    produce_request, produce_response,
};
use conversation::*;
use kafka_analyzer::capture::Nanos;
use kafka_analyzer::{LearntNames, Merge, Model, Settings, StreamStage};
use kafka_protocol::records::Compression;

const SECOND: Nanos = 1_000_000_000;

/// A producer that speaks by topic id and never asks for Metadata on this connection.
fn producer(connection: u64) -> Talk {
    let mut talk = Talk::new(connection);
    talk.exchange(
        18,
        3,
        1,
        &conversation::messages::api_versions_request(),
        &conversation::messages::api_versions_response(),
    );
    let two = batch(&records(0, 2), Compression::None);
    let orders = Named::Id(7);
    talk.exchange(
        0,
        13,
        2,
        &produce_request(1, &[(orders, &[(0, two)])]),
        &produce_response(&[(orders, &[(0, 0, 5)])]),
    );
    talk
}

/// Somebody asks for Metadata at `time`.
fn metadata(connection: u64, time: Nanos) -> Talk {
    let mut talk = Talk::new(connection);
    talk.clock = time;
    talk.exchange(
        3,
        12,
        1,
        &metadata_request(),
        &metadata_response(&[("orders", 7)]),
    );
    talk
}

fn topics_and_clusters(events: &[Captured]) -> Vec<(String, String)> {
    let observations = run(events);
    let exchanges = exchanges(&observations);
    let with_topics = exchanges
        .iter()
        .filter(|exchange| !exchange.produced.is_empty());
    with_topics
        .map(|exchange| {
            (
                exchange.produced[0].topic.to_string(),
                exchange.cluster.to_string(),
            )
        })
        .collect()
}

#[test]
fn labels_wait_five_seconds_and_then_go_for_good() {
    let known = [("orders".to_owned(), CLUSTER.to_owned())];
    let unknown = [("id:AAAAAAAAAAAAAAAAAAAABw".to_owned(), "unknown".to_owned())];
    for (time, expected) in [
        (SECOND, &known),
        (4 * SECOND, &known),
        (6 * SECOND, &unknown),
    ] {
        let mut events = producer(1).events;
        events.extend(metadata(2, time).events);
        assert_eq!(topics_and_clusters(&events), expected, "Metadata at {time}");
    }
    assert_eq!(topics_and_clusters(&producer(1).events), unknown, "never");
}

#[test]
fn names_survive_a_restart() {
    let mut events = producer(1).events;
    events.extend(metadata(2, SECOND).events);
    let settings = Settings::default();
    let run = |names: &LearntNames, events: &[Captured]| -> (LearntNames, usize, String) {
        let (mut stage, mut merge, mut model) = (
            StreamStage::new(&settings),
            Merge::new(1),
            Model::new(&settings),
        );
        model.restore_names(names);
        let (mut facts, mut verdicts, mut ready, mut observations) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for event in events {
            stage.event(&event.event(), &mut facts, &mut verdicts);
            merge.push(0, &mut facts, stage.clock());
        }
        merge.finish(&mut ready);
        for fact in ready {
            model.fact(fact, &mut observations);
        }
        let unresolved = model.unresolved_topics();
        model.finish(&mut observations);
        let topics = produced(&observations)
            .iter()
            .map(|partition| partition.0.clone())
            .collect();
        (model.learnt_names(), unresolved, topics)
    };
    let (names, unresolved, topic) = run(&LearntNames::default(), &events);
    assert_eq!((unresolved, topic.as_str()), (0, "orders"));
    assert_eq!(
        names.topics,
        [("AAAAAAAAAAAAAAAAAAAABw".to_owned(), "orders".to_owned())]
    );
    assert!(
        names
            .clusters
            .contains(&(BROKER.parse().unwrap(), CLUSTER.to_owned()))
    );
    let (_, unresolved, topic) = run(&LearntNames::default(), &producer(1).events);
    assert_eq!(
        (unresolved, topic.as_str()),
        (1, "id:AAAAAAAAAAAAAAAAAAAABw")
    );
    let (_, unresolved, topic) = run(&names, &producer(1).events);
    assert_eq!((unresolved, topic.as_str()), (0, "orders"));
}

#[test]
fn a_second_broker_is_known_from_the_first() {
    let mut events = metadata(1, 2000).events;
    let mut talk = Talk::silent(2);
    talk.clock = SECOND;
    talk.client_id = Some("someone-else");
    talk.events.push(Captured::Opened {
        connection: 2,
        time: SECOND,
        peer: "10.0.0.10:9093",
    });
    let empty = [Answered::default()];
    let orders = Named::Name("orders");
    talk.exchange(
        1,
        12,
        1,
        &fetch_request((0, -1), 0, &[(orders, &[(0, 0)])]),
        &fetch_response(0, &[(orders, &empty)]),
    );
    events.extend(talk.events);
    let observations = run(&events);
    let last = exchanges(&observations)
        .last()
        .map(|exchange| (exchange.api.to_string(), exchange.cluster.to_string()));
    assert_eq!(last, Some(("Fetch".to_owned(), CLUSTER.to_owned())));
}

#[test]
fn what_was_given_up_is_not_waited_for_again() {
    let mut talk = producer(1);
    let two = batch(&records(0, 2), Compression::None);
    let orders = Named::Id(7);
    let produce = |talk: &mut Talk, id: i32| {
        talk.exchange(
            0,
            13,
            id,
            &produce_request(1, &[(orders, &[(0, two.clone())])]),
            &produce_response(&[(orders, &[(0, 0, 5)])]),
        );
    };
    // The first wait ends at 5 s: this one goes at once, also to the label of its time, though the name comes a second later.
    talk.clock = 6 * SECOND;
    produce(&mut talk, 3);
    let mut events = talk.events.clone();
    events.extend(metadata(2, 7 * SECOND).events);
    talk.events.clear();
    talk.clock = 8 * SECOND;
    produce(&mut talk, 4);
    events.extend(talk.events);
    let unknown = ("id:AAAAAAAAAAAAAAAAAAAABw".to_owned(), "unknown".to_owned());
    let known = ("orders".to_owned(), CLUSTER.to_owned());
    assert_eq!(
        topics_and_clusters(&events),
        [unknown.clone(), unknown, known]
    );
}

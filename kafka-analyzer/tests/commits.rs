//! Clients whose library shows no calls: how long their work took at the most, by their fetches and commits.

mod conversation;

use conversation::calls::*;
use conversation::messages::{Answered, Named, fetch_request, fetch_response, text};
use conversation::transactions::Producing;
use conversation::*;
use kafka_analyzer::capture::Means;
use kafka_analyzer::observation::{Done, Observation, ProcessingBasis, SpanKind};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};
use kafka_protocol::records::Compression::None as Plain;

use Done::Committed;
use ProcessingBasis::Commit;

/// A member of group `billing` that reads partition 0 of `orders`.
struct Member {
    talk: Talk,
    id: i32,
}

impl Member {
    fn new() -> Member {
        let mut talk = Talk::new(1);
        talk.greet();
        joins(&mut talk);
        Member { talk, id: 20 }
    }

    /// `n` records from `first` on come at `time` or a moment later: when they are there.
    fn fetches(&mut self, first: i64, n: i64, time: u64) -> u64 {
        (self.talk.clock, self.id) = (time, self.id + 1);
        let orders = Named::Name("orders");
        let answered = Answered {
            high_watermark: 1000,
            records: (n > 0).then(|| batch(&records(first, n), Plain)),
            ..Answered::default()
        };
        self.talk.exchange(
            1,
            12,
            self.id,
            &fetch_request((0, -1), 0, &[(orders, &[(0, first)])]),
            &fetch_response(0, &[(orders, &[answered])]),
        );
        time + 1010
    }

    /// Asks what is committed, as one does that is given partitions.
    fn asks_for(&mut self, committed: i64, time: u64) {
        (self.talk.clock, self.id) = (time, self.id + 1);
        let mut topic = OffsetFetchRequestTopic::default();
        (topic.name, topic.partition_indexes) = (TopicName(text("orders")), vec![0]);
        let mut request = OffsetFetchRequest::default();
        (request.group_id, request.topics) = (GroupId(text("billing")), Some(vec![topic]));
        let mut partition = OffsetFetchResponsePartition::default();
        partition.committed_offset = committed;
        let mut topic = OffsetFetchResponseTopic::default();
        (topic.name, topic.partitions) = (TopicName(text("orders")), vec![partition]);
        let mut answer = OffsetFetchResponse::default();
        answer.topics = vec![topic];
        self.talk.exchange(9, 7, self.id, &request, &answer);
    }
}

/// All that is said of it, with commits and calls.
fn said(member: Member, others: Vec<Captured>) -> Vec<Observation> {
    let mut events = member.talk.events;
    events.extend(others);
    events.sort_by_key(time_of);
    let (said, losses) = told(&events);
    assert_eq!(losses, [], "nothing is lost");
    said
}

fn found(first: i64, last: i64, began: u64, ended: u64) -> Worked {
    let count = (last - first + 1) as u32;
    (first, last, count, Commit, Committed, began, ended)
}

#[test]
fn a_commit_tells_of_each_answer_that_it_is_the_first_to_cover() {
    let mut member = Member::new();
    let one = member.fetches(100, 10, SECOND);
    let two = member.fetches(110, 5, 2 * SECOND);
    let mut commits = commits_over(2, 104, 3 * SECOND);
    commits.extend(answered_commit(3, 112, 4 * SECOND, 25));
    commits.extend(commits_over(4, 112, 5 * SECOND));
    commits.extend(commits_over(5, 112, 6 * SECOND));
    commits.extend(commits_over(6, 90, 7 * SECOND));
    let said = said(member, commits);
    let expected = [
        found(100, 103, one, 3 * SECOND),
        found(104, 109, one, 5 * SECOND),
        found(110, 111, two, 5 * SECOND),
    ];
    assert_eq!(worked(&said), expected, "a refused commit is none");
    let all = said.iter().filter_map(|observation| match observation {
        Observation::Processing(work) => Some(work),
        _ => None,
    });
    for work in all {
        assert_eq!((&*work.group, &*work.client_id), ("billing", "app"));
        assert_eq!((&*work.topic, work.partition), ("orders", 0));
        assert_eq!((&*work.cluster, work.task), (CLUSTER, None));
    }
    assert!(delivered(&said).is_empty() && errors(&said).is_empty());
}

#[test]
fn what_is_not_committed_is_not_told() {
    let mut member = Member::new();
    member.fetches(100, 10, SECOND);
    let mut others = commits_over(2, 100, 2 * SECOND);
    let (pid, time) = (PID, 3 * SECOND);
    others.push(Captured::Exited { pid, time });
    assert_eq!(worked(&said(member, others)), []);
}

#[test]
fn where_calls_are_seen_only_they_tell() {
    for first_call in [1500 * MILLISECOND, 9 * SECOND] {
        let mut member = Member::new();
        member.fetches(100, 10, SECOND);
        let mut others = commits_over(2, 105, 2 * SECOND);
        let mut calls = Calls {
            clock: first_call,
            ..Calls::default()
        };
        let began = calls.polls(105, 105);
        let ended = calls.says(Means::SettlesAll);
        others.extend(calls.events);
        others.extend(commits_over(3, 110, 12 * SECOND));
        let said = said(member, others);
        let [(105, 105, 1, ProcessingBasis::Message, _, from, to)] = worked(&said)[..] else {
            panic!("{:?}", worked(&said));
        };
        assert_eq!((from, to), (began, ended));
    }
}

#[test]
fn a_partition_that_went_to_another_member_and_back_begins_anew() {
    let mut member = Member::new();
    member.fetches(100, 10, SECOND);
    // Someone else worked on 105 to 109.
    member.asks_for(110, 20 * SECOND);
    let later = member.fetches(110, 10, 21 * SECOND);
    let again = member.fetches(115, 10, 22 * SECOND);
    let said = said(member, commits_over(2, 125, 23 * SECOND));
    let expected = [
        found(110, 114, later, 23 * SECOND),
        found(115, 124, again, 23 * SECOND),
    ];
    assert_eq!(worked(&said), expected);
}

#[test]
fn offsets_in_a_transaction_hold_when_it_is_committed() {
    for committed in [true, false] {
        let mut member = Member::new();
        let began = member.fetches(100, 10, SECOND);
        let mut app = Producing::new(2, "tx", true);
        app.init(60_000, (7, 0));
        app.talk.clock = 2 * SECOND;
        app.produce("out", 0, &app.records(0, 3), 0);
        app.commit("billing", "orders", &[(0, 110)], 0);
        app.talk.clock = 3 * SECOND;
        app.end(committed, 0);
        let expected = committed.then(|| found(100, 109, began, 3 * SECOND));
        let said = said(member, app.talk.events);
        assert_eq!(worked(&said), Vec::from_iter(expected));
    }
}

#[test]
fn spans_say_no_task_and_link_to_their_messages() {
    let mut member = Member::new();
    let one = member.fetches(100, 1, SECOND);
    let batch = member.fetches(101, 4, 2 * SECOND);
    let said = said(member, commits_over(2, 105, 3 * SECOND));
    let polls = spans(&said, SpanKind::Poll);
    let creations: Vec<_> = polls.iter().flat_map(|poll| &poll.links).collect();
    let [alone, several] = spans(&said, SpanKind::Process)[..] else {
        panic!("one for each answer");
    };
    assert_eq!((alone.began, alone.ended), (one, 3 * SECOND));
    assert_eq!(alone.parent, Some(creations[0].span_id));
    assert_eq!((alone.task, alone.offset), (None, Some(100)));
    assert_eq!(alone.links.iter().collect::<Vec<_>>(), creations[..1]);
    assert_eq!((several.began, several.message_count), (batch, Some(4)));
    assert_eq!((several.parent, several.task), (None, None));
    assert_eq!(several.links.iter().collect::<Vec<_>>(), creations[1..]);
    let ids = said.iter().filter_map(|observation| match observation {
        Observation::Processing(work) => work.span,
        _ => None,
    });
    let expected = [alone, several].map(|span| (span.trace_id, span.span_id));
    assert_eq!(ids.collect::<Vec<_>>(), expected, "exemplars");
}

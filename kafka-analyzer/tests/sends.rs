//! Who produced a record, by value: `send T` under the request or the message for which it was called, and what consumers do with the record in the
//! same trace. Whatever is lost, no span has a wrong parent.

mod conversation;

use conversation::calls::*;
use conversation::messages::{Answered, Named, fetch_request, fetch_response};
use conversation::messages::{metadata_request, metadata_response};
use conversation::messages::{produce_request, produce_response};
use conversation::*;
use kafka_analyzer::Settings;
use kafka_analyzer::capture::{Means, Nanos, Task};
use kafka_analyzer::observation::{Observation, Request, Span, SpanKind};
use kafka_protocol::records::{Compression, Record};
use proptest::prelude::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const AUDIT: Named = Named::Name("audit");

/// A web shop in process 100: each goroutine serves one connection and produces to `audit`.
struct Shop {
    clock: Nanos,
    events: Vec<Captured>,
    broker: Talk,
    id: i32,
}

impl Shop {
    fn new() -> Shop {
        let mut broker = Talk::new(4);
        broker.greet();
        Shop {
            clock: SECOND,
            events: Vec::new(),
            broker,
            id: 10,
        }
    }

    /// The head of a request comes in.
    fn asked(&mut self, goroutine: u64) -> Talk {
        let mut web = Talk::new(50 + goroutine);
        (web.goroutine, web.clock) = (Some(goroutine), self.clock);
        web.read(b"POST /orders HTTP/1.1\r\nHost: shop\r\n\r\n".to_vec());
        self.clock = web.clock;
        web
    }

    /// The same, on a thread.
    fn asked_of_thread(&mut self, connection: u64) -> Talk {
        let mut web = Talk::new(connection);
        web.clock = self.clock;
        web.read(b"POST /orders HTTP/1.1\r\nHost: shop\r\n\r\n".to_vec());
        self.clock = web.clock;
        web
    }

    fn answers(&mut self, mut web: Talk) {
        web.clock = self.clock;
        web.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec());
        self.clock = web.clock;
        self.events.extend(web.events);
    }

    /// A goroutine hands a message over, at an address.
    fn calls(&mut self, goroutine: u64, record: &Record, address: u64) {
        self.hands(Task::Goroutine(goroutine), record, address);
    }

    fn hands(&mut self, task: Task, record: &Record, address: u64) {
        let mut calls = Calls {
            clock: self.clock,
            task,
            ..Calls::default()
        };
        let mut call = calls.call(Means::Produces);
        (call.topic, call.message, call.count) = ("audit".into(), address, 1);
        call.named = matches!(task, Task::Thread(_));
        call.key_len = record.key.as_ref().map(|key| key.len() as u32);
        call.value_len = record.value.as_ref().map(|value| value.len() as u32);
        self.events.push(Captured::Call(call));
        self.clock = calls.clock;
    }

    fn acknowledged(&mut self, address: u64, offset: i64) {
        self.acknowledged_by(Task::Goroutine(7), (0, offset), address);
    }

    fn acknowledged_by(&mut self, task: Task, (partition, offset): (i32, i64), address: u64) {
        let mut calls = Calls {
            clock: self.clock,
            topic: "audit",
            partition,
            task,
            ..Calls::default()
        };
        calls.at(Means::Acknowledged, offset, address);
        if let Some(Captured::Call(call)) = calls.events.last_mut() {
            call.named = matches!(task, Task::Thread(_));
        }
        self.clock = calls.clock;
        self.events.extend(calls.events);
    }

    /// What was told last is of a message that this producer numbered, as a binding does; its reports have no topic.
    fn numbered_by(&mut self, producer: u64) {
        if let Some(Captured::Call(call)) = self.events.last_mut() {
            (call.client, call.named) = (producer, true);
            if call.means == Means::Acknowledged {
                call.topic = "".into();
            }
        }
    }

    /// Records of one batch are written and acknowledged.
    fn produces(&mut self, partition: i32, records: &[Record], base: i64) {
        self.broker.clock = self.clock;
        let records = batch(records, Compression::None);
        let request = produce_request(-1, &[(AUDIT, &[(partition, records)])]);
        let answer = produce_response(&[(AUDIT, &[(partition, 0, base)])]);
        self.id += 1;
        self.broker.exchange(0, 9, self.id, &request, &answer);
        self.clock = self.broker.clock;
    }

    fn events(self) -> Vec<Captured> {
        let mut events = self.events;
        events.extend(self.broker.events);
        events.sort_by_key(time_of);
        events
    }
}

/// The only one that moves bytes.
const THREAD: Task = Task::Thread(101);

fn order(key: &str) -> Record {
    record(0, key, "value")
}

fn requests(said: &[Observation]) -> Vec<&Request> {
    let requests = said.iter().filter_map(|observation| match observation {
        Observation::Request(request) => Some(request),
        _ => None,
    });
    requests.collect()
}

/// The request of a goroutine.
fn of(said: &[Observation], goroutine: u64) -> &Request {
    let task = Some(Task::Goroutine(goroutine));
    let mut requests = requests(said).into_iter();
    requests.find(|request| request.task == task).unwrap()
}

fn is_child(span: &Span, request: &Request) -> bool {
    (span.trace_id, span.parent) == (request.ids.trace_id, Some(request.ids.span_id))
}

fn sends(said: &[Observation]) -> Vec<&Span> {
    let mut sends = spans(said, SpanKind::Send);
    sends.sort_by_key(|span| span.offset);
    sends
}

#[test]
fn a_record_is_sent_for_the_request_whose_goroutine_called() {
    let mut shop = Shop::new();
    for (goroutine, base) in [(9, 100), (10, 101)] {
        let web = shop.asked(goroutine);
        shop.calls(goroutine, &order("k"), 0);
        shop.produces(0, &[order("k")], base);
        shop.answers(web);
    }
    let (said, losses) = told(&shop.events());
    assert_eq!(losses, []);
    let [first, second] = sends(&said)[..] else {
        panic!("two");
    };
    assert!(is_child(first, of(&said, 9)) && is_child(second, of(&said, 10)));
    // Another node knows the record by its address: that span exists, and both name each other.
    let creates = spans(&said, SpanKind::Create);
    assert_eq!(creates.len(), 2);
    let create = creates.iter().find(|create| create.offset == Some(100));
    let create = create.unwrap();
    let link = &first.links[..];
    assert_eq!(link.len(), 1);
    assert_eq!(
        (link[0].trace_id, link[0].span_id),
        (create.trace_id, create.span_id)
    );
    assert_eq!(
        (create.links[0].trace_id, create.links[0].span_id),
        (first.trace_id, first.span_id)
    );
    assert_eq!(create.parent, None);
    assert_eq!(create.span_id, first.span_id, "derived from the address");
    assert_ne!(create.trace_id, first.trace_id);
}

#[test]
fn acknowledgements_name_the_call() {
    let mut shop = Shop::new();
    let webs = [9, 10].map(|goroutine| shop.asked(goroutine));
    // Two of equal size at once, to two partitions, acknowledged in the other order.
    shop.calls(9, &order("a"), 0xa0);
    shop.calls(10, &order("b"), 0xb0);
    shop.produces(1, &[order("b")], 7);
    shop.produces(0, &[order("a")], 100);
    shop.acknowledged(0xa0, 100);
    let mut calls = Calls {
        clock: shop.clock,
        topic: "audit",
        partition: 1,
        ..Calls::default()
    };
    calls.at(Means::Acknowledged, 7, 0xb0);
    shop.events.extend(calls.events);
    shop.clock = calls.clock;
    for web in webs {
        shop.answers(web);
    }
    // From now on it is known to acknowledge: the same at once, told before the exchange and after it.
    let webs = [11, 12].map(|goroutine| shop.asked(goroutine));
    shop.calls(11, &order("c"), 0xa0);
    shop.calls(12, &order("d"), 0xb0);
    shop.produces(0, &[order("d"), record(1, "c", "value")], 200);
    shop.acknowledged(0xb0, 200);
    shop.acknowledged(0xa0, 201);
    for web in webs {
        shop.answers(web);
    }
    let (said, _) = told(&shop.events());
    let sent = sends(&said);
    let offsets: Vec<_> = sent.iter().map(|span| span.offset).collect();
    assert_eq!(offsets, [Some(7), Some(100), Some(200), Some(201)]);
    assert_eq!(
        [sent[0].parent, sent[1].parent],
        [None, None],
        "the library was not known to acknowledge, and either could be of either"
    );
    assert!(is_child(sent[2], of(&said, 12)));
    assert!(is_child(sent[3], of(&said, 11)));
}

#[test]
fn what_fits_two_calls_has_no_parent() {
    let mut shop = Shop::new();
    let webs = [9, 10].map(|goroutine| shop.asked(goroutine));
    shop.calls(9, &order("a"), 0);
    shop.calls(10, &order("b"), 0);
    shop.produces(0, &[order("b")], 5);
    shop.produces(1, &[order("a")], 6);
    for web in webs {
        shop.answers(web);
    }
    // Sizes tell these apart.
    let webs = [11, 12].map(|goroutine| shop.asked(goroutine));
    shop.calls(11, &order("aa"), 0);
    shop.calls(12, &order("b"), 0);
    shop.produces(0, &[order("b")], 7);
    shop.produces(1, &[order("aa")], 8);
    for web in webs {
        shop.answers(web);
    }
    let (said, _) = told(&shop.events());
    let sent = sends(&said);
    assert_eq!((sent[0].parent, sent[1].parent), (None, None));
    assert!(is_child(sent[2], of(&said, 12)));
    assert!(is_child(sent[3], of(&said, 11)));
}

#[test]
fn a_record_without_a_call_undoes_what_was_matched_before_it() {
    let mut shop = Shop::new();
    let webs = [9, 10].map(|goroutine| shop.asked(goroutine));
    // The call of the first was not seen.
    shop.calls(10, &order("b"), 0);
    shop.produces(0, &[order("a")], 5);
    shop.produces(0, &[order("b")], 6);
    for web in webs {
        shop.answers(web);
    }
    let (said, losses) = told(&shop.events());
    assert!(sends(&said).iter().all(|span| span.parent.is_none()));
    assert_eq!(losses, [("produce_unmatched", 1)]);
}

#[test]
fn the_end_of_a_process_confirms_what_was_matched_if_all_calls_were_met() {
    for (unmet, known) in [(false, true), (true, false)] {
        let mut shop = Shop::new();
        let web = shop.asked(9);
        shop.calls(9, &order("a"), 0);
        if unmet {
            shop.calls(9, &order("other"), 0);
        }
        shop.produces(0, &[order("a")], 5);
        shop.answers(web);
        let time = shop.clock + 1000;
        let mut events = shop.events();
        events.push(Captured::Exited { pid: 100, time });
        let (said, _) = told(&events);
        let [sent] = sends(&said)[..] else {
            panic!("one");
        };
        assert_eq!(sent.parent.is_some(), known);
        assert_eq!(is_child(sent, of(&said, 9)), known);
    }
}

/// Three calls at 0xa0, 0xb0, 0xc0 by goroutines 9, 10, 11 of a process that is known to acknowledge; two of them are records now.
fn acknowledging() -> (Shop, Vec<Talk>) {
    let mut shop = Shop::new();
    let web = shop.asked(8);
    shop.calls(8, &order("k"), 0xff);
    shop.produces(1, &[order("k")], 0);
    shop.acknowledged(0xff, 0);
    shop.answers(web);
    let webs = [9, 10, 11].map(|goroutine| shop.asked(goroutine));
    for (goroutine, address) in [(9, 0xa0), (10, 0xb0), (11, 0xc0)] {
        shop.calls(goroutine, &order("k"), address);
    }
    shop.produces(0, &[order("k"), record(1, "k", "value")], 5);
    (shop, webs.into())
}

#[test]
fn neighbours_are_acknowledged_each_by_its_address() {
    let (mut shop, webs) = acknowledging();
    shop.acknowledged(0xb0, 5);
    shop.acknowledged(0xa0, 6);
    shop.produces(0, &[order("k")], 7);
    shop.acknowledged(0xc0, 7);
    for web in webs {
        shop.answers(web);
    }
    let (said, losses) = told(&shop.events());
    let sent = sends(&said);
    assert_eq!(sent.len(), 4);
    for (at, goroutine) in [(1, 10), (2, 9), (3, 11)] {
        assert!(is_child(sent[at], of(&said, goroutine)), "{at}");
    }
    assert_eq!(losses, []);
}

/// By what librdkafka knows a message its application chooses: requests of one thread, one after the other, whose messages overtake each other.
#[test]
fn names_that_are_not_of_one_message_tell_nothing() {
    for (name, told_apart) in [(0xb0, true), (0xa0, false), (0, false)] {
        let mut shop = Shop::new();
        for n in 0..10_u64 {
            let web = shop.asked_of_thread(60 + n);
            shop.hands(THREAD, &order("k"), 0x100 + n);
            shop.produces(0, &[order("k")], n as i64);
            shop.acknowledged_by(THREAD, (0, n as i64), 0x100 + n);
            shop.answers(web);
        }
        for (n, name) in [(70, 0xa0), (71, name)] {
            let web = shop.asked_of_thread(n);
            shop.hands(THREAD, &order("k"), name);
            shop.answers(web);
        }
        shop.produces(1, &[order("k")], 50);
        shop.produces(0, &[order("k")], 60);
        shop.acknowledged_by(THREAD, (1, 50), name);
        shop.acknowledged_by(THREAD, (0, 60), 0xa0);
        let (said, _) = told(&shop.events());
        let (sent, of) = (sends(&said), requests(&said));
        assert_eq!((sent.len(), of.len()), (12, 12));
        assert!((0..10).all(|n| is_child(sent[n], of[n])));
        let right = [is_child(sent[10], of[11]), is_child(sent[11], of[10])];
        assert_eq!(right, [told_apart; 2]);
        let parents = [sent[10].parent, sent[11].parent];
        assert_eq!(parents.map(|parent| parent.is_some()), [told_apart; 2]);
    }
}

/// Each producer counts its own: at once, of one size, to two partitions, from the first message on.
#[test]
fn numbers_of_messages_are_of_their_producer() {
    const OTHER: Task = Task::Goroutine(8);
    for (second, told_apart) in [(0xbb, true), (0xaa, false)] {
        let mut shop = Shop::new();
        let webs = [9, 10].map(|goroutine| shop.asked(goroutine));
        for (goroutine, producer) in [(9, 0xaa), (10, second)] {
            shop.calls(goroutine, &order("k"), 1);
            shop.numbered_by(producer);
        }
        // One is told before the exchange, one after it.
        shop.acknowledged_by(OTHER, (0, 6), 1);
        shop.numbered_by(second);
        shop.produces(0, &[order("k"), record(1, "k", "value")], 5);
        shop.acknowledged_by(OTHER, (0, 5), 1);
        shop.numbered_by(0xaa);
        for web in webs {
            shop.answers(web);
        }
        let (said, _) = told(&shop.events());
        let sent = sends(&said);
        assert_eq!(sent.len(), 2);
        let right = [
            is_child(sent[0], of(&said, 9)),
            is_child(sent[1], of(&said, 10)),
        ];
        assert_eq!(right, [told_apart; 2]);
        let parents = [sent[0].parent, sent[1].parent];
        assert_eq!(parents.map(|parent| parent.is_some()), [told_apart; 2]);
    }
}

/// A message without a report of its own has no number.
#[test]
fn a_message_without_a_number_takes_all_to_their_order() {
    let mut shop = Shop::new();
    let webs = [9, 10].map(|goroutine| shop.asked(goroutine));
    for (goroutine, number) in [(9, 1), (10, 0)] {
        shop.calls(goroutine, &order("k"), number);
        shop.numbered_by(0xaa);
    }
    shop.produces(0, &[order("k"), record(1, "k", "value")], 5);
    shop.acknowledged_by(Task::Goroutine(8), (0, 6), 1);
    shop.numbered_by(0xaa);
    for web in webs {
        shop.answers(web);
    }
    let (said, _) = told(&shop.events());
    let parents: Vec<_> = sends(&said).iter().map(|span| span.parent).collect();
    assert_eq!(parents, [None, None]);
}

/// Who asks for its reports when it has a message more, later.
#[test]
fn what_was_not_told_in_time_is_of_the_only_call_that_fits() {
    let (mut shop, webs) = acknowledging();
    shop.acknowledged(0xb0, 5);
    shop.acknowledged(0xa0, 6);
    shop.produces(0, &[order("k")], 7);
    for web in webs {
        shop.answers(web);
    }
    shop.clock += 5_000 * MILLISECOND;
    shop.acknowledged(0xc0, 7);
    let (said, losses) = told(&shop.events());
    let sent = sends(&said);
    assert!(is_child(sent[3], of(&said, 11)));
    assert_eq!(losses, []);
}

#[test]
fn an_acknowledgement_that_was_cut_names_its_first_only() {
    for (count, truncated) in [(2, false), (1, true)] {
        let (mut shop, webs) = acknowledging();
        let mut calls = Calls {
            clock: shop.clock,
            topic: "audit",
            ..Calls::default()
        };
        calls.of(Means::Acknowledged, 5, 4 + count);
        if let Some(Captured::Call(call)) = calls.events.last_mut() {
            (call.message, call.truncated) = (0xa0, truncated);
        }
        shop.events.extend(calls.events);
        shop.clock = calls.clock;
        // A call that was not seen has the address of one of which nobody knows what became.
        shop.produces(0, &[order("k")], 7);
        shop.acknowledged(0xb0, 7);
        for web in webs {
            shop.answers(web);
        }
        let (said, _) = told(&shop.events());
        let sent = sends(&said);
        assert_eq!(sent.len(), 4);
        assert!(is_child(sent[1], of(&said, 9)));
        assert_eq!((sent[2].parent, sent[3].parent), (None, None));
    }
}

#[test]
fn tasks_that_call_at_once_may_overtake_each_other() {
    // A topic of one partition, whose records come in order.
    for (between, known) in [(1000, false), (50 * MILLISECOND, true)] {
        let mut shop = Shop::new();
        shop.broker.clock = shop.clock;
        let answer = metadata_response(&[("audit", 7)]);
        shop.broker.exchange(3, 12, 9, &metadata_request(), &answer);
        shop.clock = shop.broker.clock;
        let webs = [9, 10].map(|goroutine| shop.asked(goroutine));
        shop.calls(9, &order("a"), 0);
        shop.clock += between;
        shop.calls(10, &order("b"), 0);
        shop.produces(0, &[order("a"), record(1, "b", "value")], 5);
        for web in webs {
            shop.answers(web);
        }
        let (said, _) = told(&shop.events());
        let [first, second] = sends(&said)[..] else {
            panic!("two");
        };
        let right = is_child(first, of(&said, 9)) && is_child(second, of(&said, 10));
        assert_eq!(right, known);
        assert_eq!(first.parent.is_some(), known);
    }
}

#[test]
fn records_that_are_not_looked_at_take_their_calls() {
    let mut shop = Shop::new();
    for number in 0..40 {
        let goroutine = 9 + number as u64;
        let web = shop.asked(goroutine);
        shop.calls(goroutine, &order("k"), 0);
        shop.produces(0, &[order("k")], number);
        shop.answers(web);
    }
    let settings = Settings {
        spans_per_second: 8,
        ..Settings::default()
    };
    let said = run_with(&settings, &shop.events(), 1).0;
    let sent = sends(&said);
    assert!((1..40).contains(&sent.len()), "{}", sent.len());
    // What is looked at takes its request with it, whichever requests would be chosen by themselves.
    for send in &sent {
        assert!(is_child(send, of(&said, 9 + send.offset.unwrap() as u64)));
    }
}

#[test]
fn the_applications_own_context_wins() {
    let mut shop = Shop::new();
    let web = shop.asked(9);
    let own = with_header(order("a"), "traceparent", PARENT);
    shop.calls(9, &own, 0);
    shop.produces(0, &[own], 5);
    shop.answers(web);
    let (said, _) = told(&shop.events());
    let [span] = sends(&said)[..] else {
        panic!("one");
    };
    assert_eq!(
        span.parent,
        Some([0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31])
    );
    assert!(spans(&said, SpanKind::Create).is_empty());
}

/// Process 101 reads `audit` from offset 100 on and works on each message.
fn reader(time: Nanos, records: &[Record]) -> Vec<Captured> {
    let mut talk = Talk::new(104);
    talk.greet();
    let mut first = Calls {
        clock: MILLISECOND,
        ..Calls::default()
    };
    first.says(Means::TaskEnds);
    talk.clock = time;
    let answered = Answered {
        high_watermark: 200,
        records: Some(batch(records, Compression::None)),
        ..Answered::default()
    };
    let request = fetch_request((0, -1), 0, &[(AUDIT, &[(0, 100)])]);
    let answer = fetch_response(0, &[(AUDIT, &[answered])]);
    talk.exchange(1, 12, 9, &request, &answer);
    let mut calls = Calls {
        clock: talk.clock,
        topic: "audit",
        ..Calls::default()
    };
    for record in records {
        calls.polls(record.offset, record.offset);
        calls.of(Means::Settles, record.offset, record.offset);
    }
    let mut events = first.events;
    events.extend(calls.events);
    for event in &mut events {
        if let Captured::Call(call) = event {
            call.pid = 101;
        }
    }
    events.extend(talk.events);
    events
}

#[test]
fn consumers_of_this_node_join_the_callers_trace() {
    // The consumer has the record before the producer has its acknowledgement, or after it.
    for early in [true, false] {
        let mut shop = Shop::new();
        let web = shop.asked(9);
        shop.calls(9, &order("k"), 0);
        let before = shop.clock;
        shop.produces(0, &[order("k")], 100);
        let after = shop.clock;
        shop.answers(web);
        let mut events = shop.events();
        let read = record(100, "k", "value");
        events.extend(reader(if early { before - 5000 } else { after }, &[read]));
        events.sort_by_key(time_of);
        let (said, _) = told(&events);
        let request = of(&said, 9);
        let [send] = sends(&said)[..] else {
            panic!("one");
        };
        assert!(is_child(send, request));
        let [work] = spans(&said, SpanKind::Process)[..] else {
            panic!("one");
        };
        assert_eq!(
            (work.trace_id, work.parent),
            (request.ids.trace_id, Some(send.span_id))
        );
        assert_eq!(work.links[0].trace_id, send.trace_id);
        let shards = run_with(&Settings::default(), &events, 3).0;
        let [again] = spans(&shards, SpanKind::Process)[..] else {
            panic!("one");
        };
        assert_eq!(
            (again.trace_id, again.span_id),
            (work.trace_id, work.span_id)
        );
    }
}

#[test]
fn what_is_sent_for_a_message_is_its_child() {
    let mut calls = Calls::default();
    calls.polls(3, 3);
    let mut shop = Shop::new();
    shop.clock = calls.clock;
    shop.calls(7, &order("k"), 0);
    shop.produces(0, &[order("k")], 100);
    calls.clock = shop.clock;
    calls.of(Means::Settles, 3, 3);
    calls.says(Means::Asks);
    let mut events = with(calls);
    events.extend(shop.events());
    events.sort_by_key(time_of);
    let (said, losses) = told(&events);
    assert_eq!(losses, []);
    let [work] = spans(&said, SpanKind::Process)[..] else {
        panic!("one");
    };
    let [send] = sends(&said)[..] else {
        panic!("one");
    };
    assert_eq!(
        (send.trace_id, send.parent),
        (work.trace_id, Some(work.span_id))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Requests one after another, each with a message of a size of its own or of all alike; some calls, records and acknowledgements are lost.
    #[test]
    fn losses_give_no_wrong_parent(
        steps in prop::collection::vec((0..4_u8, any::<bool>(), any::<bool>(), any::<bool>()), 1..24),
        acknowledges in any::<bool>(),
        spans_per_second in prop_oneof![Just(4_u32), Just(1000)],
    ) {
        let mut shop = Shop::new();
        for (number, (size, call, wire, told)) in steps.iter().enumerate() {
            let goroutine = 100 + number as u64;
            let web = shop.asked(goroutine);
            let record = order(&"k".repeat(1 + usize::from(*size)));
            if *call {
                shop.calls(goroutine, &record, 0xa0 + number as u64 % 3);
            }
            let offset = number as i64;
            if *wire {
                shop.produces(0, &[record], offset);
            }
            if acknowledges && *told {
                shop.acknowledged(0xa0 + number as u64 % 3, offset);
            }
            shop.answers(web);
        }
        let settings = Settings { spans_per_second, ..Settings::default() };
        let said = run_with(&settings, &shop.events(), 1).0;
        for send in sends(&said) {
            let own = Some(Task::Goroutine(100 + send.offset.unwrap() as u64));
            let mut requests = requests(&said).into_iter();
            let own = requests.find(|request| request.task == own);
            let right = own.is_some_and(|own| is_child(send, own));
            prop_assert!(send.parent.is_none() || right, "{:?}", send.offset);
        }
    }
}

//! Calls of a client library in process 100, as hooks would tell them; and what the analyzer says of them.

use super::messages::{Answered, Named, fetch_request, fetch_response, text};
use super::{Captured, Talk, batch, records};
use kafka_analyzer::capture::{ClientCall, Means, Nanos, Task, Window};
use kafka_analyzer::observation::{
    Delivered, Done, Observation, PollInterval, ProcessingBasis, ProcessingError, Signal,
};
use kafka_analyzer::{Merge, Model, Settings, StreamStage};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::*;
use kafka_protocol::records::{Compression, Record};

pub const PID: u32 = 100;
pub const MILLISECOND: Nanos = 1_000_000;
pub const SECOND: Nanos = 1000 * MILLISECOND;

/// A program's calls; `clock` goes on by a microsecond with each.
#[derive(Clone, Debug)]
pub struct Calls {
    pub clock: Nanos,
    pub task: Task,
    pub client: u64,
    pub topic: &'static str,
    pub partition: i32,
    pub events: Vec<Captured>,
}

impl Default for Calls {
    fn default() -> Calls {
        Calls {
            clock: SECOND,
            task: Task::Goroutine(7),
            client: 0xc000,
            topic: "orders",
            partition: 0,
            events: Vec::new(),
        }
    }
}

impl Calls {
    pub fn call(&mut self, means: Means) -> ClientCall {
        self.clock += 1000;
        ClientCall {
            tid: 101,
            client: self.client,
            ..ClientCall::new(means, PID, self.task, self.clock)
        }
    }

    pub fn push(&mut self, call: ClientCall) {
        self.events.push(Captured::Call(call));
    }

    /// A call that names no message.
    pub fn says(&mut self, means: Means) -> Nanos {
        let call = self.call(means);
        self.push(call);
        self.clock
    }

    /// ... of messages in the partition.
    pub fn of(&mut self, means: Means, first: i64, last: i64) -> Nanos {
        let mut call = self.call(means);
        (call.topic, call.partition) = (self.topic.into(), self.partition);
        (call.first, call.last) = (first, last);
        call.count = (last - first + 1) as u32;
        self.push(call);
        self.clock
    }

    /// ... at an address.
    pub fn at(&mut self, means: Means, offset: i64, address: u64) -> Nanos {
        let time = self.of(means, offset, offset);
        if let Some(Captured::Call(call)) = self.events.last_mut() {
            call.message = address;
        }
        time
    }

    /// Asks and gets these: the time of the hand-over.
    pub fn polls(&mut self, first: i64, last: i64) -> Nanos {
        self.says(Means::Asks);
        self.of(Means::HandsOver, first, last)
    }

    /// Hooks that run for each message come or go.
    pub fn window(&mut self, window: Window) {
        self.clock += 1000;
        self.events.push(Captured::Window {
            pid: PID,
            time: self.clock,
            window,
        });
    }

    /// ... altogether.
    pub fn shuts(&mut self) {
        self.window(Window::Changing);
        self.window(Window::Shut);
    }

    pub fn opens(&mut self) {
        self.window(Window::Changing);
        self.window(Window::Open);
    }

    pub fn works(&mut self, nanos: Nanos) {
        self.clock += nanos;
    }

    /// As another task.
    pub fn by(&mut self, id: u64) -> &mut Calls {
        self.task = Task::Goroutine(id);
        self
    }
}

/// Group `billing` of client `app` reads `orders`, partitions 0 and 1, with offsets 0 to 99. Comes after a first call at 1 ms.
pub fn consumer() -> Vec<Captured> {
    consumer_of(&records(0, 100))
}

/// ... with these records.
pub fn consumer_of(records: &[Record]) -> Vec<Captured> {
    let mut first = Calls {
        clock: MILLISECOND,
        task: Task::Thread(1),
        ..Calls::default()
    };
    first.says(Means::TaskEnds);
    let mut talk = Talk::new(1);
    talk.greet();
    talk.clock = 2 * MILLISECOND;
    joins(&mut talk);
    let orders = Named::Name("orders");
    let answered = |index| Answered {
        index,
        high_watermark: 200,
        records: Some(batch(records, Compression::None)),
        ..Answered::default()
    };
    talk.exchange(
        1,
        12,
        9,
        &fetch_request((0, -1), 0, &[(orders, &[(0, 0), (1, 0)])]),
        &fetch_response(0, &[(orders, &[answered(0), answered(1)])]),
    );
    let mut events = talk.events;
    events.extend(first.events);
    events.sort_by_key(time_of);
    events
}

/// Member `m1` joins with 30 s between polls.
pub fn joins(talk: &mut Talk) {
    let mut request = JoinGroupRequest::default();
    request.group_id = GroupId(text("billing"));
    (request.session_timeout_ms, request.rebalance_timeout_ms) = (300_000, 30_000);
    request.protocol_type = text("consumer");
    let mut protocol = JoinGroupRequestProtocol::default();
    let mut subscription = vec![0, 0, 0, 0, 0, 1, 0, 6];
    subscription.extend(b"orders\xff\xff\xff\xff");
    (protocol.name, protocol.metadata) = (text("range"), subscription.clone().into());
    request.protocols = vec![protocol];
    let mut answer = JoinGroupResponse::default();
    answer.generation_id = 1;
    answer.protocol_name = Some(text("range"));
    (answer.leader, answer.member_id) = (text("m1"), text("m1"));
    let mut member = join_group_response::JoinGroupResponseMember::default();
    (member.member_id, member.metadata) = (text("m1"), subscription.into());
    answer.members = vec![member];
    talk.exchange(11, 5, 8, &request, &answer);
}

/// The process commits `offset` in partition 0 at `time`, over a connection of its own.
pub fn commits(offset: i64, time: Nanos) -> Vec<Captured> {
    commits_over(2, offset, time)
}

pub fn commits_over(connection: u64, offset: i64, time: Nanos) -> Vec<Captured> {
    answered_commit(connection, offset, time, 0)
}

/// ... and is answered with this error code.
pub fn answered_commit(connection: u64, offset: i64, time: Nanos, error: i16) -> Vec<Captured> {
    let mut talk = Talk::new(connection);
    talk.greet();
    talk.clock = time;
    let mut partition = OffsetCommitRequestPartition::default();
    (partition.partition_index, partition.committed_offset) = (0, offset);
    let mut topic = OffsetCommitRequestTopic::default();
    (topic.name, topic.partitions) = (TopicName(text("orders")), vec![partition]);
    let mut request = OffsetCommitRequest::default();
    request.group_id = GroupId(text("billing"));
    request.generation_id_or_member_epoch = 1;
    (request.member_id, request.topics) = (text("m1"), vec![topic]);
    let mut partition = OffsetCommitResponsePartition::default();
    partition.error_code = error;
    let mut topic = OffsetCommitResponseTopic::default();
    (topic.name, topic.partitions) = (TopicName(text("orders")), vec![partition]);
    let mut answer = OffsetCommitResponse::default();
    answer.topics = vec![topic];
    talk.exchange(8, 7, 4, &request, &answer);
    talk.events
}

/// When an event is told.
pub fn time_of(event: &Captured) -> Nanos {
    match event {
        Captured::Opened { time, .. }
        | Captured::Gap { time, .. }
        | Captured::Closed { time, .. }
        | Captured::Exited { time, .. }
        | Captured::Window { time, .. }
        | Captured::Tick { time } => *time,
        Captured::Data { ended, .. } => *ended,
        Captured::Call(call) => call.time,
    }
}

/// The consumer's conversation and a program's calls, in the order of their times.
pub fn with(calls: Calls) -> Vec<Captured> {
    let mut events = consumer();
    events.extend(calls.events);
    events.sort_by_key(time_of);
    events
}

/// All that is said, and what was lost.
pub fn told(events: &[Captured]) -> (Vec<Observation>, Vec<(&'static str, u64)>) {
    let settings = Settings::default();
    let (mut stage, mut merge, mut model) = (
        StreamStage::new(&settings),
        Merge::new(1),
        Model::new(&settings),
    );
    let (mut facts, mut verdicts, mut ready, mut said) = Default::default();
    let mut last = 0;
    let (said_mut, ready_mut): (&mut Vec<_>, &mut Vec<_>) = (&mut said, &mut ready);
    for event in events {
        last = last.max(time_of(event));
        stage.event(&event.event(), &mut facts, &mut verdicts);
        merge.push(0, &mut facts, stage.clock());
        merge.pop(ready_mut);
        for fact in ready_mut.drain(..) {
            model.fact(fact, said_mut);
        }
        model.advance(merge.watermark(), said_mut);
    }
    merge.finish(ready_mut);
    for fact in ready_mut.drain(..) {
        model.fact(fact, said_mut);
    }
    model.advance(last + 30 * SECOND, said_mut);
    let losses = model.losses().iter().collect();
    for (table, entries, most) in model.tables() {
        assert!(entries <= most, "{table}");
    }
    model.finish(said_mut);
    (said, losses)
}

/// Runs a program, of which nothing may be lost.
pub fn run_calls(calls: Calls) -> Vec<Observation> {
    let events = with(calls);
    let (said, losses) = told(&events);
    assert_eq!(losses, [], "nothing is lost");
    let shards = super::run_with(&Settings::default(), &events, 3).0;
    assert_eq!(worked(&shards), worked(&said), "shards say the same");
    said
}

/// (first offset, last offset, count, basis, end, began, ended), as they end.
pub type Worked = (i64, i64, u32, ProcessingBasis, Done, Nanos, Nanos);

pub fn worked(observations: &[Observation]) -> Vec<Worked> {
    let found = observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::Processing(x) => {
                Some((x.first, x.last, x.count, x.basis, x.done, x.began, x.ended))
            }
            _ => None,
        });
    found.collect()
}

pub fn wrong(observations: &[Observation]) -> Vec<(Signal, i64, u32)> {
    errors(observations)
        .iter()
        .map(|error| (error.signal, error.offset, error.count))
        .collect()
}

pub fn errors(observations: &[Observation]) -> Vec<&ProcessingError> {
    let found = observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::ProcessingError(error) => Some(error),
            _ => None,
        });
    found.collect()
}

pub fn delivered(observations: &[Observation]) -> Vec<&Delivered> {
    let found = observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::Delivered(delivered) => Some(delivered),
            _ => None,
        });
    found.collect()
}

pub fn intervals(observations: &[Observation]) -> Vec<&PollInterval> {
    let found = observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::PollInterval(interval) => Some(interval),
            _ => None,
        });
    found.collect()
}

//! Calls of client libraries, as hooks in the watched process saw them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Nanos, Pid};

/// What works on a message: a goroutine where there are some, else a thread.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    Thread(u32),
    /// `runtime.g.goid`: never used again within a process.
    Goroutine(u64),
}

/// What a call says. Sources: the libraries' documentation; see `tls_hooks::client` for the functions behind each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// The task asks for the next message: it is done with what it had. When the call returns, a `HandsOver` of the same task follows, also of an
    /// idle one; requests within requests are told by their order.
    Asks,
    /// Messages are given to the application; none: the poll was idle. Of a task that never asks: they are offered to others (a channel).
    HandsOver,
    /// The application is done with these messages (mark, store, commit by message).
    Settles,
    /// ... with all that it was given.
    SettlesAll,
    /// The message at [`ClientCall::message`] is given back to the library.
    Frees,
    /// The partition is read again from `first`.
    Seeks,
    /// The application hands a message to the producer; `partition` -1: not chosen yet.
    Produces,
    /// A call that began with `Produces` returns acknowledged or refused.
    Produced,
    /// The message at [`ClientCall::message`] was acknowledged as (`partition`, `first`); `first` -1: refused.
    Acknowledged,
    Closes,
    /// A handler that was given messages over a claim ended.
    ClaimEnds,
    Panics,
    TaskEnds,
    BeginsTransaction,
    EndsTransaction,
    /// Share groups: to be delivered again, or refused for good.
    Releases,
    Rejects,
    /// As `Asks`, with no `HandsOver` when there was nothing to hand over.
    AsksOnly,
    /// Messages reach the application by a function of its own, of address `client`, that is not followed.
    LosesSight,
    /// Such a function, which is followed, is called with a message. Who has it so asked for it.
    CallsBack,
    /// The task works on a claim from here on: it is offered messages of this partition.
    ClaimBegins,
    /// The handler of the task's claim gave back an error.
    Fails,
    /// The task begins to serve the stream `first` of the HTTP/2 connection that the server knows as `client`; without a message: to read it.
    Serves,
    /// Acknowledgements are told to a function of the application's own, of address `client`.
    ReportsTo,
}

impl Means {
    /// In the order of `obi_abi::client::means`, which begins with 1.
    pub const ALL: [Means; 24] = [
        Means::Asks,
        Means::HandsOver,
        Means::Settles,
        Means::SettlesAll,
        Means::Frees,
        Means::Seeks,
        Means::Produces,
        Means::Produced,
        Means::Acknowledged,
        Means::Closes,
        Means::ClaimEnds,
        Means::Panics,
        Means::TaskEnds,
        Means::BeginsTransaction,
        Means::EndsTransaction,
        Means::Releases,
        Means::Rejects,
        Means::AsksOnly,
        Means::LosesSight,
        Means::CallsBack,
        Means::ClaimBegins,
        Means::Fails,
        Means::Serves,
        Means::ReportsTo,
    ];

    /// Messages are given to the application.
    pub fn gives(self) -> bool {
        matches!(self, Means::HandsOver | Means::CallsBack)
    }
}

/// One run of messages of one call: neighbours in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCall {
    pub time: Nanos,
    pub pid: Pid,
    pub tid: u32,
    pub task: Task,
    /// The goroutine that started this one (`runtime.g.parentGoid`, Go 1.21).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
    pub means: Means,
    /// Address of the consumer or producer, or of what is named within it; 0 = not known. Addresses are used again.
    pub client: u64,
    /// Address of the (first) message, or what else the library knows it by; 0 = none.
    pub message: u64,
    /// `message` is no address but a name: of two clients the same may mean two messages.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub named: bool,
    /// "" = not known.
    pub topic: Arc<str>,
    pub partition: i32,
    /// Offsets of the first and the last message.
    pub first: i64,
    pub last: i64,
    pub count: u32,
    /// Of the first message; `None` = null or not read.
    pub key_len: Option<u32>,
    pub value_len: Option<u32>,
    /// The last run of its call.
    pub complete: bool,
    /// The call had more messages than were looked at.
    pub truncated: bool,
    /// Memory of the process could not be read: what is missing is not known.
    pub fault: bool,
}

impl ClientCall {
    /// One that names no message, of a client that is not known. `tid` is 0 for a goroutine.
    pub fn new(means: Means, pid: Pid, task: Task, time: Nanos) -> ClientCall {
        ClientCall {
            time,
            pid,
            tid: match task {
                Task::Thread(tid) => tid,
                Task::Goroutine(_) => 0,
            },
            task,
            parent: None,
            means,
            client: 0,
            message: 0,
            named: false,
            topic: "".into(),
            partition: -1,
            first: -1,
            last: -1,
            count: 0,
            key_len: None,
            value_len: None,
            complete: true,
            truncated: false,
            fault: false,
        }
    }

    /// Its messages could stand in a log where it says.
    pub(crate) fn is_place(&self) -> bool {
        self.partition >= 0
            && self.first >= 0
            && self.first <= self.last
            && i64::from(self.count) <= self.last.saturating_sub(self.first).saturating_add(1)
    }
}

//! Facts of a file to the plan of its hooks. Tables of libraries: one file and one table line each.
//!
//! In: a `symbolizer::Binary`. Out: a [`HookPlan`]: data only, nothing is attached here. A plan depends on the file
//! alone, so it may be kept by [`symbolizer::Identity`] and used for every process that maps the file.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)
)]

mod client;
mod facts;
mod registers;
mod tls;

pub use client::layouts;
pub use client::librdkafka::callback;

use obi_abi::{CallShape, ClientShape, role};
use symbolizer::Binary;
use symbolizer::code::Register;

use facts::Facts;

/// Everything that can be hooked in `binary`, and what should be there but cannot.
pub fn plan(binary: &Binary) -> HookPlan {
    let facts = Facts::read(binary);
    let mut plan = conversation(&facts);
    client::calls(&facts, &mut plan);
    plan
}

/// The same without calls of client libraries: their layouts are read from DWARF, which takes longer than a process takes to connect.
pub fn plan_without_calls(binary: &Binary) -> HookPlan {
    conversation(&Facts::read(binary))
}

/// What [`plan_without_calls`] left out.
pub fn add_calls(binary: &Binary, plan: &mut HookPlan) {
    client::calls(&Facts::read(binary), plan);
}

/// What shows the conversation: TLS, and where a client begins.
fn conversation(facts: &Facts<'_>) -> HookPlan {
    let mut plan = HookPlan {
        client: client::find(facts),
        ..HookPlan::default()
    };
    if plan.client.is_some() {
        plan.scope = Scope::File;
        plan.hooks.extend(client::begins(facts));
    }
    for library in tls::TABLE {
        library(facts, &mut plan);
    }
    if !plan.hooks.is_empty() {
        plan.goid = facts.goid();
    }
    plan
}

/// All that can be hooked in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookPlan {
    pub hooks: Vec<Hook>,
    /// What should have been there and is not; shown by `obi doctor`.
    pub refused: Vec<Refusal>,
    /// Calls of the client library; without them messages are seen on the wire only.
    pub calls: Vec<CallHook>,
    pub calls_refused: Vec<Refusal>,
    /// The client library may call functions of the application with its messages, and with what became of them.
    pub calls_back: Option<Box<CalledBack>>,
    /// TLS library found: name (`openssl`, `go_crypto_tls`) and version when known.
    pub tls: Option<(&'static str, String)>,
    /// Kafka client library found in the file: name and version when known.
    pub client: Option<(&'static str, String)>,
    pub scope: Scope,
    /// Go: where the id of a goroutine stands in its `g`, by which socket calls are told apart too.
    pub goid: Option<u16>,
}

impl HookPlan {
    /// The plan shows what a TLS library moves, not only that a client begins.
    pub fn shows_tls(&self) -> bool {
        self.hooks
            .iter()
            .any(|hook| hook.shape.role != role::CLIENT)
    }

    /// The hooks do no harm in a process of which nothing is known: no uretprobe, which some processes do not survive.
    pub fn is_safe_for_all(&self) -> bool {
        self.hooks
            .iter()
            .all(|hook| !matches!(hook.returns, Returns::Uretprobe { .. }))
    }
}

/// Who is hooked when a plan is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The file holds a Kafka client: all of its processes.
    File,
    /// A general-purpose file (libssl.so, node, python): process by process, or for all of them while Kafka clients use it, and then only
    /// processes that are followed are copied.
    #[default]
    Process,
}

/// One function to hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Name in the field's terms: `SSL_read`, `crypto/tls.(*Conn).Write`.
    pub name: &'static str,
    pub shape: CallShape,
    /// File offset of the entry probe: the cheapest instruction at which the arguments are still intact. `None`: what stands at the return is enough.
    pub entry: Option<u64>,
    pub returns: Returns,
}

/// A probe on a client library. A function may have several, and a site too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallHook {
    /// The function, in the field's terms: `rd_kafka_consumer_poll`.
    pub name: &'static str,
    pub shape: ClientShape,
    pub at: CallSite,
    /// It fires for each message.
    pub per_message: bool,
}

/// Functions of the application that a client library calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalledBack {
    /// With messages to be worked on.
    pub messages: Callback,
    /// With messages that were acknowledged or refused.
    pub reports: Callback,
}

/// How a call of an application's own function is read: at its entry, at its return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback {
    /// As the library calls it: `consume_cb`.
    pub name: &'static str,
    pub entry: ClientShape,
    /// Registers that must still hold what the entry is read from.
    pub arguments: &'static [Register],
    pub returns: Option<ClientShape>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallSite {
    /// File offset of the entry probe, or of what stands for it.
    Entry(u64),
    /// File offsets of instructions that end the call: of a Go function its RETs.
    Returns(Vec<u64>),
    /// As [`Returns::Uretprobe`].
    Uretprobe { function: u64, sites: Vec<u64> },
}

/// Where the return of a function is caught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returns {
    /// Nothing to do at the return (SSL_free, SSL_set_fd).
    None,
    /// C: a uretprobe at `function` (file offset of the true entry); `sites` are its RET instructions for targets where a uretprobe is not
    /// safe (empty when disassembly was not certain).
    Uretprobe { function: u64, sites: Vec<u64> },
    /// At one of these every call passes when it is done: RET instructions and deferred calls of a Go function, or jumps behind the calls that
    /// open a TLS record; in C the instructions behind a hooked `call`. Safe for every target.
    Sites(Vec<ReturnSite>),
}

/// Where a call is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnSite {
    /// File offset.
    pub at: u64,
    /// The result stands this many bytes above the stack pointer; 0 = in the result register. With [`obi_abi::count::RECORD`] handle, buffer and length stand there.
    pub stack: u16,
}

impl ReturnSite {
    pub fn in_register(at: u64) -> ReturnSite {
        ReturnSite { at, stack: 0 }
    }
}

/// A hook that is not possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub hook: &'static str,
    pub reason: String,
    /// The one step that would mend it, as an operator would do it; may be empty.
    pub mend: String,
}

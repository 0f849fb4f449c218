//! Facts of a file to the plan of its hooks. Tables of libraries: one file and one table line each.
//!
//! In: a `symbolizer::Binary`. Out: a [`HookPlan`]: data only, nothing is attached here.
#![forbid(unsafe_code)]

use obi_abi::CallShape;

/// All that can be hooked in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookPlan {
    pub hooks: Vec<Hook>,
    /// What should have been there and is not; shown by `obi doctor`.
    pub refused: Vec<Refusal>,
    /// TLS library found: name (`openssl`, `go_crypto_tls`) and version when known.
    pub tls: Option<(&'static str, String)>,
    /// Kafka client library found in the file: name and version when known.
    pub client: Option<(&'static str, String)>,
    pub scope: Scope,
}

/// Who is hooked when a plan is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The file holds a Kafka client: all of its processes.
    File,
    /// A general-purpose file (libssl.so, node, python): process by process.
    #[default]
    Process,
}

/// One function to hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Name in the field's terms: `SSL_read`, `crypto/tls.(*Conn).Write`.
    pub name: &'static str,
    pub shape: CallShape,
    /// File offset of the entry probe: the cheapest instruction at which the arguments are still intact.
    pub entry: u64,
    pub returns: Returns,
}

/// Where the return of a function is caught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returns {
    /// Nothing to do at the return (SSL_free, SSL_set_fd).
    None,
    /// C: a uretprobe at `function` (file offset of the true entry); `sites` are its RET instructions for targets where a uretprobe is not
    /// safe (empty when disassembly was not certain).
    Uretprobe { function: u64, sites: Vec<u64> },
    /// Go: file offsets of the RET instructions.
    Sites(Vec<u64>),
}

/// A hook that is not possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub hook: &'static str,
    pub reason: String,
    /// The one step that would mend it, as an operator would do it; may be empty.
    pub mend: String,
}

//! What hooks cost the processes they are in. In: hits and running time by process, as the kernel side counts them, and what a hit costs on this
//! machine; out: nanoseconds by process and group of hooks.
//!
//! cost = Σ hits × price of the site + time within the programs. Both are exact; the price is measured at the start (see [`prices`]).

mod ledger;
pub mod prices;

pub use ledger::{Ledger, Spent};

/// Groups of hooks, which can be detached apart from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Tls,
    /// Calls of a client library that come once a batch or more seldom.
    Batches,
    EachMessage,
}

impl Group {
    pub const ALL: [Group; 3] = [Group::Tls, Group::Batches, Group::EachMessage];

    pub fn name(self) -> &'static str {
        match self {
            Group::Tls => "tls",
            Group::Batches => "batches",
            Group::EachMessage => "each_message",
        }
    }

    /// As cookies say it.
    pub fn number(self) -> u8 {
        use obi_abi::cost::group;
        match self {
            Group::Tls => group::TLS,
            Group::Batches => group::BATCHES,
            Group::EachMessage => group::EACH_MESSAGE,
        }
    }
}

//! What hooks cost the processes they are in. In: hits and running time by process, as the kernel side counts them, and what a hit costs on this
//! machine; out: nanoseconds by process and group of hooks.
//!
//! [`bucket`] is the budget of one process, [`windows`] says by all of them when hooks that run for each message are attached, [`bodies`]
//! of whom record batches are read only part of the time.
//!
//! cost = Σ hits × price of the site + time within the programs. Both are exact; the price is measured at the start (see [`prices`]).

pub mod bill;
pub mod bodies;
pub mod bucket;
#[cfg(target_arch = "x86_64")]
pub mod calibrate;
mod ledger;
pub mod prices;
#[cfg(target_arch = "x86_64")]
mod samples;
pub mod windows;

pub use bill::Bill;
pub use ledger::{Ledger, Spent};

use crate::attach::Kernel;
use crate::attach::error::Error;

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

/// Accounts at the prices of this machine.
///
/// # Errors
/// The object has no table of costs.
pub fn open(kernel: &mut Kernel) -> Result<Ledger, Error> {
    let costs = kernel.costs()?;
    #[cfg(target_arch = "x86_64")]
    let prices = calibrate::prices(kernel, &costs);
    #[cfg(not(target_arch = "x86_64"))]
    let prices = prices::Prices::ASSUMED;
    Ok(Ledger::new(costs, prices))
}

/// A site in the agent's own file.
pub struct OwnSite {
    pub offset: u64,
    /// What each hook on it is charged as: `obi_abi::cost::CELL_SHIFT`.
    pub cells: Vec<u8>,
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;

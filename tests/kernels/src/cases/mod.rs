//! Every case, in the order in which it runs.

mod calls;
mod load;

use anyhow::Result;

pub use load::has_multi;

pub type Case = fn(&[u8]) -> Result<()>;

pub const ALL: &[(&str, Case)] = &[
    ("load: every program", load::every_program),
    ("load: no private stack", load::no_private_stack),
    ("calls: every size", calls::every_size),
    ("calls: count reported", calls::count_reported),
    ("calls: nested once", calls::nested_once),
    ("calls: two handles", calls::two_handles),
    ("calls: jump", calls::jump),
    ("calls: missed return", calls::missed_return),
    ("calls: goroutines", calls::go_calls),
    ("calls: over the limit", calls::over_the_limit),
    ("calls: largest", calls::largest_call),
];

//! Every case, in the order in which it runs.

mod calls;
mod clients;
mod costs;
mod frames;
mod handles;
mod load;
mod processes;
mod rings;
mod sockets;
mod windows;

use anyhow::Result;

pub use load::has_multi;
pub use processes::WAIT;
pub use windows::caller::{CALLS, call_all_the_time};

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
    ("calls: deferred", calls::go_deferred),
    ("calls: TLS records of Go", calls::go_record),
    ("calls: over the limit", calls::over_the_limit),
    ("calls: largest", calls::largest_call),
    ("clients: one message", clients::one),
    ("clients: arguments", clients::arguments),
    ("clients: array of pointers", clients::pointers),
    ("clients: acknowledged neighbours", clients::acknowledged),
    ("clients: events of reports", clients::reports),
    ("clients: numbered messages", clients::numbered),
    ("clients: array of messages", clients::structs),
    ("clients: lists, events", clients::lists),
    ("clients: nested arrays", clients::nested),
    ("clients: a message in parts", clients::parts),
    (
        "clients: topics and names from elsewhere",
        clients::elsewhere,
    ),
    ("clients: hostile memory", clients::hostile),
    ("clients: ring full", clients::full),
    ("costs: by process and site", costs::by_process),
    ("costs: by hook", costs::by_hook),
    ("windows: many", windows::many),
    ("windows: hundreds of sites", windows::large),
    ("handles: set_fd", handles::set_fd),
    ("handles: bound by the call inside", handles::bound_by_call),
    ("handles: plaintext before", handles::plaintext_before),
    ("handles: freed", handles::freed),
    ("handles: rebound", handles::rebound),
    ("handles: forked", handles::forked),
    ("handles: raced", handles::raced),
    ("handles: go descriptor", handles::go_descriptor),
    ("sockets: every form", sockets::forms),
    ("sockets: aside", sockets::aside),
    ("sockets: shared", sockets::shared),
    ("sockets: unread", sockets::unread),
    ("sockets: others", sockets::others),
    ("sockets: verdicts", sockets::verdicts),
    ("frames: bodies of batches", frames::bodies),
    ("sockets: goroutines", sockets::goroutines),
    ("rings: full", rings::full),
    ("rings: not resident", rings::not_resident),
    ("rings: unpaired", rings::unpaired),
    ("rings: wakes", rings::wakes),
    ("rings: around the end", rings::around),
    ("rings: threads", rings::threads),
    ("processes: exec and exit", processes::exec_and_exit),
    ("processes: threads end", processes::threads_end),
    ("processes: followed children", processes::followed_children),
    ("processes: clients begin", processes::clients_begin),
    ("processes: connects", processes::connects),
];

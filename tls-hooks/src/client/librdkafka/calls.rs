//! Calls of librdkafka's public functions (rdkafka.h): who asks for messages, gets them, is done with them, produces.
//!
//! `rd_kafka_message_t`, `rd_kafka_topic_partition_list_t` and `rd_kafka_vu_t` are public and have not changed since 1.0; the topic behind
//! `rd_kafka_topic_t` and the type of an event are read with the offsets that `rd_kafka_topic_name` and `rd_kafka_event_type` show in
//! their own code. Without them topics stay unnamed, and events are refused. Functions of the application that are called with messages
//! (`rd_kafka_consume_callback`, consume_cb) are in `callbacks`: here their addresses are told.

use std::collections::HashMap;

use obi_abi::client::{Kinds, NO_MEMBER, Nested, base, means, option, topic_form, walk};
use obi_abi::{ClientShape, NO_REG, Place};
use symbolizer::code::{Convention, Register};
use symbolizer::{Binary, Function};

use crate::facts::Facts;
use crate::registers::word;
use crate::{CallHook, CallSite, Callback, CalledBack, HookPlan, Refusal};

const AX: u8 = word(Register::Rax);
const DI: u8 = word(Register::Rdi);
const SI: u8 = word(Register::Rsi);
const DX: u8 = word(Register::Rdx);
const CX: u8 = word(Register::Rcx);
const R8: u8 = word(Register::R8);

/// RD_KAFKA_EVENT_FETCH, RD_KAFKA_EVENT_DR.
const EVENT_FETCH: u32 = 2;
const EVENT_DR: u8 = 1;
/// `rd_kafka_vtype_t`.
const VTYPES: Kinds = Kinds {
    name: 1,
    handle: 2,
    partition: 3,
    value: 4,
    key: 5,
    header: 9,
};
/// `RD_KAFKA_VTYPE_OPAQUE`: what the application knows a message by until its delivery report.
const OPAQUE: u16 = 6;
/// The same as the last argument of `rd_kafka_produce`, on the stack above the return address and `keylen`; and in a message (`_private`).
const OPAQUE_ARGUMENT: u16 = 16;
const OPAQUE_MEMBER: u16 = 64;
/// `rd_kafka_message_t::rkt`.
const TOPIC_MEMBER: u16 = 8;
/// `sizeof(rd_kafka_vu_t)`.
const VU: u16 = 72;
/// `ClientShape::pair` of calls that keep something from their entry: who polls, an event, an array.
const POLL: u16 = 1;
const EVENT: u16 = 2;
const BATCH: u16 = 3;
const CALLBACK: u16 = 4;
/// Callers of the function inside `rd_kafka_consumer_poll` that are looked at.
const CALLERS: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// With the registers that must still hold the arguments.
    Entry(&'static [Register]),
    Return,
}

use Register::{R8 as ARG5, Rcx as ARG4, Rdi as ARG1, Rdx as ARG3, Rsi as ARG2};
use Side::{Entry, Return};

/// (function, where, how it is read, fires for each message)
type Probe = (&'static str, Side, ClientShape, bool);

/// Offsets that accessor functions show.
#[derive(Clone, Copy, Default)]
struct Inside {
    /// From a topic's handle to its text: two members.
    topic: Option<[u16; 2]>,
    /// From an event to its type.
    event_type: Option<u16>,
}

pub(super) fn plan(facts: &Facts<'_>, plan: &mut HookPlan) {
    let binary = facts.binary;
    let inside = Inside::find(binary);
    let probes = probes(inside);
    let mut names: Vec<&str> = probes.iter().map(|(name, ..)| *name).collect();
    names.sort_unstable();
    names.dedup();
    let found = names.iter().copied().zip(binary.functions(&names));
    let found: HashMap<&str, Function> = found
        .filter_map(|(name, function)| Some((name, function?)))
        .collect();
    if found.is_empty() {
        return plan.calls_refused.push(Refusal {
            hook: "rd_kafka_consumer_poll",
            reason: "the functions of librdkafka have no names in this file".into(),
            mend: "keep the symbol table (do not strip the file), or use librdkafka as a shared library".into(),
        });
    }
    if inside.event_type.is_none() {
        plan.calls_refused.push(Refusal {
            hook: "rd_kafka_event_message_next",
            reason: "where an event holds its type is not known: the code of rd_kafka_event_type is not as expected".into(),
            mend: String::new(),
        });
    }
    if inside.topic.is_none() {
        plan.calls_refused.push(Refusal {
            hook: "rd_kafka_topic_name",
            reason: "where a topic's handle holds its name is not known: the code of rd_kafka_topic_name is not as expected".into(),
            mend: "none is needed for consumers: their topics are found by what they fetch".into(),
        });
    }
    plan.calls_back = Some(Box::new(called_back(inside)));
    let core = Core::find(binary, &found);
    for (name, side, shape, per_message) in &probes {
        let Some(function) = found.get(name) else {
            continue;
        };
        let function = match (&core, side) {
            (Some(core), Return) if core.polls.contains(name) => {
                // One probe shows the returns of all of them.
                if *name != POLLS[0] {
                    continue;
                }
                &core.function
            }
            _ => function,
        };
        match site(binary, function, *side, shape) {
            Some(at) => plan.calls.push(CallHook {
                name,
                shape: *shape,
                at,
                per_message: *per_message,
            }),
            None => plan.calls_refused.push(Refusal {
                hook: name,
                reason: "its symbol lies outside the file's code".into(),
                mend: "reinstall the library: the file looks damaged".into(),
            }),
        }
    }
}

pub(super) fn site(
    binary: &Binary,
    function: &Function,
    side: Side,
    shape: &ClientShape,
) -> Option<CallSite> {
    let true_entry = binary.file_offset(function.address)?;
    Some(match side {
        // Arguments on the stack are found from where the stack pointer was then.
        Entry(_) if is_on_stack(shape) => CallSite::Entry(true_entry),
        Entry(arguments) => {
            let cheap = binary.entry_site(function, arguments, Convention::C);
            let cheap = cheap.and_then(|site| binary.file_offset(site.address));
            CallSite::Entry(cheap.unwrap_or(true_entry))
        }
        Return => {
            let body = binary.body(function).filter(|body| body.certain());
            let sites = body.map(|body| body.returns).unwrap_or_default();
            let sites = sites.iter().map(|site| binary.file_offset(*site));
            CallSite::Uretprobe {
                function: true_entry,
                sites: sites.collect::<Option<_>>().unwrap_or_default(),
            }
        }
    })
}

fn is_on_stack(shape: &ClientShape) -> bool {
    match shape.walk {
        walk::PARTS => shape.stride == 0,
        walk::ARGUMENTS => shape.options & option::KNOWN_ON_STACK != 0,
        _ => false,
    }
}

/// Polls that give one message by their result.
const POLLS: [&str; 3] = [
    "rd_kafka_consumer_poll",
    "rd_kafka_consume",
    "rd_kafka_consume_queue",
];

/// The function inside all of [`POLLS`], which gives the message (`rd_kafka_consume0`). It begins with a `push`, where they begin with a load: a
/// uretprobe on it costs a tenth.
struct Core {
    function: Function,
    /// Those of the polls that end in it or call it.
    polls: Vec<&'static str>,
}

impl Core {
    fn find(binary: &Binary, found: &HashMap<&str, Function>) -> Option<Core> {
        let body = binary.body(found.get(POLLS[0])?)?;
        let [(_, target)] = body.leaves.as_slice() else {
            return None;
        };
        let (address, size) = binary.function_at(*target)?;
        if address != *target || !body.whole || body.indirect {
            return None;
        }
        // Whoever calls it elsewhere would be taken for a poll.
        let mut callers = binary.find_calls(address, CALLERS);
        let most = callers.len() < CALLERS;
        let mut polls = Vec::new();
        for name in POLLS {
            let Some(poll) = found.get(name) else {
                continue;
            };
            let all = callers.len();
            callers.retain(|at| !(poll.address..poll.address + poll.size).contains(at));
            if callers.len() < all {
                polls.push(name);
            }
        }
        let function = Function {
            name: String::new(),
            address,
            size,
            variant: None,
        };
        (most && callers.is_empty()).then_some(Core { function, polls })
    }
}

impl Inside {
    fn find(binary: &Binary) -> Inside {
        let found = binary.functions(&["rd_kafka_topic_name", "rd_kafka_event_type"]);
        let paths = |at: usize| binary.accessor_paths(found.get(at)?.as_ref()?);
        // A handle that holds its name itself has a shorter path; consumers give out none of these.
        let topic = paths(0).and_then(|paths| {
            let mut long = paths.iter().filter(|path| path.len() == 2);
            let path = <[u16; 2]>::try_from(long.next()?.as_slice()).ok()?;
            long.next().is_none().then_some(path)
        });
        let event_type = paths(1).and_then(|paths| match paths.as_slice() {
            [path] => match path.as_slice() {
                [member] => Some(*member),
                _ => None,
            },
            _ => None,
        });
        Inside { topic, event_type }
    }

    /// From a place that holds a topic's handle `at` bytes above it; without one, the place is the handle.
    fn topic(self, at: Option<u16>) -> (u8, Place) {
        let Some([topic, text]) = self.topic else {
            return (topic_form::NOTHING, Place::NOWHERE);
        };
        let place = match at {
            Some(at) => Place {
                steps: 2,
                path: [at, topic, 0],
                add: text,
                ..Place::NOWHERE
            },
            None => Place {
                steps: 1,
                path: [topic, 0, 0],
                add: text,
                ..Place::NOWHERE
            },
        };
        (topic_form::C, place)
    }
}

fn says(means: u8) -> ClientShape {
    ClientShape {
        means,
        ..ClientShape::NOTHING
    }
}

/// `rd_kafka_message_t`.
fn message(inside: Inside, means: u8, form: u8, at: Place) -> ClientShape {
    let (topic_form, topic) = inside.topic(Some(TOPIC_MEMBER));
    ClientShape {
        walk: form,
        at,
        topic_form,
        topic,
        stride: 72,
        error: 0,
        partition: 16,
        value: 24,
        value_len: 32,
        key: 40,
        key_len: 48,
        offset: 56,
        ..says(means)
    }
}

/// What became of a message, which is known by its opaque.
fn report(shape: ClientShape) -> ClientShape {
    ClientShape {
        known: OPAQUE_MEMBER,
        ..shape
    }
}

/// Reports in an array of pointers, without their topic. `_private` is the opaque, `rkt` the topic's handle within its client.
pub(in crate::client) fn reports(at: Place, count: Place) -> ClientShape {
    let shape = message(Inside::default(), means::ACKNOWLEDGED, walk::POINTERS, at);
    ClientShape {
        count,
        client: Place {
            steps: 3,
            path: [at.path[0], 0, TOPIC_MEMBER],
            ..at
        },
        ..report(shape)
    }
}

/// `rd_kafka_topic_partition_list_t`.
fn list(means: u8, at: u8, options: u8) -> ClientShape {
    ClientShape {
        walk: walk::STRUCTS,
        at: Place::word(at, 8),
        count: Place::word(at, 0),
        topic_form: topic_form::C,
        topic: Place::NOWHERE,
        stride: 64,
        partition: 8,
        offset: 16,
        options: option::COUNT_INT | options,
        ..says(means)
    }
}

/// (topic's handle, partition, offset).
fn arguments(inside: Inside, means: u8, at: Place) -> ClientShape {
    let (topic_form, topic) = inside.topic(None);
    ClientShape {
        walk: walk::ARGUMENTS,
        at,
        topic_form,
        topic,
        partition: SI.into(),
        offset: DX.into(),
        ..says(means)
    }
}

fn of_client(shape: ClientShape) -> ClientShape {
    ClientShape {
        client: Place::register(DI),
        ..shape
    }
}

fn keeping(shape: ClientShape, pair: u16, keep: [u8; 2]) -> ClientShape {
    let [first, second] = keep;
    ClientShape {
        keeps: 1,
        keep: [first, second, NO_REG, NO_REG],
        pair,
        ..shape
    }
}

fn kept(shape: ClientShape, pair: u16) -> ClientShape {
    ClientShape { pair, ..shape }
}

fn guarded(shape: ClientShape, guard: Place, expect: u32) -> ClientShape {
    ClientShape {
        guard,
        expect,
        ..shape
    }
}

fn probes(inside: Inside) -> Vec<Probe> {
    let mut all = consuming(inside);
    all.extend(settling(inside));
    all.extend(producing(inside));
    all
}

fn consuming(inside: Inside) -> Vec<Probe> {
    let asks = |pair, keep| keeping(of_client(says(means::ASKS)), pair, keep);
    let polled = ClientShape {
        client: Place::register(base::KEPT),
        ..kept(
            message(inside, means::HANDS_OVER, walk::ONE, Place::register(AX)),
            POLL,
        )
    };
    let array = |pair| {
        let at = Place::register(base::KEPT + 1);
        let shape = message(inside, means::HANDS_OVER, walk::POINTERS, at);
        ClientShape {
            count: Place::register(AX),
            ..kept(shape, pair)
        }
    };
    let batch = ClientShape {
        client: Place::register(base::KEPT),
        ..array(BATCH)
    };
    let mut all = vec![];
    for poll in POLLS {
        all.push((poll, Entry(&[ARG1]), asks(POLL, [DI, NO_REG]), true));
        all.push((poll, Return, polled, true));
    }
    // An event is not a message yet: the poll itself gives nothing. Producers poll their reports in the same way.
    let asks_only = of_client(says(means::ASKS_ONLY));
    all.push(("rd_kafka_queue_poll", Entry(&[ARG1]), asks_only, true));
    for (name, at, arguments) in [
        ("rd_kafka_consume_batch", CX, &[ARG1, ARG4]),
        ("rd_kafka_consume_batch_queue", DX, &[ARG1, ARG3]),
    ] {
        all.push((name, Entry(arguments), asks(BATCH, [DI, at]), false));
        all.push((name, Return, batch, false));
    }
    if let Some(member) = inside.event_type {
        // The message is part of the event, and given back with it; a report has the message's opaque.
        let fetched = |shape: ClientShape| ClientShape {
            options: option::QUIET | option::KNOWN_BY_KEPT,
            reports: EVENT_DR,
            ..report(guarded(shape, Place::word(base::KEPT, member), EVENT_FETCH))
        };
        let keeps = keeping(says(0), EVENT, [DI, SI]);
        let next = message(inside, means::HANDS_OVER, walk::ONE, Place::register(AX));
        let next = fetched(kept(next, EVENT));
        let name = "rd_kafka_event_message_next";
        all.push((name, Entry(&[ARG1]), keeps, true));
        all.push((name, Return, next, true));
        let name = "rd_kafka_event_message_array";
        // Of a batch, but each report in it is told.
        all.push((name, Entry(&[ARG1, ARG2]), keeps, true));
        all.push((name, Return, fetched(array(EVENT)), true));
        let frees = ClientShape {
            walk: walk::ONE,
            at: Place::register(DI),
            ..says(means::FREES)
        };
        let frees = guarded(frees, Place::word(DI, member), EVENT_FETCH);
        all.push(("rd_kafka_event_destroy", Entry(&[ARG1]), frees, true));
    }
    let called = |means, at| ClientShape {
        client: Place::register(at),
        ..says(means)
    };
    for (name, at, arguments) in [
        ("rd_kafka_consume_callback", CX, &[ARG1, ARG4]),
        ("rd_kafka_consume_callback_queue", DX, &[ARG1, ARG3]),
    ] {
        all.push((name, Entry(arguments), asks_only, true));
        all.push((name, Entry(arguments), called(means::LOSES_SIGHT, at), true));
    }
    let name = "rd_kafka_conf_set_consume_cb";
    all.push((name, Entry(&[ARG2]), called(means::LOSES_SIGHT, SI), false));
    let name = "rd_kafka_conf_set_dr_msg_cb";
    all.push((name, Entry(&[ARG2]), called(means::REPORTS_TO, SI), false));
    for name in [
        "rd_kafka_consumer_close",
        "rd_kafka_consumer_close_queue",
        "rd_kafka_destroy",
        "rd_kafka_destroy_flags",
    ] {
        let closes = of_client(says(means::CLOSES));
        all.push((name, Entry(&[ARG1]), closes, false));
    }
    all
}

/// `consume_cb(message, opaque)`: the library takes the message back when it returns. `dr_msg_cb(client, message, opaque)`: where it was placed.
fn called_back(inside: Inside) -> CalledBack {
    let shape = |means, at| message(inside, means, walk::ONE, Place::register(at));
    let messages = Callback {
        name: "consume_cb",
        entry: keeping(shape(means::CALLS_BACK, DI), CALLBACK, [DI, NO_REG]),
        arguments: &[ARG1],
        returns: Some(kept(shape(means::FREES, base::KEPT), CALLBACK)),
    };
    let reports = Callback {
        name: "dr_msg_cb",
        entry: report(message(
            inside,
            means::ACKNOWLEDGED,
            walk::ONE,
            Place::register(SI),
        )),
        arguments: &[ARG2],
        returns: None,
    };
    CalledBack { messages, reports }
}

fn settling(inside: Inside) -> Vec<Probe> {
    let by_message = |at| message(inside, means::SETTLES, walk::ONE, Place::register(at));
    let handle = Place::register(DI);
    let frees = ClientShape {
        topic_form: topic_form::NOTHING,
        topic: Place::NOWHERE,
        error: NO_MEMBER,
        key: NO_MEMBER,
        key_len: NO_MEMBER,
        value: NO_MEMBER,
        value_len: NO_MEMBER,
        ..message(inside, means::FREES, walk::ONE, Place::register(DI))
    };
    let stores = arguments(inside, means::SETTLES, handle);
    let seeks = arguments(inside, means::SEEKS, handle);
    let commits = |at| list(means::SETTLES, at, option::OFFSET_BEHIND);
    // Without a list: all that was stored.
    let commits_all = guarded(of_client(says(means::SETTLES_ALL)), Place::register(SI), 0);
    let transaction = |means| of_client(says(means));
    vec![
        ("rd_kafka_message_destroy", Entry(&[ARG1]), frees, true),
        (
            "rd_kafka_offset_store",
            Entry(&[ARG1, ARG2, ARG3]),
            stores,
            true,
        ),
        (
            "rd_kafka_offset_store_message",
            Entry(&[ARG1]),
            by_message(DI),
            true,
        ),
        (
            "rd_kafka_offsets_store",
            Entry(&[ARG1, ARG2]),
            of_client(commits(SI)),
            true,
        ),
        (
            "rd_kafka_commit_message",
            Entry(&[ARG1, ARG2]),
            of_client(by_message(SI)),
            true,
        ),
        (
            "rd_kafka_commit",
            Entry(&[ARG1, ARG2]),
            of_client(commits(SI)),
            false,
        ),
        ("rd_kafka_commit", Entry(&[ARG1, ARG2]), commits_all, false),
        (
            "rd_kafka_commit_queue",
            Entry(&[ARG1, ARG2]),
            of_client(commits(SI)),
            false,
        ),
        (
            "rd_kafka_commit_queue",
            Entry(&[ARG1, ARG2]),
            commits_all,
            false,
        ),
        (
            "rd_kafka_send_offsets_to_transaction",
            Entry(&[ARG2]),
            commits(SI),
            false,
        ),
        ("rd_kafka_seek", Entry(&[ARG1, ARG2, ARG3]), seeks, false),
        (
            "rd_kafka_seek_partitions",
            Entry(&[ARG1, ARG2]),
            of_client(list(means::SEEKS, SI, 0)),
            false,
        ),
        (
            "rd_kafka_begin_transaction",
            Entry(&[ARG1]),
            transaction(means::BEGINS_TRANSACTION),
            false,
        ),
        (
            "rd_kafka_commit_transaction",
            Entry(&[ARG1]),
            transaction(means::ENDS_TRANSACTION),
            false,
        ),
        (
            "rd_kafka_abort_transaction",
            Entry(&[ARG1]),
            transaction(means::ENDS_TRANSACTION),
            false,
        ),
    ]
}

/// Opaques are told apart within the process, not by the client: not all of these calls name it.
fn producing(inside: Inside) -> Vec<Probe> {
    // (topic, partition, flags, value, length, ..)
    let produce = ClientShape {
        offset: NO_MEMBER,
        value_len: R8.into(),
        known: OPAQUE_ARGUMENT,
        options: option::KNOWN_ON_STACK,
        ..arguments(inside, means::PRODUCES, Place::register(DI))
    };
    let parts = ClientShape {
        walk: walk::PARTS,
        at: Place::NOWHERE,
        nested: Nested::of_kinds(VTYPES),
        known: OPAQUE,
        partition: NO_MEMBER,
        offset: NO_MEMBER,
        value_len: NO_MEMBER,
        ..arguments(inside, means::PRODUCES, Place::NOWHERE)
    };
    let array = ClientShape {
        at: Place::register(SI),
        count: Place::register(DX),
        stride: VU,
        ..parts
    };
    // The messages name no topic: the call does.
    let (topic_form, topic) = inside.topic(None);
    let batch = ClientShape {
        count: Place::register(R8),
        topic_form,
        topic: Place { base: DI, ..topic },
        options: option::COUNT_INT,
        known: OPAQUE_MEMBER,
        error: NO_MEMBER,
        partition: NO_MEMBER,
        offset: NO_MEMBER,
        ..message(inside, means::PRODUCES, walk::STRUCTS, Place::register(CX))
    };
    let all_of_batch = Entry(&[ARG1, ARG4, ARG5]);
    vec![
        (
            "rd_kafka_produce",
            Entry(&[ARG1, ARG2, ARG5]),
            produce,
            true,
        ),
        ("rd_kafka_producev", Entry(&[]), parts, true),
        (
            "rd_kafka_produceva",
            Entry(&[ARG1, ARG2, ARG3]),
            array,
            true,
        ),
        ("rd_kafka_produce_batch", all_of_batch, batch, false),
    ]
}

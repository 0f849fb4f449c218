//! Calls of client libraries: how the kernel side reads one, and the record that it makes of it.
//!
//! A hook says what a call means ([`means`]); where its messages stand is data ([`ClientShape`]). Messages of one call that follow each
//! other in one partition leave as one [`ClientCall`].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::NO_REG;

/// Number of shapes that the map `CLIENT_SHAPES` holds; the attach cookie is the index.
pub const CLIENT_SHAPES: u32 = 1024;
/// Runs of messages told of one call; more are counted as `truncated`.
pub const RUNS: u32 = 64;
/// ... of one call of `means::ACKNOWLEDGED`, each a message: a batch that was filled by many calls.
pub const ACKNOWLEDGEMENTS: u32 = 256;
/// Messages or partitions looked at in one call.
pub const WALK_LIMIT: u32 = 4096;
/// Kafka's longest topic name.
pub const TOPIC_LIMIT: usize = 249;
/// Value for "no such member".
pub const NO_MEMBER: u16 = 0xffff;

/// What a call says: `ClientShape::means`.
pub mod means {
    /// The task asks for the next message: it is done with what it had. No messages.
    pub const ASKS: u8 = 1;
    /// Messages are given to the application (`count` 0: a poll that found none).
    pub const HANDS_OVER: u8 = 2;
    /// The application is done with these messages (mark, store, commit by message).
    pub const SETTLES: u8 = 3;
    /// ... with all that it was given (commit without messages, AllowRebalance).
    pub const SETTLES_ALL: u8 = 4;
    /// The message at `message` is given back to the library.
    pub const FREES: u8 = 5;
    /// The partition is read again from `first`.
    pub const SEEKS: u8 = 6;
    /// The application hands a message to the producer. `partition` may be -1, offsets mean nothing.
    pub const PRODUCES: u8 = 7;
    /// A call of `PRODUCES` that waits for its acknowledgement returns.
    pub const PRODUCED: u8 = 8;
    /// The message at `message` was acknowledged as (`partition`, `first`), or refused. Each is a run of its own.
    pub const ACKNOWLEDGED: u8 = 9;
    /// The consumer or producer is closed.
    pub const CLOSES: u8 = 10;
    /// A handler that was given messages one by one over a claim ended.
    pub const CLAIM_ENDS: u8 = 11;
    /// The task panics, or ends without returning (`runtime.Goexit`).
    pub const PANICS: u8 = 12;
    /// The task ended.
    pub const TASK_ENDS: u8 = 13;
    pub const BEGINS_TRANSACTION: u8 = 14;
    pub const ENDS_TRANSACTION: u8 = 15;
    /// Share groups: the messages are given back to be delivered again, or refused for good.
    pub const RELEASES: u8 = 16;
    pub const REJECTS: u8 = 17;
    /// As `ASKS`, of which no return is told: what the task is handed next is the answer.
    pub const ASKS_ONLY: u8 = 18;
    /// Messages reach the application by a function of its own, whose address stands in the place of the client.
    pub const LOSES_SIGHT: u8 = 19;
    /// Such a function is called with its message.
    pub const CALLS_BACK: u8 = 20;
    /// The task begins with a claim: it will be offered the messages of (topic, `partition`).
    pub const CLAIM_BEGINS: u8 = 21;
    /// The handler of the task's claim gave back an error.
    pub const FAILS: u8 = 22;
    /// The task begins to serve the stream `first` of the HTTP/2 connection that `client` is, or (no message) to read that connection.
    pub const SERVES: u8 = 23;
    /// Acknowledgements are told to a function of the application's own, whose address stands in the place of the client.
    pub const REPORTS_TO: u8 = 24;
}

/// How messages stand in memory: `ClientShape::walk`.
pub mod walk {
    /// There are none.
    pub const NOTHING: u8 = 0;
    /// `at` is the address of a message; 0 = none.
    pub const ONE: u8 = 1;
    /// `at` is an array of `count` pointers to messages.
    pub const POINTERS: u8 = 2;
    /// `at` is an array of `count` messages, `stride` bytes each.
    pub const STRUCTS: u8 = 3;
    /// `at` is an array of `count` slices of topics, each with slices of partitions, each with a slice of pointers to messages
    /// that follow each other: see [`super::Nested`].
    pub const NESTED: u8 = 4;
    /// The call names one message in its arguments: `partition`, `offset`, `key_len` and `value_len` are registers, and the path to the topic
    /// begins at `at`.
    pub const ARGUMENTS: u8 = 5;
    /// The call names one message in parts, each a kind (i32) and its value: an array of `count` structs of `stride` bytes at `at`; without a stride
    /// the arguments of a C function behind its first, as they are at its first instruction. See [`super::Nested::of_kinds`].
    pub const PARTS: u8 = 6;
}

/// Where a topic's name stands: `ClientShape::topic_form`. The path begins at the message (`walk::NESTED`: at the topic, `walk::ARGUMENTS`:
/// at `at`, `walk::PARTS`: at a handle of the topic), or at the base of `ClientShape::topic`, where all messages of the call have one topic.
pub mod topic_form {
    pub const NOTHING: u8 = 0;
    /// The path leads to a Go string (pointer, length).
    pub const GO: u8 = 1;
    /// The path leads to a pointer to a text that ends with 0.
    pub const C: u8 = 2;
    /// `walk::ARGUMENTS`: pointer and length are in the registers `path[0]` and `path[1]`; no length: the text ends with 0.
    pub const REGISTERS: u8 = 3;
}

/// A set of bits: `ClientShape::options`.
pub mod option {
    /// The count is an `int`: its upper half means nothing.
    pub const COUNT_INT: u8 = 1;
    /// Offsets are those behind the messages, as they are committed; below 1: none is named.
    pub const OFFSET_BEHIND: u8 = 2;
    /// Nothing is told when nothing was moved: who asked was told otherwise.
    pub const QUIET: u8 = 4;
    /// The guard's word must differ from `expect`.
    pub const UNLESS: u8 = 8;
    /// The message is known by the first kept word (an event that holds it), not by its own address.
    pub const KNOWN_BY_KEPT: u8 = 16;
    /// ... by the word `known` bytes above the stack pointer; 0 = by nothing.
    pub const KNOWN_ON_STACK: u8 = 32;
}

/// Registers of a [`Place`] beyond those of `pt_regs` 0 to 15.
pub mod base {
    /// The stack pointer.
    pub const STACK: u8 = 19;
    /// Words kept by the entry half of a pair: this plus 0 to 3.
    pub const KEPT: u8 = 32;
}

/// Words kept between the halves of a call.
pub const KEPT: usize = 4;

/// A word: a register, then `steps` times the word at (value + `path[i]`), then `add` is added. Through a null pointer leads nothing: 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Place {
    /// A register as in [`crate::CallShape`], one of [`base`], or [`NO_REG`]: the word is 0.
    pub base: u8,
    pub steps: u8,
    pub add: u16,
    pub path: [u16; 3],
    pub reserved: u16,
}

impl Place {
    pub const NOWHERE: Place = Place {
        base: NO_REG,
        steps: 0,
        add: 0,
        path: [0; 3],
        reserved: 0,
    };

    pub const fn register(base: u8) -> Place {
        Place {
            base,
            ..Place::NOWHERE
        }
    }

    /// The address `add` bytes above the register.
    pub const fn address(base: u8, add: u16) -> Place {
        Place {
            base,
            add,
            ..Place::NOWHERE
        }
    }

    /// The word `at` bytes above the register.
    pub const fn word(base: u8, at: u16) -> Place {
        Place {
            base,
            steps: 1,
            path: [at, 0, 0],
            ..Place::NOWHERE
        }
    }
}

/// Members of the nested form (`walk::NESTED`): a Go slice is pointer, length, capacity.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Nested {
    /// Bytes between two elements of the outermost array, and its slice of topics.
    pub stride: u16,
    pub topics: u16,
    /// Bytes between two topics, and a topic's slice of partitions.
    pub topic_stride: u16,
    pub partitions: u16,
    /// Bytes between two partitions, a partition's number (i32), and its slice of pointers to messages.
    pub partition_stride: u16,
    pub partition: u16,
    pub messages: u16,
    pub reserved: u16,
}

impl Nested {
    pub const NOTHING: Nested = Nested {
        stride: 0,
        topics: 0,
        topic_stride: 0,
        partitions: 0,
        partition_stride: 0,
        partition: 0,
        messages: 0,
        reserved: 0,
    };

    /// For `walk::PARTS`.
    pub const fn of_kinds(kinds: Kinds) -> Nested {
        Nested {
            topics: kinds.name,
            topic_stride: kinds.handle,
            partition: kinds.partition,
            partitions: kinds.key,
            partition_stride: kinds.value,
            messages: kinds.header,
            ..Nested::NOTHING
        }
    }
}

/// Numbers of the kinds of parts (`walk::PARTS`). Each has a value of one word but for key and value (pointer, length) and header (three words).
#[derive(Clone, Copy, Debug)]
pub struct Kinds {
    /// The topic, as a text that ends with 0.
    pub name: u16,
    /// The topic, as a handle.
    pub handle: u16,
    pub partition: u16,
    pub key: u16,
    pub value: u16,
    pub header: u16,
}

/// Parts of one call that are looked at.
pub const PARTS_LIMIT: u32 = 32;

/// How to read a call of a client library. Members are bytes from the start of a message; [`NO_MEMBER`]: there is none.
///
/// Index of the shape: the low 16 bits of the attach cookie; for the rest see [`crate::cost::CELL_SHIFT`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ClientShape {
    /// [`means`]; 0: nothing is told (the entry half of a pair).
    pub means: u8,
    /// [`crate::abi`].
    pub abi: u8,
    /// [`walk`].
    pub walk: u8,
    /// [`topic_form`].
    pub topic_form: u8,
    /// Go: register of `g`.
    pub task: u8,
    /// 1: the words of `keep` wait for the half of this call with the same `pair` on the same task.
    pub keeps: u8,
    /// Registers whose words are kept.
    pub keep: [u8; 4],
    /// Go: members of `g`: `goid`, `parentGoid`.
    pub goid: u16,
    pub parent: u16,
    /// Number of the call that both halves share, so that calls inside each other keep words of their own; 0: the halves share nothing.
    pub pair: u16,
    /// Address of the consumer or producer.
    pub client: Place,
    pub at: Place,
    pub count: Place,
    /// Nothing was moved unless this word's lower half equals `expect` (see [`option::UNLESS`]). (`HANDS_OVER` then tells an idle poll, `ACKNOWLEDGED` a refusal, others
    /// nothing.)
    pub guard: Place,
    pub expect: u32,
    pub stride: u16,
    /// From the message, or from a base of its own, to the topic's name.
    pub topic: Place,
    /// i32, i64.
    pub partition: u16,
    pub offset: u16,
    /// i32: not 0 = this is no message but an error (librdkafka); of `ACKNOWLEDGED`: it was refused.
    pub error: u16,
    /// Lengths of key and value (u64), and the pointers before them, which are 0 for null.
    pub key: u16,
    pub key_len: u16,
    pub value: u16,
    pub value_len: u16,
    pub nested: Nested,
    /// [`option`].
    pub options: u8,
    /// The guard's word where the call gives no messages but reports of what became of them (`ACKNOWLEDGED`, known by `known`); 0: there is none.
    pub reports: u8,
    /// What the message is known by (`call_flag::NAMED`), in place of its address: a word of it; with [`option::KNOWN_ON_STACK`] a word of the stack;
    /// of `walk::PARTS` the part of this kind. 0 = by nothing: an acknowledgement is not told.
    pub known: u16,
}

impl ClientShape {
    /// Tells nothing of messages: what plans start from.
    pub const NOTHING: ClientShape = ClientShape {
        means: 0,
        abi: 0,
        walk: walk::NOTHING,
        topic_form: topic_form::NOTHING,
        task: NO_REG,
        keeps: 0,
        keep: [NO_REG; KEPT],
        goid: NO_MEMBER,
        parent: NO_MEMBER,
        pair: 0,
        client: Place::NOWHERE,
        at: Place::NOWHERE,
        count: Place::NOWHERE,
        guard: Place::NOWHERE,
        expect: 0,
        stride: 0,
        topic: Place::NOWHERE,
        partition: NO_MEMBER,
        offset: NO_MEMBER,
        error: NO_MEMBER,
        key: NO_MEMBER,
        key_len: NO_MEMBER,
        value: NO_MEMBER,
        value_len: NO_MEMBER,
        nested: Nested::NOTHING,
        options: 0,
        reports: 0,
        known: NO_MEMBER,
    };
}

/// Payload of [`crate::kind::CALL`], before `topic_len` bytes of the topic's name. The header's times are both that of the hit, `task` the goroutine.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct ClientCall {
    /// Go: `g.goid`, `g.parentGoid`; 0 = not known.
    pub goid: u64,
    pub parent: u64,
    pub client: u64,
    /// Address of the first message, or what it is known by.
    pub message: u64,
    pub first: i64,
    pub last: i64,
    pub partition: i32,
    /// Messages of this run.
    pub count: u32,
    /// Of the first message; -1 = null, -2 = not read.
    pub key_len: i32,
    pub value_len: i32,
    pub shape: u16,
    pub topic_len: u16,
    pub means: u8,
    /// [`call_flag`].
    pub flags: u8,
    pub reserved: u16,
}

/// `ClientCall::flags`.
pub mod call_flag {
    /// The last record of its call.
    pub const LAST: u8 = 1;
    /// The call had more messages than were looked at.
    pub const TRUNCATED: u8 = 2;
    /// Memory that the shape leads to could not be read.
    pub const FAULT: u8 = 4;
    /// `message` is no address but a name (`ClientShape::known`), which `client` or the application gave.
    pub const NAMED: u8 = 8;
}

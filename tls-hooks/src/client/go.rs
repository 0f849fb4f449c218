//! Probes on a client library for Go, from what its functions say.
//!
//! In: for each function of interest how a call of it is read, by layouts and signatures of the release. Out: entry probes behind the stack check, and
//! all RETs for what is told at the return. A call that is known by half is not hooked. A function that is not linked in is never called, or was put
//! into its callers by the compiler: nothing can be said of it.

use obi_abi::client::{NO_MEMBER, base, means, option, topic_form, walk};
use obi_abi::{ClientShape, NO_REG, Place, abi};
use symbolizer::code::{Convention, Register};
use symbolizer::{Binary, Function, Go};

use super::layouts;
use crate::facts::Facts;
use crate::registers::word;
use crate::{CallHook, CallSite, HookPlan, Refusal};

/// Receiver of a method, by pointer: the first argument of every signature.
pub(super) const RECEIVER: u8 = word(Register::Rax);
/// Go 1.18 to 1.26 pass values as abi-internal.md says.
const SUPPORTED: std::ops::RangeInclusive<u32> = 18..=26;
/// `runtime.g.parentGoid`.
const PARENTS_SINCE: u32 = 21;
/// Callers of a function that are looked at.
const CALLERS: usize = 256;
const NEWER: &str = "use a release that this obi knows, or an obi that knows the release (its table is made by `cargo xtask layouts`)";

/// A function of interest and how calls of it are read.
pub(super) struct Call {
    /// As programmers write it: `kgo.(*Client).PollRecords`.
    pub name: &'static str,
    pub per_message: bool,
    /// At the entry; one that does not pass its guard tells nothing. Nothing here: a layout or signature is not known.
    pub entry: Option<Vec<ClientShape>>,
    pub returns: Option<Vec<ClientShape>>,
}

impl Call {
    pub fn entry(
        name: &'static str,
        shapes: impl IntoIterator<Item = Option<ClientShape>>,
    ) -> Call {
        Call {
            name,
            per_message: true,
            entry: shapes.into_iter().collect(),
            returns: Some(vec![]),
        }
    }

    pub fn returning(name: &'static str, shape: Option<ClientShape>) -> Call {
        Call {
            name,
            per_message: true,
            entry: Some(vec![]),
            returns: shape.map(|shape| vec![shape]),
        }
    }

    /// Both halves of a call; the second knows the receiver of the first.
    pub fn pair(
        name: &'static str,
        entry: Option<ClientShape>,
        returns: Option<ClientShape>,
    ) -> Call {
        let keeps = |shape| ClientShape {
            keeps: 1,
            keep: [RECEIVER, NO_REG, NO_REG, NO_REG],
            ..shape
        };
        Call {
            entry: entry.map(|shape| vec![keeps(shape)]),
            ..Call::returning(name, returns)
        }
    }

    /// Another shape at the entry.
    pub fn and_entry(mut self, shape: Option<ClientShape>) -> Call {
        self.entry = self.entry.zip(shape).map(|(mut all, shape)| {
            all.push(shape);
            all
        });
        self
    }

    /// A request for messages, and what it gives.
    pub fn poll(name: &'static str, hands_over: Option<ClientShape>) -> Call {
        let of_receiver = |shape| ClientShape {
            client: Place::register(base::KEPT),
            ..shape
        };
        let asks = of_client(says(means::ASKS));
        Call::pair(name, Some(asks), hands_over.map(of_receiver))
    }

    /// Called rarely, or for many messages at once.
    pub fn rare(self) -> Call {
        Call {
            per_message: false,
            ..self
        }
    }

    fn is_known(&self) -> bool {
        self.entry.is_some() && self.returns.is_some()
    }
}

pub(super) fn says(means: u8) -> ClientShape {
    ClientShape {
        means,
        ..ClientShape::NOTHING
    }
}

/// The receiver is the consumer or producer.
pub(super) fn of_client(shape: ClientShape) -> ClientShape {
    ClientShape {
        client: Place::register(RECEIVER),
        ..shape
    }
}

/// It happened only when the error in this register is nil: the type in an interface is the address of a table.
pub(super) fn unless_error(shape: ClientShape, error: u8) -> ClientShape {
    ClientShape {
        guard: Place::register(error),
        expect: 0,
        ..shape
    }
}

/// The slice in these registers, of pointers or of structs.
pub(super) fn slice(shape: ClientShape, form: u8, slice: &[u8]) -> Option<ClientShape> {
    let [at, count, _] = slice else { return None };
    Some(ClientShape {
        walk: form,
        at: Place::register(*at),
        count: Place::register(*count),
        ..shape
    })
}

/// The stream whose struct is at `at` begins to be served.
pub(super) fn serves(at: Place, id: u16) -> ClientShape {
    ClientShape {
        walk: walk::ONE,
        at,
        offset: id,
        ..says(means::SERVES)
    }
}

/// The message whose address is in a register.
pub(super) fn one(shape: ClientShape, at: u8) -> ClientShape {
    ClientShape {
        walk: walk::ONE,
        at: Place::register(at),
        ..shape
    }
}

/// Where a message holds its topic (a Go string), partition and offset; `texts`: key and value, both slices of bytes.
pub(super) fn message(
    topic: Place,
    partition: u16,
    offset: u16,
    texts: Option<[u16; 2]>,
) -> ClientShape {
    let [key, value] = texts.unwrap_or([NO_MEMBER; 2]);
    // Behind the pointer; of no member it is none either.
    let length = |slice: u16| slice.checked_add(8).unwrap_or(NO_MEMBER);
    ClientShape {
        topic_form: topic_form::GO,
        topic,
        partition,
        offset,
        key,
        key_len: length(key),
        value,
        value_len: length(value),
        ..ClientShape::NOTHING
    }
}

/// A place that the call names: the topic is a string in registers.
pub(super) fn named(means: u8, topic: [u8; 2], partition: u8, offset: u8) -> ClientShape {
    let [text, length] = topic.map(u16::from);
    ClientShape {
        means,
        walk: walk::ARGUMENTS,
        topic_form: topic_form::REGISTERS,
        topic: Place {
            path: [text, length, 0],
            ..Place::NOWHERE
        },
        partition: partition.into(),
        offset: offset.into(),
        ..ClientShape::NOTHING
    }
}

/// A message on its way to a broker has no place yet.
pub(super) fn unplaced(shape: ClientShape) -> ClientShape {
    ClientShape {
        partition: NO_MEMBER,
        offset: NO_MEMBER,
        ..shape
    }
}

/// A member of the message.
pub(super) fn within(add: u16) -> Place {
    Place {
        add,
        ..Place::NOWHERE
    }
}

/// Structs and members of a module's package.
pub(super) type Members = &'static [(&'static str, &'static str)];

/// A module in a program, and what is known of its release.
pub(super) struct Library<'a> {
    facts: &'a Facts<'a>,
    go: &'a Go<'a>,
    module: &'static str,
    wanted: Members,
    offsets: Vec<Option<u16>>,
}

impl<'a> Library<'a> {
    /// `None` when the program does not hold the module. Builds without module information may hold any.
    pub fn find(
        facts: &'a Facts<'a>,
        go: &'a Go<'a>,
        module: &'static str,
        wanted: Members,
    ) -> Option<Library<'a>> {
        let path = layouts::module(module)?;
        let mut modules = go.info.dependencies.iter();
        let named = modules.any(|found| found.path == path);
        (named || go.info.main.is_none()).then(|| Library {
            facts,
            go,
            module,
            wanted,
            // The DWARF is read anew for each question.
            offsets: layouts::offsets(facts.binary, go, module, wanted),
        })
    }

    pub fn member(&self, structure: &str, member: &str) -> Option<u16> {
        let mut wanted = self.wanted.iter();
        let at = wanted.position(|wanted| *wanted == (structure, member))?;
        *self.offsets.get(at)?
    }

    /// The words of an argument.
    pub fn argument<const N: usize>(&self, function: &str, name: &str) -> Option<[u8; N]> {
        registers(layouts::signature(self.go, self.module, function)?.argument(name)?)
    }

    /// The words of an argument of any size.
    pub fn words(&self, function: &str, name: &str) -> Option<Vec<u8>> {
        match layouts::signature(self.go, self.module, function)?.argument(name)? {
            layouts::Place::Registers(registers) => Some(registers.into_iter().map(word).collect()),
            layouts::Place::Stack(_) => None,
        }
    }

    /// Whether one function of the module calls another by its name; otherwise it may hold its code.
    pub fn calls(&self, caller: &str, callee: &str) -> bool {
        let symbols = [caller, callee].map(|name| layouts::symbol(self.module, name));
        let [Some(caller), Some(callee)] = symbols else {
            return false;
        };
        let found = self.go.functions(&[&caller, &callee]);
        let [Some(caller), Some(callee)] = found.as_slice() else {
            return false;
        };
        let calls = self.facts.binary.find_calls(callee.address, CALLERS);
        let body = caller.address..caller.address + caller.size;
        calls.iter().any(|call| body.contains(call))
    }

    /// Whether a call of this function of cgo can be read: its arguments at the entry, and its result where it returns.
    pub fn reads(&self, function: &str) -> bool {
        let Some(symbol) = layouts::symbol(self.module, function) else {
            return false;
        };
        let found = self.go.functions(&[&symbol]).into_iter().next().flatten();
        found.is_some_and(|function| {
            let binary = self.facts.binary;
            binary.shallow_site(&function).is_some() && ends(binary, &function).is_some()
        })
    }

    pub fn result<const N: usize>(&self, function: &str, name: &str) -> Option<[u8; N]> {
        registers(layouts::signature(self.go, self.module, function)?.result(name)?)
    }

    /// A result on the stack: bytes above the stack pointer at a RET.
    pub fn stacked(&self, function: &str, name: &str) -> Option<u16> {
        match layouts::signature(self.go, self.module, function)?.result(name)? {
            layouts::Place::Stack(bytes) => Some(bytes),
            layouts::Place::Registers(_) => None,
        }
    }

    /// Plans what can be, and says of the rest why not.
    pub fn plan(&self, calls: &[Call], task: ClientShape, plan: &mut HookPlan) {
        let symbols: Vec<String> = calls.iter().filter_map(|call| self.symbol(call)).collect();
        let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
        let found = self.go.functions(&names);
        if names.len() != calls.len() || found.iter().all(Option::is_none) {
            return;
        }
        if !layouts::knows(self.go, self.module) {
            let reason = "the release is a fork, newer than this obi, or not named by the program";
            return refuse(plan, self.module, reason.into(), NEWER);
        }
        for (call, function) in calls.iter().zip(found) {
            let Some(function) = function else { continue };
            if !call.is_known() {
                refuse(
                    plan,
                    call.name,
                    format!(
                        "how this release of {} passes or holds its messages is not known",
                        self.module
                    ),
                    NEWER,
                );
            } else if let Some(hooks) =
                hooks(self.facts.binary, call, &function, task, plan.calls.len())
            {
                plan.calls.extend(hooks);
            } else {
                refuse(
                    plan,
                    call.name,
                    "its machine code could not be decoded".into(),
                    "",
                );
            }
        }
    }

    fn symbol(&self, call: &Call) -> Option<String> {
        let (_, function) = call.name.split_once('.')?;
        layouts::symbol(self.module, function)
    }
}

/// Whether a function of the module is part of the program.
pub(super) fn links(go: &Go<'_>, module: &str, function: &str) -> bool {
    let symbol = layouts::symbol(module, function);
    symbol.is_some_and(|symbol| go.functions(&[&symbol]).iter().any(Option::is_some))
}

/// Plans what can be of Go's own library, whose functions are named as the linker does, and says of the rest why not.
pub(super) fn standard(
    facts: &Facts<'_>,
    go: &Go<'_>,
    calls: &[Call],
    task: ClientShape,
    plan: &mut HookPlan,
) {
    let names: Vec<&str> = calls.iter().map(|call| call.name).collect();
    for (call, function) in calls.iter().zip(go.functions(&names)) {
        let Some(function) = function else { continue };
        let known = call.is_known();
        let hooks = known.then(|| hooks(facts.binary, call, &function, task, plan.calls.len()));
        match hooks.flatten() {
            Some(hooks) => plan.calls.extend(hooks),
            None => refuse(
                plan,
                call.name,
                format!("how {} holds its streams is not known", go.info.version),
                "",
            ),
        }
    }
}

fn hooks(
    binary: &Binary,
    call: &Call,
    function: &Function,
    task: ClientShape,
    before: usize,
) -> Option<Vec<CallHook>> {
    let (entry, returns) = (call.entry.as_ref()?, call.returns.as_ref()?);
    // Calls of a file stand inside each other; each keeps words of its own.
    let pair = match entry.iter().any(|shape| shape.keeps != 0) {
        true => u16::try_from(before).ok()?.checked_add(1)?,
        false => 0,
    };
    // Of several shapes at the entry only those that keep have a part in it. What two functions share has a number already.
    let pair_of = |shape: &ClientShape, returns| match returns || shape.keeps != 0 {
        _ if shape.pair != 0 => shape.pair,
        true => pair,
        false => 0,
    };
    let hook = |shape: &ClientShape, returns, at| CallHook {
        name: call.name,
        shape: ClientShape {
            abi: task.abi,
            task: task.task,
            goid: task.goid,
            parent: task.parent,
            pair: pair_of(shape, returns),
            ..*shape
        },
        at,
        per_message: call.per_message,
    };
    let mut hooks = Vec::new();
    for shape in entry {
        let (address, shape) = at_entry(binary, function, shape)?;
        let at = binary.file_offset(address)?;
        hooks.push(hook(&shape, false, CallSite::Entry(at)));
    }
    for shape in returns {
        let sites = CallSite::Returns(ends(binary, function)?);
        hooks.push(hook(shape, true, sites));
    }
    Some(hooks)
}

/// Where a call is read at its entry, and how: what is on the stack lies deeper behind the first instructions.
fn at_entry(
    binary: &Binary,
    function: &Function,
    shape: &ClientShape,
) -> Option<(u64, ClientShape)> {
    if shape.options & option::KNOWN_ON_STACK == 0 {
        let site = binary.entry_site(function, &arguments(shape), Convention::Go)?;
        return Some((site.address, *shape));
    }
    let site = binary.shallow_site(function)?;
    let below = u16::try_from(site.below).ok()?;
    let mut shape = *shape;
    shape.known = shape.known.checked_add(below)?;
    if shape.client.base == base::STACK {
        let [first, ..] = &mut shape.client.path;
        *first = first.checked_add(below)?;
    }
    Some((site.address, shape))
}

/// The RETs: Go has no tail calls, and a function that never returns is none of interest.
fn ends(binary: &Binary, function: &Function) -> Option<Vec<u64>> {
    let body = binary.body(function)?;
    if !body.whole || body.returns.is_empty() {
        return None;
    }
    let sites = body.returns.iter();
    sites.map(|site| binary.file_offset(*site)).collect()
}

/// How a goroutine is told from others: its id is never used again, the address of its `g` is. Or why it cannot be told.
pub(super) fn task(go: &Go<'_>) -> Result<ClientShape, String> {
    let version = &go.info.version;
    let minor = version.minor().filter(|minor| SUPPORTED.contains(minor));
    let member = |name| {
        let found = go.members(&[("runtime.g", name)]);
        u16::try_from(found.into_iter().next().flatten()?).ok()
    };
    let (Some(minor), Some(goid)) = (minor, member("goid")) else {
        return Err(format!(
            "where {version} holds the id of a goroutine, or how it passes values, is not known"
        ));
    };
    let parent = (minor >= PARENTS_SINCE).then(|| member("parentGoid"));
    Ok(ClientShape {
        abi: abi::GO,
        task: word(Register::R14),
        goid,
        parent: parent.flatten().unwrap_or(NO_MEMBER),
        ..ClientShape::NOTHING
    })
}

/// What the runtime says of goroutines, for every library alike. `runtime.goexit0`, the end of each goroutine, is left out: it would cost programs with a
/// goroutine for each request more than the rest together.
pub(super) fn goroutines(facts: &Facts<'_>, go: &Go<'_>, task: ClientShape, plan: &mut HookPlan) {
    const ENDS: [&str; 2] = ["runtime.gopanic", "runtime.Goexit"];
    for (name, function) in ENDS.into_iter().zip(go.functions(&ENDS)) {
        let call = Call::entry(name, [Some(says(means::PANICS))]).rare();
        let hooks = function.and_then(|function| hooks(facts.binary, &call, &function, task, 0));
        plan.calls.extend(hooks.into_iter().flatten());
    }
}

/// Registers that a shape reads at the entry.
fn arguments(shape: &ClientShape) -> Vec<Register> {
    let places = [
        shape.client,
        shape.at,
        shape.count,
        shape.guard,
        shape.topic,
    ];
    let mut words: Vec<u8> = places.map(|place| place.base).to_vec();
    words.extend(shape.keep);
    words.push(word(Register::R14));
    if shape.walk == walk::ARGUMENTS {
        words.extend(
            [shape.partition, shape.offset].map(|word| u8::try_from(word).unwrap_or(NO_REG)),
        );
        if shape.topic_form == topic_form::REGISTERS {
            let [text, length, _] = shape.topic.path;
            words.extend([text, length].map(|word| u8::try_from(word).unwrap_or(NO_REG)));
        }
    }
    let all = REGISTERS.into_iter().chain([Register::R14]);
    all.filter(|register| words.contains(&word(*register)))
        .collect()
}

/// That hold arguments and results.
const REGISTERS: [Register; 9] = [
    Register::Rax,
    Register::Rbx,
    Register::Rcx,
    Register::Rdi,
    Register::Rsi,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
];

fn registers<const N: usize>(place: layouts::Place) -> Option<[u8; N]> {
    match place {
        layouts::Place::Registers(registers) => {
            let words: Vec<u8> = registers.into_iter().map(word).collect();
            words.try_into().ok()
        }
        layouts::Place::Stack(_) => None,
    }
}

fn refuse(plan: &mut HookPlan, hook: &'static str, reason: String, mend: &str) {
    plan.calls_refused.push(Refusal {
        hook,
        reason,
        mend: mend.to_owned(),
    });
}

//! Kafka client libraries: one file and one table line each.
//!
//! In: facts of a file. Out: name and version of the client library inside it. A library that the file only loads
//! is not inside it. When a program holds several, the first line of the table wins.

mod confluent_kafka_go;
mod franz_go;
mod go;
mod http2_servers;
mod kafka_go;
pub mod layouts;
pub mod librdkafka;
mod sarama;

use obi_abi::{CallShape, NO_REG, abi, count, role, source};
use symbolizer::{Function, Machine};

use crate::facts::Facts;
use crate::{Hook, HookPlan, Refusal, Returns};

type GoCalls = fn(&go::Library<'_>) -> Vec<go::Call>;
type Detect = fn(&Facts<'_>) -> Option<(&'static str, String)>;

/// confluent-kafka-go stands before librdkafka, which it holds inside.
const TABLE: &[Detect] = &[
    franz_go::detect,
    sarama::detect,
    kafka_go::detect,
    confluent_kafka_go::detect,
    librdkafka::detect,
];

/// Modules with a client for Go; a program may hold several.
const GO_MODULES: &[(&str, go::Members, GoCalls)] = {
    use {confluent_kafka_go as confluent, franz_go as franz};
    &[
        ("github.com/twmb/franz-go", franz::MEMBERS, franz::calls),
        ("github.com/IBM/sarama", sarama::MEMBERS, sarama::calls),
        ("github.com/Shopify/sarama", sarama::MEMBERS, sarama::calls),
        (
            "github.com/segmentio/kafka-go",
            kafka_go::MEMBERS,
            kafka_go::calls,
        ),
        (confluent::MODULES[0], confluent::MEMBERS, confluent::calls),
        (confluent::MODULES[1], confluent::MEMBERS, confluent::calls),
    ]
};

pub(crate) fn find(facts: &Facts<'_>) -> Option<(&'static str, String)> {
    TABLE.iter().find_map(|detect| detect(facts))
}

/// Where clients of the file begin, as far as that is known: the process can be followed from there on.
pub(crate) fn begins(facts: &Facts<'_>) -> impl Iterator<Item = Hook> {
    librdkafka::begins(facts)
        .into_iter()
        .chain(go_program(facts))
}

/// Calls of the file's client library that tell what becomes of messages inside the application.
pub(crate) fn calls(facts: &Facts<'_>, plan: &mut HookPlan) {
    let Some((name, _)) = plan.client else { return };
    if facts.binary.machine() != Machine::X86_64 {
        return plan.calls_refused.push(Refusal {
            hook: name,
            reason: "only x86-64 programs can be hooked".into(),
            mend: String::new(),
        });
    }
    let Some(program) = &facts.go else {
        if name == librdkafka::NAME {
            librdkafka::calls(facts, plan);
        }
        return;
    };
    let held = GO_MODULES.iter().filter_map(|(module, members, calls)| {
        let library = go::Library::find(facts, program, module, members)?;
        Some((calls(&library), library))
    });
    let held: Vec<_> = held.collect();
    let task = match go::task(program) {
        Ok(task) => task,
        Err(_) if held.is_empty() => return,
        Err(reason) => {
            return plan.calls_refused.push(Refusal {
                hook: name,
                reason,
                mend: "build the program with a Go that this obi knows".into(),
            });
        }
    };
    for (calls, library) in held {
        library.plan(&calls, task, plan);
    }
    http2_servers::plan(facts, program, task, plan);
    if !plan.calls.is_empty() {
        go::goroutines(facts, program, task, plan);
    }
}

/// A Go program holds its client itself, and connects to nothing before its main function.
fn go_program(facts: &Facts<'_>) -> Option<Hook> {
    const MAIN: &str = "main.main";
    let found = facts.go.as_ref()?.functions(&[MAIN]);
    let mut hook = beginning(facts, MAIN, found.first()?.as_ref()?)?;
    hook.shape.goid = facts.goid().unwrap_or(0);
    Some(hook)
}

/// A hook on a function's first instruction. It is called once or so a process: an expensive place costs nothing.
fn beginning(facts: &Facts<'_>, name: &'static str, function: &Function) -> Option<Hook> {
    let shape = CallShape {
        role: role::CLIENT,
        source: source::SOCKET,
        abi: abi::C,
        handle: NO_REG,
        buffer: NO_REG,
        length: NO_REG,
        count: count::RETURN,
        count_arg: NO_REG,
        result: NO_REG,
        task: NO_REG,
        fd_steps: 0,
        reserved: 0,
        fd_path: [0; 4],
        itab: 0,
        goid: 0,
        reader: 0,
    };
    Some(Hook {
        name,
        shape,
        entry: Some(facts.binary.file_offset(function.address)?),
        returns: Returns::None,
    })
}

/// A Go module that is part of the program, by one of its import paths; builds without module information (Bazel)
/// show it by a function that every user of the module links in.
fn go_module(
    facts: &Facts<'_>,
    name: &'static str,
    paths: &[&str],
    functions: &[&str],
) -> Option<(&'static str, String)> {
    let go = facts.go.as_ref()?;
    let modules = go.info.dependencies.iter().chain(&go.info.main);
    for module in modules {
        if paths.contains(&module.path.as_str()) {
            return Some((name, version(module)));
        }
    }
    if go.info.main.is_none() && go.functions(functions).iter().any(Option::is_some) {
        return Some((name, String::new()));
    }
    None
}

/// The version that was built: that of the replacement, with its path when it is another module.
fn version(module: &symbolizer::Module) -> String {
    match &module.replaced_by {
        Some((path, version)) if *path == module.path => version.clone(),
        Some((path, version)) => format!("{path} {version}").trim_end().to_owned(),
        None => module.version.clone(),
    }
}

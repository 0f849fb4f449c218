//! Calls of client libraries for Go in real programs: sites as objdump sees them, and how messages are read.

#[path = "../../symbolizer/tests/support/mod.rs"]
mod support;

use std::fmt::Write;

use obi_abi::client::{NO_MEMBER, base, means, walk};
use obi_abi::{ClientShape, NO_REG, Place};
use support::{fixture, objdump};
use symbolizer::Binary;
use tls_hooks::{CallHook, CallSite, HookPlan, plan};

fn plan_of(name: &str) -> HookPlan {
    plan(&Binary::open(&fixture(name)).unwrap())
}

/// `[register] + path + add`, with words of pt_regs by their Go names.
fn place(place: &Place) -> String {
    let start = match place.base {
        NO_REG => String::new(),
        base::STACK => "SP".to_owned(),
        kept if kept >= base::KEPT => format!("kept{}", kept - base::KEPT),
        word => [
            "R14", "R11", "R10", "BX", "R9", "R8", "AX", "CX", "DX", "SI", "DI",
        ][[1, 6, 7, 5, 8, 9, 10, 11, 12, 13, 14]
            .iter()
            .position(|of| *of == word)
            .unwrap()]
        .to_owned(),
    };
    let path = &place.path[..usize::from(place.steps)];
    let path: String = path.iter().map(|step| format!("[{step}]")).collect();
    match place.add {
        0 => start + &path,
        add => format!("{start}{path}+{add}"),
    }
}

fn shape_text(shape: &ClientShape) -> String {
    let mut text = format!("means {} client {}", shape.means, place(&shape.client));
    if shape.pair != 0 {
        write!(
            text,
            " pair {} keeps {:?}",
            shape.pair,
            &shape.keep[..usize::from(shape.keeps)]
        )
        .unwrap();
    }
    if shape.guard != Place::NOWHERE || shape.expect != 0 {
        write!(text, " if {} = {:#x}", place(&shape.guard), shape.expect).unwrap();
    }
    if shape.walk != walk::NOTHING {
        let (at, count, topic) = (place(&shape.at), place(&shape.count), place(&shape.topic));
        let (partition, offset) = (shape.partition as i16, shape.offset as i16);
        write!(
            text,
            " walk {} at {at} count {count} stride {}",
            shape.walk, shape.stride
        )
        .unwrap();
        write!(text, " topic {topic} partition {partition} offset {offset}").unwrap();
        write!(
            text,
            " key {} value {}",
            shape.key as i16, shape.value as i16
        )
        .unwrap();
    }
    if shape.walk == walk::NESTED {
        write!(text, " {:?}", shape.nested).unwrap();
    }
    text
}

/// One line a probe.
fn text_of(name: &str) -> String {
    let path = fixture(name);
    let binary = Binary::open(&path).unwrap();
    let plan = plan(&binary);
    let instruction = |offset: &u64| {
        let address = binary.address(*offset).unwrap();
        let (at, text) = objdump(&path, address, address + 16)
            .into_iter()
            .next()
            .unwrap();
        assert_eq!(at, address, "{name}: {offset:#x} is no instruction");
        format!("{offset:#x} {}", text.split(' ').next().unwrap_or_default())
    };
    let mut text = format!("{name}: {:?}\n", plan.client);
    for CallHook {
        name,
        shape,
        at,
        per_message,
    } in &plan.calls
    {
        let at = match at {
            CallSite::Entry(at) => instruction(at),
            CallSite::Returns(sites) => {
                let all: Vec<String> = sites.iter().map(instruction).collect();
                assert!(
                    all.iter().all(|site| site.ends_with(" ret")),
                    "{name}: {all:?}"
                );
                format!("{} returns from {:#x}", sites.len(), sites[0])
            }
            CallSite::Uretprobe { .. } => panic!("{name}: Go moves stacks"),
        };
        let often = if *per_message { "each" } else { "rare" };
        writeln!(text, "  {name} {often} at {at}: {}", shape_text(shape)).unwrap();
    }
    for refusal in &plan.calls_refused {
        writeln!(
            text,
            "  refused {}: {}; {}",
            refusal.hook, refusal.reason, refusal.mend
        )
        .unwrap();
    }
    text
}

#[test]
fn go_clients() {
    let programs = [
        "segmentio-dwarf",
        "franz",
        "franz-go1.22",
        "sarama-dwarf",
        "clients-go1.18",
        "confluent-consumer",
    ];
    let text: String = programs.iter().map(|name| text_of(name)).collect();
    insta::with_settings!({omit_expression => true}, { insta::assert_snapshot!(text) });
}

/// Without symbols and DWARF the same calls are read in the same way.
#[test]
fn stripping_changes_nothing() {
    for (with, without) in [
        ("segmentio-dwarf", "segmentio"),
        ("sarama-dwarf", "sarama"),
        ("franz", "franz-stripped"),
        ("franz-go1.22", "franz-go1.22-stripped"),
        ("clients-go1.18", "clients-go1.18-stripped"),
        ("confluent-consumer", "confluent-consumer-stripped"),
    ] {
        let (with, without) = (plan_of(with), plan_of(without));
        assert!(!with.calls.is_empty());
        assert_eq!(with.calls_refused, []);
        // The linker puts other things before the code: sites are compared by their number.
        let read = |plan: &HookPlan| -> Vec<_> {
            let all = plan.calls.iter();
            all.map(|call| (call.name, call.shape, matches!(call.at, CallSite::Entry(_))))
                .collect()
        };
        assert_eq!(read(&with), read(&without));
        assert_eq!(with.calls_refused, without.calls_refused);
    }
}

/// The entry of a Go function runs again when its stack has grown: a probe there would count a call twice.
#[test]
fn no_probe_stands_before_a_stack_check() {
    for name in ["clients-go1.18", "franz-go1.22", "segmentio", "sarama"] {
        let binary = Binary::open(&fixture(name)).unwrap();
        for call in plan(&binary).calls {
            let CallSite::Entry(at) = call.at else {
                continue;
            };
            let address = binary.address(at).unwrap();
            let (start, _) = binary.function_at(address).unwrap_or((0, 0));
            assert_ne!(start, address, "{name}: {}", call.name);
        }
    }
}

/// A call that asks or keeps is of use only with the half that answers it.
#[test]
fn halves_of_calls_belong_together() {
    for name in ["segmentio", "franz-pie-stripped", "clients-go1.18-stripped"] {
        let plan = plan_of(name);
        let pairs = plan.calls.iter().filter(|call| call.shape.keeps != 0);
        let mut numbers = Vec::new();
        for entry in pairs {
            let pair = entry.shape.pair;
            let mut others = plan.calls.iter().filter(|call| call.shape.pair == pair);
            assert!(pair != 0 && !numbers.contains(&pair), "{name}");
            assert!(
                others
                    .any(|call| matches!(call.at, CallSite::Returns(_)) && call.name == entry.name),
                "{name}: {}",
                entry.name
            );
            numbers.push(pair);
        }
        let of = |wanted| {
            let calls = plan.calls.iter();
            calls.filter(|call| call.shape.means == wanted).count()
        };
        assert!(
            of(means::ASKS) > 0 && of(means::ASKS) <= of(means::HANDS_OVER),
            "{name}"
        );
        assert_eq!(of(means::PANICS), 1, "{name}");
    }
}

/// cgo: the C inside is not hooked, so that no message is told twice.
#[test]
fn a_program_with_c_inside_is_hooked_on_its_go_side() {
    let plan = plan_of("confluent");
    assert_eq!(plan.calls_refused, []);
    let names: Vec<&str> = plan.calls.iter().map(|call| call.name).collect();
    // Producers poll for reports as consumers do for messages.
    let expected = [
        "kafka.(*handle).eventPoll",
        "kafka.(*handle).newMessageFromGlueMsg",
        "kafka.(*Producer).produceBatch",
        "kafka.(*Producer).produce",
        "kafka._Cfunc_do_produce",
        "kafka._Cfunc_rd_kafka_event_message_array",
        "runtime.gopanic",
    ];
    assert_eq!(names, expected);
    let [keeps, shape, reports] = [3, 4, 5].map(|at| plan.calls[at].shape);
    // The topic by a pointer; key and value behind an error and a metadata.
    assert_eq!((shape.topic.steps, shape.topic.path[0]), (1, 0));
    assert_eq!(
        (shape.partition, shape.error, shape.value, shape.key),
        (8, NO_MEMBER, 56, 80)
    );
    // What `produce` was given is told with the id by which its report knows it, both read from the stack.
    assert_eq!((keeps.means, keeps.keeps, keeps.pair), (0, 1, shape.pair));
    assert_eq!((shape.means, shape.at.base), (means::PRODUCES, base::KEPT));
    assert_eq!((place(&shape.client), shape.known), ("SP[16]".into(), 104));
    assert_eq!((reports.means, reports.known), (means::ACKNOWLEDGED, 64));
    assert_eq!(
        [reports.at, reports.count, reports.client].map(|at| place(&at)),
        ["SP[16]", "SP[32]", "SP[16][0][8]"]
    );
    let stripped = plan_of("confluent-stripped");
    assert_eq!(
        [3, 4, 5].map(|at| stripped.calls[at].shape),
        [keeps, shape, reports]
    );
}

#[test]
fn what_cannot_be_hooked_is_not_a_client() {
    let plan = plan_of("go1.26-exe");
    assert_eq!((plan.calls, plan.calls_refused), (vec![], vec![]));
}

//! Calls of client libraries in real files: what is hooked, where, and what the library's own code shows of its inside.

#[path = "../../symbolizer/tests/support/mod.rs"]
mod support;

use std::fmt::Write;

use obi_abi::client::{means, topic_form, walk};
use support::{fixture, objdump};
use symbolizer::Binary;
use tls_hooks::{CallHook, CallSite, HookPlan, plan};

fn plan_of(name: &str) -> HookPlan {
    plan(&Binary::open(&fixture(name)).unwrap())
}

/// One line a probe: function, meaning, form, the instruction at the site.
fn text_of(name: &str) -> String {
    let path = fixture(name);
    let binary = Binary::open(&path).unwrap();
    let plan = plan(&binary);
    let instruction = |offset: u64| {
        let address = binary.address(offset).unwrap();
        let text = objdump(&path, address, address + 16).into_iter().next();
        let (at, text) = text.unwrap();
        assert_eq!(at, address, "{name}: {offset:#x} is no instruction");
        text.split(' ').next().unwrap_or_default().to_owned()
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
            CallSite::Entry(at) => instruction(*at),
            CallSite::Returns(sites) => format!("{} sites", sites.len()),
            CallSite::Uretprobe { function, sites } => {
                format!(
                    "uretprobe {}, {} sites",
                    instruction(*function),
                    sites.len()
                )
            }
        };
        let topic = (shape.topic_form != topic_form::NOTHING).then_some((
            shape.topic.path,
            shape.topic.steps,
            shape.topic.add,
        ));
        writeln!(
            text,
            "  {name} means {} walk {} pair {} topic {topic:?} per message {per_message}: {at}",
            shape.means, shape.walk, shape.pair
        )
        .unwrap();
    }
    for refusal in &plan.calls_refused {
        writeln!(text, "  refused {}: {}", refusal.hook, refusal.reason).unwrap();
    }
    text
}

#[test]
fn librdkafka() {
    let text: String = [
        "system-librdkafka.so",
        "wheel-openssl-3.0-plt",
        "wheel-openssl-3.5",
        "wheel-openssl-3.5-stripped",
    ]
    .iter()
    .map(|name| text_of(name))
    .collect();
    insta::with_settings!({omit_expression => true}, { insta::assert_snapshot!(text) });
}

/// From 2.0 to the newest, with and without the names of its inner functions, the same calls are hooked.
#[test]
fn versions_of_librdkafka_are_hooked_alike() {
    let calls = |name: &str| -> Vec<(&str, u8, u8)> {
        let plan = plan_of(name);
        assert_eq!(plan.calls_refused, [], "{name}");
        // 2.0 has no rd_kafka_offset_store_message.
        plan.calls
            .iter()
            .filter(|call| call.name != "rd_kafka_offset_store_message")
            .map(|call| (call.name, call.shape.means, call.shape.walk))
            .collect()
    };
    let oldest = calls("system-librdkafka.so");
    assert!(oldest.contains(&("rd_kafka_consumer_poll", means::HANDS_OVER, walk::ONE)));
    assert!(oldest.contains(&("rd_kafka_event_message_next", means::HANDS_OVER, walk::ONE)));
    for name in [
        "wheel-openssl-3.0-plt",
        "wheel-openssl-3.5",
        "rdkafka-static",
    ] {
        assert_eq!(calls(name), oldest, "{name}");
    }
}

/// Every site has one meaning for each guard; a shape that is not told apart from another one would count twice.
#[test]
fn no_site_has_the_same_shape_twice() {
    for name in ["system-librdkafka.so", "wheel-openssl-3.5"] {
        let plan = plan_of(name);
        for (at, one) in plan.calls.iter().enumerate() {
            let again = plan.calls.iter().skip(at + 1);
            let mut same = again.filter(|other| other.at == one.at);
            assert!(
                same.all(|other| other.shape.means != one.shape.means
                    || other.shape.expect != one.shape.expect
                    || other.shape.guard != one.shape.guard),
                "{name}: {}",
                one.name
            );
        }
    }
}

//! Plans of real files, as text: every site is shown as the instruction that objdump sees there.

#[path = "../../symbolizer/tests/support/mod.rs"]
mod support;

use std::fmt::Write;
use std::path::Path;

use obi_abi::count;
use support::{fixture, go_versions, objdump};
use symbolizer::Binary;
use tls_hooks::{Hook, HookPlan, ReturnSite, Returns, Scope, plan};

fn plan_of(name: &str) -> HookPlan {
    plan(&Binary::open(&fixture(name)).unwrap())
}

/// A site as `0x1234 push`, or as `push` for files that depend on this machine's compiler.
fn site(binary: &Binary, path: &Path, offset: u64, exact: bool) -> String {
    let address = binary.address(offset).unwrap();
    let text = objdump(path, address, address + 16).into_iter().next();
    let (at, text) = text.unwrap_or_default();
    let file = path.display();
    assert_eq!(at, address, "{file}: {offset:#x} is not an instruction");
    let word = text.split(' ').next().unwrap_or_default();
    if exact {
        format!("{offset:#x} {word}")
    } else {
        word.to_owned()
    }
}

fn text_of(name: &str, exact: bool) -> String {
    let path = fixture(name);
    let binary = Binary::open(&path).unwrap();
    let plan = plan(&binary);
    let show = |offset: u64| site(&binary, &path, offset, exact);
    let list = |sites: &[u64]| {
        sites
            .iter()
            .map(|s| show(*s))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut text = String::new();
    let (tls, client, scope) = (&plan.tls, &plan.client, plan.scope == Scope::File);
    let scope = if scope { "file" } else { "process" };
    writeln!(
        text,
        "{name}: tls {tls:?}, client {client:?}, scope {scope}"
    )
    .unwrap();
    for hook in &plan.hooks {
        let Hook {
            name,
            shape,
            entry,
            returns,
        } = hook;
        let returns = match returns {
            Returns::None => "-".to_owned(),
            Returns::Sites(sites) => {
                let text = |site: &ReturnSite| match site.stack {
                    0 => show(site.at),
                    stack => format!("{} rsp+{stack:#x}", show(site.at)),
                };
                format!(
                    "[{}]",
                    sites.iter().map(text).collect::<Vec<_>>().join(", ")
                )
            }
            Returns::Uretprobe { function, sites } => {
                format!("uretprobe {} or [{}]", show(*function), list(sites))
            }
        };
        let mut shape_text = format!("role {}", shape.role);
        if shape.count == count::RECORD {
            write!(shape_text, " record at {:#x}", shape.reader).unwrap();
        }
        if shape.count == count::POINTER {
            write!(shape_text, " count *{}", shape.count_arg).unwrap();
        }
        if shape.fd_steps > 0 {
            let path = &shape.fd_path[..usize::from(shape.fd_steps)];
            write!(shape_text, " fd {path:?} itab {:#x}", shape.itab).unwrap();
        }
        let entry = entry.map_or_else(|| "-".to_owned(), show);
        writeln!(text, "  {name} {shape_text}: {entry} -> {returns}").unwrap();
    }
    for refusal in &plan.refused {
        let (hook, reason, mend) = (refusal.hook, &refusal.reason, &refusal.mend);
        writeln!(text, "  refused {hook}: {reason}; {mend}").unwrap();
    }
    text
}

fn texts(names: &[&str], exact: bool) -> String {
    names.iter().map(|name| text_of(name, exact)).collect()
}

#[test]
fn go_programs() {
    let text = texts(
        &[
            "go1.18-exe-stripped",
            "go1.18-pie-stripped",
            "go1.22-exe-stripped",
            "go1.22-pie-stripped",
            "go1.26-exe-stripped",
            "go1.26-pie-stripped",
            "franz",
            "franz-stripped",
            "franz-pie-stripped",
            "franz-go1.22",
            "franz-go1.22-stripped",
            "franz-go1.22-pie-stripped",
            "sarama",
            "segmentio",
        ],
        true,
    );
    insta::with_settings!({omit_expression => true}, { insta::assert_snapshot!(text) });
}

#[test]
fn wheels() {
    let text = texts(
        &[
            "wheel-openssl-3.5",
            "wheel-openssl-3.5-stripped",
            "wheel-openssl-3.0-plt",
            "wheel-openssl-3.0-plt-stripped",
            "wheel-openssl-1.1.1",
            "wheel-openssl-1.1.1-stripped",
            "wheel-openssl-4.0",
            "wheel-openssl-4.0-stripped",
        ],
        true,
    );
    insta::with_settings!({omit_expression => true}, { insta::assert_snapshot!(text) });
}

#[test]
fn programs_of_this_machines_compiler() {
    let text = texts(
        &[
            "c-dynamic",
            "c-static",
            "c-static-stripped",
            "c-static-pie",
            "c-static-pie-stripped",
            "c-shared.so",
            "c-shared.so-stripped",
            "confluent",
            "confluent-stripped",
            "rdkafka-static",
            "rdkafka-static-stripped",
            "system-libssl.so",
            "system-kcat",
            "system-librdkafka.so",
        ],
        false,
    );
    insta::with_settings!({omit_expression => true}, { insta::assert_snapshot!(text) });
}

#[test]
fn stripping_a_go_program_changes_nothing() {
    for version in go_versions() {
        for kind in ["exe", "pie", "external", "external-pie"] {
            let name = format!("{version}-{kind}");
            let (with, without) = (plan_of(&name), plan_of(&format!("{name}-stripped")));
            assert_eq!(with.hooks.len(), 3, "{name}");
            // The itab is found by symbol in one and by its methods in the other.
            for hook in &with.hooks {
                assert!(hook.shape.itab != 0 && hook.shape.fd_steps == 3, "{name}");
                // Read: behind both calls that open a record. Write: one return site in the deferred unlock; the others are RETs that it
                // does not lead to.
                if let Returns::Sites(sites) = &hook.returns {
                    let on_stack = sites.iter().filter(|site| site.stack > 0).count();
                    let expected = match hook.entry {
                        None => (count::RECORD, 2, 2),
                        Some(_) => (count::RETURN, 1, 4),
                    };
                    let found = (hook.shape.count, on_stack, sites.len());
                    assert_eq!(found, expected, "{name} {}", hook.name);
                }
            }
            assert_eq!(with, without, "{name}");
            // What the code of Read shows is what DWARF says.
            let binary = Binary::open(&fixture(&name)).unwrap();
            let input = binary.members(&[("crypto/tls.Conn", "input")]);
            let read = with.hooks.iter().find(|hook| hook.entry.is_none());
            let reader = read.map(|hook| u64::from(hook.shape.reader));
            assert!(reader.is_some() && input == [reader], "{name}: {input:?}");
        }
    }
}

/// (entry, returns) of the calls that move bytes, ascending.
fn transfers(plan: &HookPlan) -> Vec<(Option<u64>, Returns)> {
    let hooks = plan
        .hooks
        .iter()
        .filter(|hook| hook.returns != Returns::None);
    let mut sites: Vec<(Option<u64>, Returns)> = hooks
        .map(|hook| (hook.entry, hook.returns.clone()))
        .collect();
    sites.sort_by_key(|(entry, _)| *entry);
    sites
}

#[test]
fn openssl_is_hooked_at_the_same_sites_without_symbols() {
    for name in [
        "wheel-openssl-3.5",
        "wheel-openssl-4.0",
        "c-static",
        "c-static-pie",
        "c-shared.so",
        "confluent",
        "rdkafka-static",
    ] {
        let (with, without) = (plan_of(name), plan_of(&format!("{name}-stripped")));
        assert_eq!(transfers(&with).len(), 4, "{name}");
        assert_eq!(transfers(&with), transfers(&without), "{name}");
        let client = |plan: &HookPlan| plan.client.as_ref().map(|(name, _)| *name);
        assert_eq!(client(&with), client(&without), "{name}");
        assert_eq!(with.scope, without.scope, "{name}");
        // What is known of SSL_set_fd and SSL_clear without a symbol is known exactly.
        for hook in without
            .hooks
            .iter()
            .filter(|hook| hook.returns == Returns::None)
        {
            assert!(with.hooks.contains(hook), "{name}: {}", hook.name);
        }
    }
}

#[test]
fn other_machines_are_refused_by_name() {
    let plan = plan_of("go1.26-arm64");
    assert_eq!((plan.hooks.len(), plan.tls), (0, None));
    let [refusal] = &plan.refused[..] else {
        panic!("{:?}", plan.refused)
    };
    assert_eq!(refusal.reason, "only x86-64 programs can be hooked");
}

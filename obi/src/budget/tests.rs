//! Accounts against what is known for certain: how often a function was called, and the kernel's own statistics of the programs.

use std::arch::global_asm;
use std::path::Path;

use libbpf_rs::query::ProgInfoIter;
use obi_abi::ClientShape;
use obi_abi::client::means;
use obi_abi::cost::{CLASS_BITS, class};
use tls_hooks::{CallHook, CallSite, HookPlan};

use super::calibrate::file_offset;
use super::prices::Prices;
use super::{Group, Ledger};
use crate::attach::Kernel;
use crate::attach::kernel::Target;
use crate::discovery::process::ReturnProbe;

const CALLS: u64 = 1000;

global_asm!(
    ".pushsection .text.obi_budget_test, \"ax\", @progbits",
    ".globl obi_budget_test",
    ".hidden obi_budget_test",
    "obi_budget_test:",
    "push rbp",
    "pop rbp",
    ".globl obi_budget_test_ret",
    ".hidden obi_budget_test_ret",
    "obi_budget_test_ret:",
    "ret",
    ".popsection",
);

// SAFETY: defined above; the second is only asked for its address.
unsafe extern "C" {
    safe fn obi_budget_test();
    safe fn obi_budget_test_ret();
}

fn call(name: &'static str, at: CallSite, per_message: bool) -> CallHook {
    CallHook {
        name,
        // Told at once, so that the program does what it does for others.
        shape: ClientShape {
            means: means::ASKS,
            ..ClientShape::NOTHING
        },
        at,
        per_message,
    }
}

/// Times that programs of this name ran, and nanoseconds, as the kernel has it.
fn kernel_says(name: &str) -> (u64, u64) {
    ProgInfoIter::default()
        .filter(|program| program.name == name)
        .fold((0, 0), |(runs, ns), program| {
            (runs + program.run_cnt, ns + program.run_time_ns)
        })
}

#[test]
fn so_many_calls_are_so_many_hits_and_cost_their_price() {
    let mut kernel = Kernel::load(&Kernel::least()).unwrap();
    let prices = Prices {
        ns: [1, 10, 100, 1000, 2, 20, 200, 2000],
        measured: true,
    };
    let mut ledger = Ledger::new(kernel.costs().unwrap(), prices);
    let offset = |function: extern "C" fn()| file_offset(function as usize as u64).unwrap();
    let plan = HookPlan {
        calls: vec![
            call("entry", CallSite::Entry(offset(obi_budget_test)), true),
            call(
                "return",
                CallSite::Returns(vec![offset(obi_budget_test_ret)]),
                false,
            ),
        ],
        ..HookPlan::default()
    };
    let own = std::process::id();
    let exe = Path::new("/proc/self/exe");
    let target = Target {
        path: exe,
        pid: Some(own),
        plan: &plan,
        safety: ReturnProbe::Safe,
    };
    let attached = kernel.attach(&target, true);
    assert!(attached.all().all(|hook| hook.refused.is_none()));
    assert_eq!(ledger.spent(own).total(), 0);

    let switch = Path::new("/proc/sys/kernel/bpf_stats_enabled");
    let before = std::fs::read_to_string(switch).unwrap();
    std::fs::write(switch, "1").unwrap();
    let programs = ["client_entry", "client_return"];
    let earlier = programs.map(kernel_says);
    for _ in 0..CALLS {
        std::hint::black_box(obi_budget_test as extern "C" fn())();
    }
    let later = programs.map(kernel_says);
    std::fs::write(switch, before.trim()).unwrap();

    let costs = kernel.costs().unwrap().of(own).unwrap();
    let cell =
        |group: Group, class: u8| costs.hits[usize::from(group.number() << CLASS_BITS | class)];
    assert_eq!(cell(Group::EachMessage, class::EMULATED), CALLS);
    assert_eq!(cell(Group::Batches, class::STEPPED), CALLS);
    assert_eq!(costs.hits.iter().sum::<u64>(), 2 * CALLS);
    let [tls, batches, each, _] = costs.ran;
    let spent = ledger.spent(own);
    assert_eq!(spent.hits, [0, CALLS, CALLS]);
    assert_eq!(spent.of(Group::EachMessage), CALLS * 100 + each);
    assert_eq!(spent.of(Group::Batches), CALLS * 1000 + batches);
    assert_eq!((spent.of(Group::Tls), tls), (0, 0));
    assert_eq!(ledger.spent(1).total(), 0, "another process pays nothing");

    // What the kernel measured is ours, and besides the program's first and last steps, which the price holds.
    for ((earlier, later), ran) in earlier.into_iter().zip(later).zip([each, batches]) {
        let (runs, ns) = (later.0 - earlier.0, later.1 - earlier.1);
        assert!(runs >= CALLS, "{runs} runs");
        let (kernel, ours) = (ns / runs, ran / CALLS);
        assert!(
            ours <= kernel + 20 && kernel <= ours + 2000,
            "a run takes {kernel} ns by the kernel, {ours} ns by its own clock"
        );
    }
    let closed = ledger.close(own);
    assert_eq!(closed.hits, spent.hits);
    assert_eq!(ledger.spent(own).total(), 0, "the pid may be another's now");
}

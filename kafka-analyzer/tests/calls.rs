//! Any sequence of calls: a hand-over ends once at most, nothing lasts less than no time, memory is bounded, every replay says the same.

mod conversation;

use std::collections::HashMap;

use conversation::calls::*;
use conversation::*;
use kafka_analyzer::Settings;
use kafka_analyzer::capture::{Means, Task};
use kafka_analyzer::observation::Observation;
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Step {
    task: u64,
    client: u64,
    means: Means,
    partition: i32,
    first: i64,
    more: i64,
    wait: u64,
    /// Of truncated, fault, cut (its last run is missing).
    flaw: u8,
    address: u64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let means = prop_oneof![
        4 => Just(Means::Asks),
        4 => Just(Means::HandsOver),
        3 => Just(Means::Settles),
        1 => prop::sample::select(Means::ALL.to_vec()),
    ];
    let wait = prop_oneof![
        8 => 0..2 * MILLISECOND,
        1 => 0..8 * SECOND,
    ];
    let step = (
        (0..4_u64, 0..2_u64, means),
        (0..2_i32, 0..30_i64, 0..4_i64),
        (wait, 0..40_u8, 0..3_u64),
    );
    let step = step.prop_map(
        |((task, client, means), (partition, first, more), (wait, flaw, address))| Step {
            task,
            client,
            means,
            partition,
            first,
            more,
            wait,
            flaw,
            address,
        },
    );
    prop::collection::vec(step, 0..120)
}

fn captured(steps: &[Step]) -> Vec<Captured> {
    let mut calls = Calls::default();
    for step in steps {
        calls.works(step.wait);
        calls.task = Task::Goroutine(step.task);
        calls.client = step.client;
        calls.partition = step.partition;
        let names = !matches!(
            step.means,
            Means::Asks | Means::SettlesAll | Means::Closes | Means::Panics | Means::TaskEnds
        );
        if !names {
            calls.says(step.means);
            continue;
        }
        calls.of(step.means, step.first, step.first + step.more);
        if let Some(Captured::Call(call)) = calls.events.last_mut() {
            call.message = step.address;
            call.truncated = step.flaw == 1;
            call.fault = step.flaw == 2;
            call.complete = step.flaw != 3;
        }
    }
    with(calls)
}

/// What comes from calls.
fn json(observations: &[Observation]) -> Vec<String> {
    let of_calls = observations.iter().filter(|observation| {
        matches!(
            observation,
            Observation::Processing(_)
                | Observation::Delivered(_)
                | Observation::ProcessingError(_)
                | Observation::PollInterval(_)
        )
    });
    of_calls
        .map(|observation| serde_json::to_string(observation).unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_hand_over_ends_once_at_most(steps in steps()) {
        let said = run(&captured(&steps));
        // How often each message was handed over, and ended.
        let mut handed: HashMap<(i32, i64), u32> = HashMap::new();
        for step in steps.iter().filter(|step| step.means.gives()) {
            for offset in step.first..=step.first + step.more {
                *handed.entry((step.partition, offset)).or_default() += 1;
            }
        }
        let mut done = 0;
        let mut ended: HashMap<(i32, i64), u32> = HashMap::new();
        for observation in &said {
            let Observation::Processing(work) = observation else {
                continue;
            };
            prop_assert!(work.began <= work.ended, "{work:?}");
            prop_assert!(work.count >= 1 && work.first <= work.last, "{work:?}");
            prop_assert!(i64::from(work.count) <= work.last - work.first + 1, "{work:?}");
            done += work.count;
            // What was left of a batch may have holes.
            if i64::from(work.count) == work.last - work.first + 1 {
                for offset in work.first..=work.last {
                    *ended.entry((work.partition, offset)).or_default() += 1;
                }
            }
        }
        for (message, times) in ended {
            prop_assert!(times <= handed.get(&message).copied().unwrap_or(0), "{message:?}");
        }
        let told: u32 = delivered(&said).iter().map(|d| d.count).sum();
        prop_assert!(done <= told && told <= handed.values().sum(), "{done} of {told}");
    }

    #[test]
    fn every_replay_says_the_same(steps in steps(), shards in 2..4_usize) {
        let events = captured(&steps);
        let settings = Settings::default();
        let (one, more) = (run_with(&settings, &events, 1).0, run_with(&settings, &events, shards).0);
        prop_assert_eq!(json(&one), json(&more));
    }
}

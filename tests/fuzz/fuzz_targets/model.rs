//! Any sequence of well-formed facts of groups, offsets and transactions. In: bytes as a script; out: nothing breaks, and what is said is true.
//!
//! A message in hand ends once at most, and not before it began. Generations go back, ids are used again, topics stay unknown, clocks jump. Checked: lag is what its two offsets make it, a member counts
//! no rebalance that no answer brought, tables keep below their caps.
#![no_main]

mod model_facts;

use std::collections::HashMap;
use std::sync::Arc;

use kafka_analyzer::observation::{Observation, ProcessingBasis};
use kafka_analyzer::{Model, Settings};
use libfuzzer_sys::arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;

/// Of one script; more shows nothing new.
const FACTS_MOST: usize = 400;

fuzz_target!(|script: &[u8]| {
    let mut script = Unstructured::new(script);
    let mut facts = model_facts::Facts::default();
    let mut model = Model::new(&Settings::default());
    let mut heard = Heard::default();
    let mut out = Vec::new();
    for _ in 0..FACTS_MOST {
        if script.is_empty() {
            break;
        }
        let Ok(fact) = facts.next(&mut script) else {
            break;
        };
        heard.answer(&fact);
        match script.arbitrary() {
            Ok(200..=255_u8) => model.advance(fact.known, &mut out),
            _ => model.fact(fact, &mut out),
        }
        heard.check(&out);
        out.clear();
    }
    for (table, entries, cap) in model.tables() {
        assert!(entries <= cap, "{table}: {entries} of {cap}");
    }
    model.finish(&mut out);
    heard.check(&out);
});

/// Group and member.
type Speaker = (Arc<str>, Arc<str>);

/// What a member may have completed at most.
#[derive(Default)]
struct Heard {
    answered: HashMap<Speaker, u64>,
    counted: HashMap<Speaker, u64>,
    /// Messages handed over and not done, by process, topic and partition.
    in_hand: HashMap<(u32, Arc<str>, i32), u64>,
}

impl Heard {
    fn answer(&mut self, fact: &kafka_analyzer::Fact) {
        if let Some(speaker) = model_facts::completes(fact) {
            *self.answered.entry(speaker).or_default() += 1;
        }
    }

    fn check(&mut self, said: &[Observation]) {
        for observation in said {
            match observation {
                Observation::Lag(lag) => {
                    assert!(lag.offset >= 0 && lag.high_watermark >= 0, "{lag:?}");
                    let behind = lag.high_watermark.saturating_sub(lag.offset).max(0);
                    assert_eq!(lag.messages, behind as u64, "{lag:?}");
                    assert!(
                        lag.messages > 0 || lag.oldest_timestamp_ms.is_none(),
                        "{lag:?}"
                    );
                }
                Observation::CommittedOffset(committed) => {
                    assert!(committed.offset >= 0, "{committed:?}");
                }
                Observation::Rebalance(rebalance) if rebalance.duration_ns.is_none() => {
                    let speaker = (
                        Arc::clone(&rebalance.group),
                        Arc::clone(&rebalance.member_id),
                    );
                    let answered = self.answered.get(&speaker).copied().unwrap_or(0);
                    let counted = self.counted.entry(speaker).or_default();
                    *counted += 1;
                    assert!(*counted <= answered, "{rebalance:?}");
                }
                Observation::Group(group) => {
                    let mut ids: Vec<_> = group.members.iter().map(|m| &m.member_id).collect();
                    ids.dedup();
                    assert_eq!(ids.len(), group.members.len(), "a member twice: {group:?}");
                    assert!(ids.is_sorted(), "{group:?}");
                }
                Observation::Delivered(handed) => {
                    let key = (handed.pid, Arc::clone(&handed.topic), handed.partition);
                    *self.in_hand.entry(key).or_default() += u64::from(handed.count);
                }
                Observation::Processing(work) => {
                    assert!(work.began <= work.ended, "{work:?}");
                    assert!(work.count >= 1 && 0 <= work.first, "{work:?}");
                    let span = work.last.saturating_sub(work.first).saturating_add(1);
                    assert!(i64::from(work.count) <= span, "{work:?}");
                    if work.basis == ProcessingBasis::Commit {
                        // No hand-over was seen.
                        continue;
                    }
                    let key = (work.pid, Arc::clone(&work.topic), work.partition);
                    let left = self.in_hand.get(&key).copied().unwrap_or(0);
                    let left = left.checked_sub(u64::from(work.count));
                    self.in_hand.insert(key, left.expect("each ends once"));
                }
                _ => {}
            }
        }
    }
}

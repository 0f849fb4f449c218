//! What was tried and how it went. In: a test's name and its body. Out: lines for the reader, and the table of cells.
//!
//! Real brokers and clients on a busy machine are late now and then. What failed is tried twice more, with a broker and an agent of its own, and
//! counts as passed only if it passes both times; it is called unsteady then, with what it failed of. Half of the time wrong is failed.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use obi_lab::step::StopSignal;

/// A test that ran.
struct Entry {
    name: String,
    took: Duration,
    /// What was seen, or why it failed.
    outcome: Result<String, String>,
    /// Why it failed at first.
    unsteady: Option<String>,
}

/// Times that a test has to pass after it failed.
pub const AGAIN: usize = 2;
/// More tests than these do not fail by chance.
const AGAIN_MOST: usize = 5;
/// Of why a test failed, in the last lines.
const WHY_MOST: usize = 300;

pub struct Report {
    only: Vec<String>,
    /// Names in `only` are whole ones.
    whole: bool,
    stop: StopSignal,
    entries: Vec<Entry>,
}

impl Report {
    pub fn new(only: Vec<String>, stop: StopSignal) -> Self {
        Self {
            only,
            whole: false,
            stop,
            entries: Vec::new(),
        }
    }

    /// For another try of what failed; `None` if nothing did, or too much.
    pub fn again(&self) -> Option<Self> {
        let only: Vec<String> = self.failed().map(|entry| entry.name.clone()).collect();
        let some = (1..=AGAIN_MOST).contains(&only.len()) && !self.stop.came();
        some.then(|| Self {
            only,
            whole: true,
            stop: self.stop.clone(),
            entries: Vec::new(),
        })
    }

    /// All that failed passed in each of these tries: it was unsteady.
    pub fn passed_again(&mut self, tries: &[Self]) {
        for entry in &mut self.entries {
            let passed = |again: &Self| {
                let mut same = again
                    .entries
                    .iter()
                    .filter(|other| other.name == entry.name);
                same.any(|other| other.outcome.is_ok())
            };
            if let (Err(why), true) = (&entry.outcome, tries.iter().all(passed)) {
                entry.unsteady = Some(why.clone());
                entry.outcome = Ok(format!("passed {AGAIN} times when tried again"));
            }
        }
    }

    fn failed(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.outcome.is_err())
    }

    /// True if the test was asked for.
    pub fn wants(&self, name: &str) -> bool {
        let asked = |text: &String| match self.whole {
            true => name == text,
            false => name.contains(text),
        };
        self.only.is_empty() || self.only.iter().any(asked)
    }

    /// Runs one test; its `Ok` text says what was seen.
    pub fn test(&mut self, name: &str, body: impl FnOnce() -> Result<String>) {
        if !self.wants(name) || self.stop.came() {
            return;
        }
        println!("... {name}");
        let began = Instant::now();
        let outcome = body().map_err(|error| format!("{error:#}"));
        let took = began.elapsed();
        match &outcome {
            Ok(seen) => println!("ok  {name} ({:.1} s): {seen}", took.as_secs_f64()),
            Err(why) => println!("BAD {name} ({:.1} s): {why}", took.as_secs_f64()),
        }
        self.entries.push(Entry {
            name: name.to_owned(),
            took,
            outcome,
            unsteady: None,
        });
    }

    /// Prints what failed once more and the totals; true when nothing failed.
    pub fn end(&self) -> bool {
        let failed = self.failed().count();
        println!();
        for entry in &self.entries {
            let name = &entry.name;
            match (&entry.outcome, &entry.unsteady) {
                (Err(why), _) => println!("failed: {name}: {}", brief(why)),
                (Ok(_), Some(why)) => println!("unsteady: {name}: {}", brief(why)),
                _ => {}
            }
        }
        if self.stop.came() {
            println!("stopped by a signal before the end");
        }
        let nothing = usize::from(self.entries.is_empty() || self.stop.came());
        println!(
            "{} passed, {} failed",
            self.entries.len() - failed,
            failed + nothing
        );
        failed == 0 && nothing == 0
    }

    /// Markdown, one line a test.
    pub fn table(&self) -> String {
        let mut text = String::from(
            "# End-to-end tests\n\nWritten by `make test-full`. Every test compares the agent with the broker's own end offsets and with \
             what the clients wrote down; \"exact\" means that no count differed and no loss was counted.\n\n\
             | test | result | seconds | seen |\n|---|---|---|---|\n",
        );
        for Entry {
            name,
            took,
            outcome,
            unsteady,
        } in &self.entries
        {
            let (result, seen) = match outcome {
                Ok(seen) if unsteady.is_some() => ("exact when tried again", seen.as_str()),
                Ok(seen) => ("exact", seen.as_str()),
                Err(why) => ("**failed**", why.lines().next().unwrap_or_default()),
            };
            let _ = writeln!(
                text,
                "| {name} | {result} | {:.1} | {} |",
                took.as_secs_f64(),
                seen.replace('|', "\\|")
            );
        }
        text
    }
}

/// On one line.
fn brief(why: &str) -> String {
    let words: Vec<&str> = why.split_whitespace().collect();
    words.join(" ").chars().take(WHY_MOST).collect()
}

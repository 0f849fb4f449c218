//! What was tried and how it went. In: a test's name and its body. Out: lines for the reader, and the table of cells.
//!
//! Real brokers and clients on a busy machine are late now and then. A test that fails is tried twice more, and counts as passed only if both pass;
//! it is called unsteady then, with what it failed of. Half of the time wrong is failed.

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
const AGAIN: usize = 2;
/// Of why a test failed, in the last lines.
const WHY_MOST: usize = 300;

pub struct Report {
    only: Vec<String>,
    stop: StopSignal,
    entries: Vec<Entry>,
}

impl Report {
    pub fn new(only: Vec<String>, stop: StopSignal) -> Self {
        Self {
            only,
            stop,
            entries: Vec::new(),
        }
    }

    /// True if the test was asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| name.contains(text))
    }

    /// Runs one test; its `Ok` text says what was seen.
    pub fn test(&mut self, name: &str, mut body: impl FnMut() -> Result<String>) {
        if !self.wants(name) || self.stop.came() {
            return;
        }
        let began = Instant::now();
        let mut outcome = once(name, &mut body);
        let mut unsteady = None;
        if let Err(why) = &outcome {
            let why = why.clone();
            let all = (0..AGAIN).try_fold(String::new(), |_, _| match self.stop.came() {
                true => Err(why.clone()),
                false => once(name, &mut body),
            });
            if all.is_ok() {
                (outcome, unsteady) = (all, Some(why));
            }
        }
        self.entries.push(Entry {
            name: name.to_owned(),
            took: began.elapsed(),
            outcome,
            unsteady,
        });
    }

    /// Prints what failed once more and the totals; true when nothing failed.
    pub fn end(&self) -> bool {
        let failed: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| entry.outcome.is_err())
            .collect();
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
            self.entries.len() - failed.len(),
            failed.len() + nothing
        );
        failed.is_empty() && nothing == 0
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
                Ok(seen) if unsteady.is_some() => ("exact, at the second try", seen.as_str()),
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

fn once(name: &str, body: &mut impl FnMut() -> Result<String>) -> Result<String, String> {
    println!("... {name}");
    let began = Instant::now();
    let outcome = body().map_err(|error| format!("{error:#}"));
    let took = began.elapsed().as_secs_f64();
    match &outcome {
        Ok(seen) => println!("ok  {name} ({took:.1} s): {seen}"),
        Err(why) => println!("BAD {name} ({took:.1} s): {why}"),
    }
    outcome
}

/// On one line.
fn brief(why: &str) -> String {
    let words: Vec<&str> = why.split_whitespace().collect();
    words.join(" ").chars().take(WHY_MOST).collect()
}

//! What was tried and how it went. In: a test's name and its body. Out: lines for the reader, and the table of cells.

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
}

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
        for entry in &failed {
            println!("failed: {}", entry.name);
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
        } in &self.entries
        {
            let (result, seen) = match outcome {
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

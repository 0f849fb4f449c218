//! A process that calls hooked functions all the time: this binary once more. In: how many functions; a line of input for each question. Out: which call
//! it is at; at the end of its input how many calls it made, and the sum of what they returned.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::hooks;

/// Argument of the test binary that makes it call.
pub const CALLS: &str = "--calls";
const PAUSE: Duration = Duration::from_micros(500);
const PATIENCE: Duration = Duration::from_secs(60);

/// Numbers of calls, from 1: all up to `done` have returned, none above `begun` has begun.
#[derive(Clone, Copy, Debug)]
pub struct At {
    pub begun: u64,
    pub done: u64,
}

pub struct Caller {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Caller {
    pub fn start(functions: usize) -> Result<Caller> {
        let mut child = Command::new("/proc/self/exe")
            .args([CALLS, &functions.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("no pipe")?;
        Ok(Caller {
            input: child.stdin.take(),
            output: BufReader::new(output),
            child,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn line(&mut self) -> Result<(u64, u64)> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let mut number = || -> Result<u64> {
            let word = words.next().with_context(|| format!("it says {line:?}"))?;
            Ok(word.parse()?)
        };
        Ok((number()?, number()?))
    }

    pub fn at(&mut self) -> Result<At> {
        let input = self.input.as_mut().context("it has ended")?;
        writeln!(input)?;
        let (begun, done) = self.line()?;
        Ok(At { begun, done })
    }

    /// Waits until so many calls more have returned.
    pub fn goes_on(&mut self, calls: u64) -> Result<At> {
        let end = self.at()?.begun + calls;
        let limit = Instant::now() + PATIENCE;
        loop {
            let at = self.at()?;
            if at.done >= end {
                return Ok(at);
            }
            ensure!(Instant::now() < limit, "it does not go on: {at:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// It ends well, and all that it called returned what it should.
    pub fn end(mut self) -> Result<u64> {
        self.input = None;
        let (calls, sum) = self.line()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "it ended with {status}");
        let expected = 3 * (calls * (calls + 1) / 2) + calls;
        ensure!(sum == expected, "{calls} calls gave {sum}, not {expected}");
        Ok(calls)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // It ends with its input. After `end` it is gone.
        self.input = None;
        let _ = self.child.wait();
    }
}

/// The caller itself.
pub fn call_all_the_time(functions: Option<String>) -> Result<()> {
    let functions: usize = functions.context("how many functions?")?.parse()?;
    let (begun, done, over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| -> Result<()> {
        let calling = scope.spawn(|| {
            let (mut number, mut sum) = (0, 0);
            while !over.load(SeqCst) {
                number += 1;
                begun.store(number, SeqCst);
                sum += hooks::many(number as usize % functions.max(1), number);
                done.store(number, SeqCst);
                std::thread::sleep(PAUSE);
            }
            (number, sum)
        });
        let mut output = std::io::stdout();
        let answered = std::io::stdin().lines().try_for_each(|line| {
            line?;
            // What has returned is read first: neither number says too much.
            let returned = done.load(SeqCst);
            writeln!(output, "{} {returned}", begun.load(SeqCst))
        });
        over.store(true, SeqCst);
        let (calls, sum) = calling.join().ok().context("the calls ended in a panic")?;
        writeln!(output, "{calls} {sum}")?;
        Ok(answered?)
    })
}

//! What the loader library prints, kept instead of printed. In: libbpf's warnings; out: the reason behind an error code.
//!
//! A verifier log runs to pages: the last lines are kept, cut in length.

use std::collections::VecDeque;
use std::error::Error as _;
use std::sync::{Mutex, Once, PoisonError};

use libbpf_rs::PrintLevel;

const LINES: usize = 12;
const WIDTH: usize = 240;

static KEPT: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());
static INSTALLED: Once = Once::new();

/// Forgets what was printed so far, and keeps what comes.
pub fn capture() {
    INSTALLED.call_once(|| {
        libbpf_rs::set_print(Some((PrintLevel::Warn, keep)));
    });
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

fn keep(_: PrintLevel, text: String) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    for line in text.lines().map(str::trim).filter(|line| {
        !line.is_empty() && !line.starts_with("processed ") && !line.starts_with("stack depth")
    }) {
        tracing::debug!(target: "libbpf", "{line}");
        if kept.len() == LINES {
            kept.pop_front();
        }
        kept.push_back(line.chars().take(WIDTH).collect());
    }
}

/// The error with its causes and the library's last words.
pub fn explain(error: &libbpf_rs::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    // The verifier's verdict stands right before the end of its log.
    let end = kept
        .iter()
        .position(|line| line.contains("-- END PROG LOAD LOG"));
    let program = kept
        .iter()
        .find_map(|line| line.split_once("prog '")?.1.split('\'').next());
    let verdict = match end {
        Some(end) => end.checked_sub(1).and_then(|at| kept.get(at)),
        None => kept.front(),
    };
    match (program, verdict) {
        (Some(program), Some(verdict)) => format!("{text} (program {program}: {verdict})"),
        (None, Some(line)) if !text.contains(line.as_str()) => format!("{text} ({line})"),
        _ => text,
    }
}

/// EPERM: not allowed at all. The verifier refuses with EACCES, which has the same kind.
pub fn is_forbidden(error: &libbpf_rs::Error) -> bool {
    format!("{error:#}").contains("(os error 1)")
}

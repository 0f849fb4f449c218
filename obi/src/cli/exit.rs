//! How a command ends: exit codes, and errors as a person reads them. A reader that went away (broken pipe) is success.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Fine = 0,
    /// Something was found, or something failed.
    Finding = 1,
    Usage = 2,
    NotPermitted = 3,
    Unsupported = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error that carries its exit code and, where one is known, the step that mends it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure {
            exit,
            message: message.into(),
            hint: None,
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }
}

/// Writes an error to stderr and picks its exit code.
pub fn report(error: anyhow::Error) -> Exit {
    let failure = error.downcast_ref::<Failure>();
    let mut text = format!("error: {}\n", chain(&error));
    if let Some(hint) = failure.and_then(|f| f.hint.as_deref()) {
        text.push_str(&format!("hint: {hint}\n"));
    }
    // Nobody is left to tell when stderr is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
    match failure {
        Some(failure) => failure.exit,
        None if permission(&error) => Exit::NotPermitted,
        None => Exit::Finding,
    }
}

fn chain(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

fn permission(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == ErrorKind::PermissionDenied)
    })
}

/// Writes to stdout.
pub fn print(text: &str) -> anyhow::Result<Exit> {
    print_on(text).map(|_| Exit::Fine)
}

/// Writes to stdout; false when the reader went away.
pub fn print_on(text: &str) -> anyhow::Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(e.into()),
    }
}

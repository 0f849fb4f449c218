//! What the running agent answers: HTTP for machines, a Unix socket for the command line.

pub mod control;
pub mod http;

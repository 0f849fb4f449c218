//! File to facts: what an ELF file says about itself, read by `pread` and never held whole in memory.
//!
//! In: a path (or bytes, in tests and fuzzing). Out: build id, needed libraries, functions with their extents from
//! symbol tables, Go's pclntab or unwind tables, Go build information, struct layouts, return sites and cheap probe
//! sites. Every count of the file is checked against the bytes at hand; a lying or shrinking file gives an error or
//! an absent fact. Knows no library by name and attaches nothing; 64-bit little-endian ELF only.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)
)]

mod binary;
mod build_id;
mod cache;
pub mod code;
mod dwarf;
mod elf;
mod go;
mod relocations;
mod scan;
mod source;
mod symbols;
mod unwind;

pub use binary::Binary;
pub use build_id::{BuildId, Identity};
pub use cache::Cache;
pub use elf::{Machine, Section, Segment};
pub use go::{Go, GoVersion, Module};
pub use symbols::{Function, Symbol, Table};

/// Why a file gives no facts. An absent fact is never an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the file: {0}")]
    Io(#[from] std::io::Error),
    #[error("not an ELF file")]
    NotElf,
    #[error("not supported: {0}")]
    Unsupported(&'static str),
    #[error("malformed ELF: {0}")]
    Malformed(&'static str),
}

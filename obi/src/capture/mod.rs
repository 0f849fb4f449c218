//! Where capture events come from, the running kernel or a file, and how they are stored.

pub mod calls;
pub mod decode;
pub mod live;
pub mod recording;
pub mod redact;
pub mod ring;

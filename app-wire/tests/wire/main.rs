//! The parsers against conversations of real servers and clients (`../data`, made by `../capture`): the exact calls, at any split of the
//! stream, at any gap, and without a trace of what is secret.

mod captures;
mod conversation;
mod gaps;
mod scripts;
mod splits;

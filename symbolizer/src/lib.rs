//! File to facts.

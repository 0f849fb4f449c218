//! Chores of the repository that are more than one line of shell: `cargo xtask <chore>`.
fn main() {}

//! Offsets in structs of the Go library on 64-bit machines, by Go version.
//!
//! In: minor version (26 of go1.26.8), struct and member. Out: bytes from the start of the struct. For binaries
//! without DWARF; each row was read from the DWARF of binaries of these versions.

struct Row {
    structure: &'static str,
    member: &'static str,
    /// Go 1.N, inclusive.
    versions: (u32, u32),
    offset: u64,
}

const fn row(
    structure: &'static str,
    member: &'static str,
    versions: (u32, u32),
    offset: u64,
) -> Row {
    Row {
        structure,
        member,
        versions,
        offset,
    }
}

const TABLE: [Row; 4] = [
    row("crypto/tls.Conn", "conn", (18, 26), 0),
    row("net.conn", "fd", (18, 26), 0),
    row("net.netFD", "pfd", (18, 26), 0),
    row("internal/poll.FD", "Sysfd", (18, 26), 16),
];

pub(super) fn member(minor: u32, structure: &str, member: &str) -> Option<u64> {
    let wanted = |row: &&Row| row.structure == structure && row.member == member;
    let row = TABLE
        .iter()
        .filter(wanted)
        .find(|row| (row.versions.0..=row.versions.1).contains(&minor))?;
    Some(row.offset)
}

//! Offsets in structs of the Go library on 64-bit machines, by Go version.
//!
//! In: minor version (26 of go1.26.8), struct and member. Out: bytes from the start of the struct. Only what was read from
//! DWARF stands here; versions that are not here are left to the DWARF of the program itself.

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

/// Read from the DWARF of programs built by 1.18.10, 1.19.13, 1.20.14, 1.21.0, 1.22.12, 1.23.12, 1.24.9, 1.25.3 and 1.26.8.
const TABLE: [Row; 15] = [
    row("crypto/tls.Conn", "conn", (18, 26), 0),
    row("net.conn", "fd", (18, 26), 0),
    row("net.netFD", "pfd", (18, 26), 0),
    row("internal/poll.FD", "Sysfd", (18, 26), 16),
    row("runtime.g", "m", (18, 26), 48),
    row("runtime.g", "goid", (18, 22), 152),
    row("runtime.g", "goid", (23, 24), 160),
    row("runtime.g", "goid", (25, 26), 152),
    row("runtime.g", "parentGoid", (21, 22), 272),
    row("runtime.g", "parentGoid", (23, 24), 280),
    row("runtime.g", "parentGoid", (25, 25), 272),
    row("runtime.g", "parentGoid", (26, 26), 280),
    row("net/http.http2responseWriter", "rws", (18, 26), 0),
    row("net/http.http2responseWriterState", "stream", (18, 26), 0),
    row("net/http.http2stream", "id", (18, 26), 8),
];

pub(super) fn member(minor: u32, structure: &str, member: &str) -> Option<u64> {
    let wanted = |row: &&Row| row.structure == structure && row.member == member;
    let row = TABLE
        .iter()
        .filter(wanted)
        .find(|row| (row.versions.0..=row.versions.1).contains(&minor))?;
    Some(row.offset)
}

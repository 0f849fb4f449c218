//! Prints offsets of Go struct members by DWARF: `cargo run -p symbolizer --example members -- FILE...`
//!
//! For extending the table in `go/layout.rs` when a new Go version comes out.

use std::path::Path;

const WANTED: [(&str, &str); 13] = [
    ("crypto/tls.Conn", "conn"),
    ("net.conn", "fd"),
    ("net.netFD", "pfd"),
    ("internal/poll.FD", "Sysfd"),
    ("runtime.g", "goid"),
    ("runtime.g", "m"),
    ("runtime.g", "parentGoid"),
    ("net/http.http2responseWriter", "rws"),
    ("net/http.http2responseWriterState", "stream"),
    ("net/http.http2stream", "id"),
    // By hand in `xtask/src/layouts/wanted.rs`.
    ("google.golang.org/grpc/internal/transport.Stream", "id"),
    (
        "google.golang.org/grpc/internal/transport.ServerStream",
        "Stream",
    ),
    (
        "google.golang.org/grpc/internal/transport.ServerStream",
        "st",
    ),
];

fn main() -> Result<(), symbolizer::Error> {
    for path in std::env::args().skip(1) {
        let binary = symbolizer::Binary::open(Path::new(&path))?;
        for ((structure, member), offset) in WANTED.iter().zip(binary.members(&WANTED)) {
            println!("{path}: {structure}.{member} {offset:?}");
        }
    }
    Ok(())
}

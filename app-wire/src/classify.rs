//! What a connection is, from the first bytes of both directions. In: what was captured of each so far, from its beginning or from somewhere
//! in the middle. Out: a [`Kind`]; only the ends that we follow are recognised, a client of HTTP or a server of PostgreSQL is `Unknown`.

use crate::http2::PREFACE;
use crate::postgres::is_client;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Http1Server,
    Http2Server,
    PostgresClient,
    Unknown,
    /// Not enough bytes to tell.
    NeedMore,
}

/// A request line longer than this is taken for one by its beginning.
const LINE: usize = 256;

/// `read` and `written` as the watched process sees them.
pub fn classify(read: &[u8], written: &[u8]) -> Kind {
    // Whoever writes a request is a client.
    let asks = |bytes: &[u8]| match request_line(bytes) {
        _ if bytes.is_empty() => Some(false),
        Some(false) if bytes.starts_with(PREFACE) => Some(true),
        Some(false) if PREFACE.starts_with(bytes) => None,
        known => known,
    };
    match asks(written) {
        Some(true) => return Kind::Unknown,
        None => return Kind::NeedMore,
        Some(false) => {}
    }
    // A server of HTTP/2 need not wait for the preface to say what it wants.
    if (read.is_empty() || read.starts_with(PREFACE) || PREFACE.starts_with(read))
        && let Some(begins) = begins_settings(written)
    {
        return if begins {
            Kind::Http2Server
        } else {
            Kind::NeedMore
        };
    }
    // Joined between a request and its answer.
    if read.is_empty() && written.starts_with(b"HTTP/1.") {
        return Kind::Http1Server;
    }
    let client = is_client(read, written);
    if client == Some(true) {
        return Kind::PostgresClient;
    }
    if !read.is_empty() {
        if read.starts_with(PREFACE) {
            return Kind::Http2Server;
        }
        match request_line(read) {
            Some(true) => return Kind::Http1Server,
            None => return Kind::NeedMore,
            Some(false) if PREFACE.starts_with(read) => return Kind::NeedMore,
            Some(false) => {}
        }
    }
    match client {
        Some(_) => Kind::Unknown,
        None => Kind::NeedMore,
    }
}

/// Does the stream begin with a SETTINGS frame (RFC 9113, section 6.5)? `Some(false)`: too short to tell. Kafka's first request could begin alike
/// only as a Produce of version 0, which no client begins with.
fn begins_settings(written: &[u8]) -> Option<bool> {
    const TYPE: u8 = 4;
    const SETTING: usize = 6;
    let (head, settings) = written.split_first_chunk::<9>()?;
    let [0, 0, length, TYPE, 0, 0, 0, 0, 0] = *head else {
        return None;
    };
    if usize::from(length) % SETTING != 0 {
        return None;
    }
    if length == 0 {
        return Some(true);
    }
    match settings.split_first_chunk::<2>() {
        // Up to NO_RFC7540_PRIORITIES (RFC 9218), and those of the registry behind it.
        Some(([0, 1..=16], _)) => Some(true),
        Some(_) => None,
        None => Some(false),
    }
}

/// Does a message begin here with `method SP target SP HTTP/1.x` (RFC 9112, section 3)? `None`: it may.
pub fn request_line(bytes: &[u8]) -> Option<bool> {
    let end = bytes.iter().position(|b| *b == b'\n');
    let line = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
    let mut words = line
        .strip_suffix(b"\r")
        .unwrap_or(line)
        .split(|b| *b == b' ');
    let method = words.next().unwrap_or_default();
    if method.len() > 20 || !method.iter().all(|b| b.is_ascii_uppercase() || *b == b'-') {
        return Some(false);
    }
    let Some(target) = words.next() else {
        return if end.is_some() { Some(false) } else { None };
    };
    let good = match target.first() {
        Some(b'/') => true,
        Some(b'*') => target.len() == 1 && method == b"OPTIONS",
        Some(_) => target.iter().all(u8::is_ascii_graphic),
        None => end.is_none(),
    };
    if method.is_empty() || !good || target.iter().any(u8::is_ascii_control) {
        return Some(false);
    }
    let version = words.next().unwrap_or_default();
    let whole = words.next().is_none();
    match end {
        Some(_) => Some(whole && matches!(version, b"HTTP/1.1" | b"HTTP/1.0")),
        None if !whole
            || !b"HTTP/1.1\r".starts_with(version) && !b"HTTP/1.0\r".starts_with(version) =>
        {
            Some(false)
        }
        None if line.len() > LINE && target.first() == Some(&b'/') => Some(true),
        None if line.len() > LINE => Some(false),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes() {
        let startup = b"\0\0\0\x15\0\x03\0\0user\0me\0\0".as_slice();
        let ssl = b"\0\0\0\x08\x04\xd2\x16\x2f".as_slice();
        let cases: &[(&[u8], &[u8], Kind)] = &[
            (b"", b"", Kind::NeedMore),
            (b"GET / HTTP/1.1\r\n", b"", Kind::Http1Server),
            (
                b"GET / HTTP/1.0\n",
                b"HTTP/1.1 200 OK\r\n",
                Kind::Http1Server,
            ),
            (b"OPTIONS * HTTP/1.1\r\n", b"", Kind::Http1Server),
            (b"CONNECT a:1 HTTP/1.1\r\n", b"", Kind::Http1Server),
            (b"M-SEARCH /x HTTP/1.1\r\n", b"", Kind::Http1Server),
            (b"", b"HTTP/1.1 200 OK\r\n", Kind::Http1Server),
            (
                b"",
                b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0",
                Kind::Http2Server,
            ),
            (
                b"PRI * HT",
                b"\0\0\x06\x04\0\0\0\0\0\0\x05",
                Kind::Http2Server,
            ),
            (b"", b"\0\0\0\x04\0\0\0\0\0", Kind::Http2Server),
            (b"", b"\0\0\x06\x04\0\0\0\0\0", Kind::NeedMore),
            (b"\0\0\0\x09", b"\0\0\0\x04\0\0\0\0\0", Kind::Unknown),
            (b"G", b"", Kind::NeedMore),
            (b"GET /a", b"", Kind::NeedMore),
            (b"GET /a HTTP/2", b"no", Kind::Unknown),
            (b"GET  / HTTP/1.1\r\n", b"no", Kind::Unknown),
            (b"get / HTTP/1.1\r\n", b"no", Kind::Unknown),
            (
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0",
                b"",
                Kind::Http2Server,
            ),
            (b"PRI * HT", b"", Kind::NeedMore),
            (b"PRI * HTTP/2.0\r\n\r\n", b"\0\0\0", Kind::NeedMore),
            (b"PRI * HTTP/2.0\r\n\r\nXX", b"no", Kind::Unknown),
            (b"HTTP/1.1 200 OK\r\n", b"GET / HTTP/1.1\r\n", Kind::Unknown),
            (b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Kind::Unknown),
            // Until it writes, it may be a client of PostgreSQL that we joined.
            (b"\0\0\x12\x04\0\0\0\0\0", b"", Kind::NeedMore),
            (
                b"\0\0\x12\x04\0\0\0\0\0",
                b"\0\0\x12\x04\0\0\0\0\0",
                Kind::Unknown,
            ),
            (b"", startup, Kind::PostgresClient),
            (b"R\0\0\0\x08\0\0\0\0", startup, Kind::PostgresClient),
            (b"", ssl, Kind::PostgresClient),
            (b"S", ssl, Kind::PostgresClient),
            (b"", &startup[..5], Kind::NeedMore),
            (b"", b"\0\0\0\x15\0\x02\0\0", Kind::Unknown),
            (startup, b"R\0\0\0\x08\0\0\0\0", Kind::Unknown),
            (
                b"",
                b"\0\0\0\x23\0\x03\0\0\0\0\0\x01\0\x0acli",
                Kind::Unknown,
            ),
            (b"", b"Q\0\0\0\x0dSELECT 1\0", Kind::NeedMore),
            (
                b"T\0\0\0\x21\0\x01?col",
                b"Q\0\0\0\x0dSELECT 1\0",
                Kind::PostgresClient,
            ),
            (b"\0\0\0\x21T", b"Q\0\0\0\x0dSELECT 1\0", Kind::Unknown),
        ];
        for (read, written, want) in cases {
            assert_eq!(
                classify(read, written),
                *want,
                "read {:?} written {:?}",
                read.escape_ascii().to_string(),
                written.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn long_targets() {
        let line = format!("GET /{}", "a".repeat(LINE));
        assert_eq!(classify(line.as_bytes(), b""), Kind::Http1Server);
        let line = "A".repeat(LINE);
        assert_eq!(classify(line.as_bytes(), b""), Kind::NeedMore);
    }
}

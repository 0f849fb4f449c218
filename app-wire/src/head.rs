//! The few header fields that an event shows, alike for HTTP/1 and HTTP/2. In: field names and values. Out: a [`Head`]; all other fields are
//! not even copied.

use std::sync::Arc;

use crate::call::{CONTEXT, HOST, METHOD, PATH};
use crate::{Extent, Protocol, Request};

/// A field that we keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Method,
    Path,
    Authority,
    Status,
    Host,
    ContentType,
    GrpcStatus,
    /// One of [`CONTEXT_NAMES`].
    Context(&'static str),
}

const CONTEXT_NAMES: [&str; 9] = [
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "uber-trace-id",
];

impl Name {
    pub fn of(name: &[u8]) -> Option<Name> {
        let plain = [
            (":method", Name::Method),
            (":path", Name::Path),
            (":authority", Name::Authority),
            (":status", Name::Status),
            ("host", Name::Host),
            ("content-type", Name::ContentType),
            ("grpc-status", Name::GrpcStatus),
        ];
        plain
            .into_iter()
            .chain(CONTEXT_NAMES.map(|name| (name, Name::Context(name))))
            .find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()))
            .map(|(_, name)| name)
    }
}

/// Fields of one head or trailer.
#[derive(Debug, Default)]
pub struct Head {
    pub method: Option<String>,
    pub path: Option<String>,
    pub authority: Option<String>,
    pub host: Option<String>,
    pub status: Option<u16>,
    pub grpc: bool,
    pub grpc_status: Option<u32>,
    pub context: Vec<(&'static str, String)>,
}

impl Head {
    pub fn field(&mut self, name: Name, value: &[u8]) {
        match name {
            Name::Method => self.method = Some(text(value, METHOD)),
            Name::Path => self.path = Some(path(value)),
            Name::Authority => self.authority = Some(text(value, HOST)),
            Name::Host => self.host = Some(text(value, HOST)),
            Name::Status => self.status = number(value).and_then(|n| u16::try_from(n).ok()),
            Name::ContentType => self.grpc = value.starts_with(b"application/grpc"),
            Name::GrpcStatus => self.grpc_status = number(value),
            Name::Context(name) => self.context_field(name, value),
        }
    }

    /// Lists of `tracestate` may come in several fields (W3C Trace Context, 3.3.1); of the others the first counts.
    fn context_field(&mut self, name: &'static str, value: &[u8]) {
        let Ok(value) = std::str::from_utf8(value) else {
            return;
        };
        let value = value.trim();
        let seen = self.context.iter_mut().find(|(seen, _)| *seen == name);
        match seen {
            _ if value.is_empty() || value.len() > CONTEXT => {}
            None => self.context.push((name, value.to_owned())),
            Some((_, list)) if name == "tracestate" && list.len() + 1 + value.len() <= CONTEXT => {
                list.push(',');
                list.push_str(value);
            }
            Some(_) => {}
        }
    }

    pub fn into_request(self, number: u64, protocol: Protocol, head: Extent) -> Arc<Request> {
        Arc::new(Request {
            number,
            protocol,
            method: self.method.unwrap_or_default(),
            path: self.path.unwrap_or_default(),
            host: self.authority.or(self.host),
            context: self.context,
            head,
        })
    }
}

/// At most `cap` bytes of it, cut between characters.
pub fn text(value: &[u8], cap: usize) -> String {
    let lossy = String::from_utf8_lossy(value.get(..cap).unwrap_or(value));
    let end = (0..=cap.min(lossy.len()))
        .rev()
        .find(|at| lossy.is_char_boundary(*at))
        .unwrap_or(0);
    lossy.get(..end).unwrap_or_default().to_owned()
}

/// The path of a request target (RFC 9112, section 3.2), whose query may name customers: it is left out.
fn path(target: &[u8]) -> String {
    let end = target
        .iter()
        .position(|b| matches!(b, b'?' | b'#'))
        .unwrap_or(target.len());
    let target = target.get(..end).unwrap_or_default();
    let scheme = target.windows(3).position(|w| w == b"://");
    let path = match (target.first(), scheme) {
        (Some(b'/' | b'*'), _) => target,
        // absolute-form: a proxy's; the authority may hold a password.
        (_, Some(at)) => {
            let rest = target.get(at + 3..).unwrap_or_default();
            let slash = rest.iter().position(|b| *b == b'/');
            slash.and_then(|at| rest.get(at..)).unwrap_or(b"/")
        }
        // authority-form: CONNECT.
        _ => b"",
    };
    text(path, PATH)
}

pub fn number(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_without_queries_and_authorities() {
        for (target, want) in [
            ("/", "/"),
            ("/orders/7?card=4111#x", "/orders/7"),
            ("http://user:pw@host:8080/a?b", "/a"),
            ("http://host", "/"),
            ("*", "*"),
            ("host:443", ""),
            ("/a?next=http://b/c", "/a"),
        ] {
            assert_eq!(path(target.as_bytes()), want, "{target}");
        }
    }

    #[test]
    fn contexts_are_kept_whole_or_not_at_all() {
        let mut head = Head::default();
        let long = "x".repeat(CONTEXT + 1);
        for (name, value) in [
            ("TraceState", "a=1"),
            ("tracestate", " b=2 "),
            ("B3", long.as_str()),
            ("traceparent", "00-one"),
            ("traceparent", "00-two"),
        ] {
            head.field(Name::of(name.as_bytes()).unwrap(), value.as_bytes());
        }
        assert_eq!(
            head.context,
            [
                ("tracestate", "a=1,b=2".to_owned()),
                ("traceparent", "00-one".to_owned())
            ]
        );
        assert_eq!(Name::of(b"authorization"), None);
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(text("aé".as_bytes(), 2), "a");
        assert_eq!(text(&[0xff; 9], 4), "\u{fffd}");
    }
}

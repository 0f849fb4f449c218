//! Trace context in record headers. In: a record's headers; out: the creation context that an application put there.
//!
//! Formats in order of preference: W3C traceparent (with tracestate), b3 single, x-b3-*, uber-trace-id. Names are compared without
//! case; of a name that comes twice the last counts. Nothing is written, and nothing else is read.

use crate::trace::address::{SpanId, TraceId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    pub sampled: bool,
    pub trace_state: String,
}

/// What a record's headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    None,
    Context(Context),
    /// `b3: 0`: no ids, and no span wanted.
    Denied,
}

/// Looks through all headers.
pub fn find<'a>(headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> Found {
    let mut said = Said::default();
    for (name, value) in headers {
        if let Some(slot) = said.slot(name) {
            *slot = value
                .and_then(|value| std::str::from_utf8(value).ok())
                .map(str::trim);
        }
    }
    if let Some(mut context) = said.traceparent.and_then(traceparent) {
        context.trace_state = said.tracestate.unwrap_or_default().to_owned();
        return Found::Context(context);
    }
    match said.b3.map(b3_single) {
        None | Some(Found::None) => {}
        Some(found) => return found,
    }
    let multi = b3_multi(&said).or_else(|| said.uber.and_then(uber_trace_id));
    match multi {
        Some(context) => Found::Context(context),
        None if said.b3_sampled == Some("0") => Found::Denied,
        None => Found::None,
    }
}

#[derive(Default)]
struct Said<'a> {
    traceparent: Option<&'a str>,
    tracestate: Option<&'a str>,
    b3: Option<&'a str>,
    b3_trace: Option<&'a str>,
    b3_span: Option<&'a str>,
    b3_sampled: Option<&'a str>,
    b3_flags: Option<&'a str>,
    uber: Option<&'a str>,
}

impl<'a> Said<'a> {
    fn slot(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        let slots = [
            ("traceparent", &mut self.traceparent),
            ("tracestate", &mut self.tracestate),
            ("b3", &mut self.b3),
            ("x-b3-traceid", &mut self.b3_trace),
            ("x-b3-spanid", &mut self.b3_span),
            ("x-b3-sampled", &mut self.b3_sampled),
            ("x-b3-flags", &mut self.b3_flags),
            ("uber-trace-id", &mut self.uber),
        ];
        slots
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, slot)| slot)
    }
}

fn context(trace_id: TraceId, span_id: SpanId, sampled: bool) -> Option<Context> {
    let valid = trace_id != [0; 16] && span_id != [0; 8];
    valid.then(|| Context {
        trace_id,
        span_id,
        sampled,
        trace_state: String::new(),
    })
}

/// W3C Trace Context level 2: `00-<32>-<16>-<2>`; later versions may go on after another dash.
fn traceparent(text: &str) -> Option<Context> {
    let mut parts = text.splitn(5, '-');
    let version = hex::<1>(parts.next().filter(|part| part.len() == 2)?)?;
    let trace_id = hex::<16>(parts.next().filter(|part| part.len() == 32)?)?;
    let span_id = hex::<8>(parts.next().filter(|part| part.len() == 16)?)?;
    let flags = hex::<1>(parts.next().filter(|part| part.len() == 2)?)?;
    if version == [0xff] || (version == [0] && parts.next().is_some()) {
        return None;
    }
    context(trace_id, span_id, flags[0] & 1 == 1)
}

/// `<trace>-<span>[-<sampled>[-<parent>]]`, or the sampling state alone.
fn b3_single(text: &str) -> Found {
    if text == "0" {
        return Found::Denied;
    }
    let mut parts = text.split('-');
    let ids = (
        parts.next().and_then(b3_trace_id),
        parts.next().and_then(full_span_id),
    );
    let (Some(trace_id), Some(span_id)) = ids else {
        return Found::None;
    };
    // Deferred ("" or absent) leaves the choice to the receiver.
    let sampled = parts.next() != Some("0");
    context(trace_id, span_id, sampled).map_or(Found::None, Found::Context)
}

fn b3_multi(said: &Said<'_>) -> Option<Context> {
    let (trace_id, span_id) = (b3_trace_id(said.b3_trace?)?, full_span_id(said.b3_span?)?);
    let debug = said.b3_flags == Some("1");
    let denied = matches!(said.b3_sampled, Some("0" | "false"));
    context(trace_id, span_id, debug || !denied)
}

/// Jaeger: `<trace>:<span>:<parent>:<flags>`, ids without padding; some clients escape the colons.
fn uber_trace_id(text: &str) -> Option<Context> {
    let text = text.replace("%3A", ":").replace("%3a", ":");
    let mut parts = text.split(':');
    let (trace_id, span_id) = (hex::<16>(parts.next()?)?, hex::<8>(parts.next()?)?);
    parts.next()?;
    let flags = hex::<1>(parts.next()?)?;
    if parts.next().is_some() {
        return None;
    }
    context(trace_id, span_id, flags[0] & 1 == 1)
}

fn b3_trace_id(text: &str) -> Option<TraceId> {
    hex(text).filter(|_| matches!(text.len(), 16 | 32))
}

fn full_span_id(text: &str) -> Option<SpanId> {
    hex(text).filter(|_| text.len() == 16)
}

/// Hex digits as a big-endian number of `N` bytes; shorter texts are padded in front.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.is_empty() || text.len() > 2 * N {
        return None;
    }
    let mut number = [0; N];
    for (i, digit) in text.bytes().rev().enumerate() {
        let value = char::from(digit).to_digit(16)? as u8;
        let byte = number.get_mut(N - 1 - i / 2)?;
        *byte |= value << (4 * (i % 2));
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: TraceId = [
        0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31,
        0x9c,
    ];
    const SPAN: SpanId = [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31];

    fn check(headers: &[(&str, &str)], expected: Option<(TraceId, SpanId, bool)>) {
        let found = find(
            headers
                .iter()
                .map(|(name, value)| (*name, Some(value.as_bytes()))),
        );
        let ids = match found {
            Found::Context(context) => Some((context.trace_id, context.span_id, context.sampled)),
            _ => None,
        };
        assert_eq!(ids, expected, "{headers:?}");
    }

    #[test]
    fn formats() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let short: TraceId = [
            0, 0, 0, 0, 0, 0, 0, 0, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c,
        ];
        let small: SpanId = [0, 0, 0, 0, 0, 0, 0, 0x2f];
        for (headers, expected) in [
            (&[("traceparent", parent)][..], Some((TRACE, SPAN, true))),
            (
                &[(
                    "TraceParent",
                    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
                )],
                Some((TRACE, SPAN, false)),
            ),
            (
                &[(
                    "traceparent",
                    "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
                )],
                Some((TRACE, SPAN, true)),
            ),
            (
                &[(
                    "traceparent",
                    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
                )],
                None,
            ),
            (
                &[(
                    "traceparent",
                    "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                )],
                None,
            ),
            (
                &[(
                    "traceparent",
                    "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                )],
                None,
            ),
            (
                &[(
                    "traceparent",
                    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                )],
                None,
            ),
            (
                &[(
                    "traceparent",
                    "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
                )],
                None,
            ),
            (
                &[("traceparent", "bad"), ("traceparent", parent)],
                Some((TRACE, SPAN, true)),
            ),
            (&[("traceparent", parent), ("traceparent", "bad")], None),
            (
                &[(
                    "b3",
                    "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1-05e3ac9a4f6e3b90",
                )],
                Some((TRACE, SPAN, true)),
            ),
            (
                &[("b3", "8448eb211c80319c-b7ad6b7169203331")],
                Some((short, SPAN, true)),
            ),
            (
                &[("b3", "8448eb211c80319c-b7ad6b7169203331-0")],
                Some((short, SPAN, false)),
            ),
            (
                &[
                    ("X-B3-TraceId", "0af7651916cd43dd8448eb211c80319c"),
                    ("X-B3-SpanId", "b7ad6b7169203331"),
                ],
                Some((TRACE, SPAN, true)),
            ),
            (
                &[
                    ("X-B3-TraceId", "0af7651916cd43dd8448eb211c80319c"),
                    ("X-B3-SpanId", "b7ad6b7169203331"),
                    ("X-B3-Sampled", "0"),
                ],
                Some((TRACE, SPAN, false)),
            ),
            (
                &[("uber-trace-id", "8448eb211c80319c:2f:0:1")],
                Some((short, small, true)),
            ),
            (
                &[("uber-trace-id", "8448eb211c80319c%3A2f%3A0%3A0")],
                Some((short, small, false)),
            ),
            (&[("uber-trace-id", "8448eb211c80319c:2f")], None),
            (
                &[
                    ("b3", "8448eb211c80319c-b7ad6b7169203331"),
                    ("traceparent", parent),
                ],
                Some((TRACE, SPAN, true)),
            ),
            (&[("other", parent)], None),
        ] {
            check(headers, expected);
        }
    }

    #[test]
    fn a_denial_and_the_trace_state() {
        let value = |text: &'static str| Some(text.as_bytes());
        assert_eq!(find([("b3", value("0"))].into_iter()), Found::Denied);
        assert_eq!(find([("b3", None)].into_iter()), Found::None);
        assert_eq!(
            find([("traceparent", Some(&[0xff, 0xfe][..]))].into_iter()),
            Found::None
        );
        let headers = [
            ("tracestate", value("a=1,b=2")),
            (
                "traceparent",
                value("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ),
        ];
        match find(headers.into_iter()) {
            Found::Context(context) => assert_eq!(context.trace_state, "a=1,b=2"),
            other => panic!("{other:?}"),
        }
    }
}

//! Where spans arrive: an OTLP/HTTP receiver on 127.0.0.1. In: protobuf posts, from the agent itself or from rotel behind it. Out:
//! spans as plain values. It keeps all of a run in memory and answers every post with success.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use obi_lab::ports;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use prost::Message;

pub type Attributes = BTreeMap<String, String>;

#[derive(Clone, Debug)]
pub struct Span {
    pub service: String,
    pub name: String,
    pub kind: i32,
    pub attributes: Attributes,
    pub began: u64,
    pub ended: u64,
    pub trace_id: Vec<u8>,
    pub span_id: Vec<u8>,
    pub parent: Option<Vec<u8>>,
    pub links: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Span {
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.get(key).map(String::as_str)
    }
}

#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    /// Bodies as they came, to search in.
    bytes: Vec<u8>,
}

#[derive(Clone)]
pub struct Sink {
    pub port: u16,
    received: Arc<Mutex<Received>>,
}

impl Sink {
    pub fn start() -> Result<Self> {
        let port = ports::free()?;
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let sink = Self {
            port,
            received: Arc::default(),
        };
        let accepting = sink.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sink = accepting.clone();
                std::thread::spawn(move || {
                    if let Err(error) = sink.serve(&stream) {
                        eprintln!("warning: OTLP sink: {error:#}");
                    }
                });
            }
        });
        Ok(sink)
    }

    fn lock(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn spans(&self) -> Vec<Span> {
        self.lock().spans.clone()
    }

    /// True if any body held these bytes.
    pub fn holds(&self, needle: &[u8]) -> bool {
        self.lock()
            .bytes
            .windows(needle.len())
            .any(|window| window == needle)
    }

    fn serve(&self, stream: &TcpStream) -> Result<()> {
        let mut reader = BufReader::new(stream);
        while let Some((path, body)) = read_request(&mut reader)? {
            self.take(&path, &body)?;
            (&*stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")?;
        }
        Ok(())
    }

    fn take(&self, path: &str, body: &[u8]) -> Result<()> {
        let mut spans = Vec::new();
        if path.ends_with("/v1/traces") {
            let request =
                ExportTraceServiceRequest::decode(body).context("not an OTLP trace request")?;
            for resource in request.resource_spans {
                let service = resource
                    .resource
                    .map(|r| attributes(&r.attributes))
                    .unwrap_or_default();
                let service = service.get("service.name").cloned().unwrap_or_default();
                let scopes = resource
                    .scope_spans
                    .into_iter()
                    .flat_map(|scope| scope.spans);
                spans.extend(scopes.map(|span| {
                    Span {
                        service: service.clone(),
                        name: span.name,
                        kind: span.kind,
                        attributes: attributes(&span.attributes),
                        began: span.start_time_unix_nano,
                        ended: span.end_time_unix_nano,
                        trace_id: span.trace_id,
                        span_id: span.span_id,
                        parent: Some(span.parent_span_id).filter(|id| !id.is_empty()),
                        links: span
                            .links
                            .into_iter()
                            .map(|link| (link.trace_id, link.span_id))
                            .collect(),
                    }
                }));
            }
        }
        let mut received = self.lock();
        received.bytes.extend_from_slice(body);
        received.spans.extend(spans);
        Ok(())
    }
}

/// One request: its path and body; None at the end of the stream.
fn read_request(reader: &mut impl BufRead) -> Result<Option<(String, Vec<u8>)>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let path = first
        .split_whitespace()
        .nth(1)
        .context("not HTTP")?
        .to_owned();
    let (mut length, mut gzip) = (None, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.trim().parse::<u64>()?),
            "content-encoding" => gzip = value.trim() == "gzip",
            _ => {}
        }
    }
    let mut body = Vec::new();
    reader
        .take(length.context("a request without content-length")?)
        .read_to_end(&mut body)?;
    if gzip {
        let mut plain = Vec::new();
        GzDecoder::new(body.as_slice()).read_to_end(&mut plain)?;
        body = plain;
    }
    Ok(Some((path, body)))
}

fn attributes(pairs: &[KeyValue]) -> Attributes {
    pairs
        .iter()
        .map(|pair| {
            (
                pair.key.clone(),
                pair.value.as_ref().map(text).unwrap_or_default(),
            )
        })
        .collect()
}

/// Any value as text; lists as their members between commas.
fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(yes)) => yes.to_string(),
        Some(Value::ArrayValue(list)) => list.values.iter().map(text).collect::<Vec<_>>().join(","),
        Some(Value::BytesValue(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

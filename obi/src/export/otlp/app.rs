//! Spans of other protocols in OpenTelemetry's form: HTTP, RPC and database conventions 1.44.

use std::net::SocketAddr;

use kafka_analyzer::capture::Nanos;
use kafka_analyzer::observation::{Ids, Query, Request};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1 as otlp;

use super::attributes::{int, text};
use super::spans::{SAMPLED, server, task};

/// Methods that conventions name (RFC 9110, RFC 5789); a stranger's words would make as many values as he likes.
const METHODS: [&str; 9] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];
/// Names of gRPC's statuses, by number.
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// None: conventions do not name it.
fn method(request: &Request) -> Option<&'static str> {
    let known = METHODS.iter().find(|known| **known == request.method);
    known.copied()
}

pub fn request_name(request: &Request) -> String {
    match method(request) {
        _ if request.grpc => request.path.trim_start_matches('/').to_owned(),
        // The route is not on the wire, and a path has too many values for a name.
        Some(method) => method.to_owned(),
        None => "HTTP".to_owned(),
    }
}

pub fn query_name(query: &Query) -> String {
    let about = query.collection.as_deref().or(query.database.as_deref());
    match (query.operation.as_deref(), about) {
        (Some(operation), Some(about)) => format!("{operation} {about}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "postgresql".to_owned(),
    }
}

pub fn request(request: Request, wall_offset: i64) -> otlp::Span {
    let (method, name) = (method(&request), request_name(&request));
    let mut out = Vec::new();
    if request.grpc {
        out.push(text("rpc.system.name", "grpc"));
        out.push(text("rpc.method", name.as_str()));
        out.extend(request.grpc_status.map(|status| {
            let known = usize::try_from(status).ok().and_then(|at| GRPC.get(at));
            let word = known.map_or_else(|| status.to_string(), |word| (*word).to_owned());
            text("rpc.response.status_code", word)
        }));
    } else {
        out.push(text("http.request.method", method.unwrap_or("_OTHER")));
        if method.is_none() {
            out.push(text("http.request.method_original", request.method));
        }
        out.push(text("url.path", request.path));
        out.push(text(
            "url.scheme",
            if request.encrypted { "https" } else { "http" },
        ));
        out.extend(
            request
                .status
                .map(|status| int("http.response.status_code", status.into())),
        );
    }
    out.push(text("network.protocol.name", "http"));
    out.push(text("network.protocol.version", request.version));
    out.extend(asked_of(request.host.as_deref(), request.local));
    out.extend(request.peer.into_iter().flat_map(|peer| {
        let ip = peer.ip().to_canonical().to_string();
        [
            text("client.address", ip.as_str()),
            text("network.peer.address", ip),
            int("network.peer.port", peer.port().into()),
        ]
    }));
    out.extend(
        request
            .error
            .as_deref()
            .map(|error| text("error.type", error)),
    );
    out.extend(request.task.map(task));
    span(
        request.ids,
        (request.began, request.ended, wall_offset),
        (name, otlp::span::SpanKind::Server, request.error.is_some()),
        out,
    )
}

pub fn query(query: Query, wall_offset: i64) -> otlp::Span {
    let name = query_name(&query);
    let mut out = vec![text("db.system.name", "postgresql")];
    let error = query.error.as_deref();
    for (key, value) in [
        ("db.query.text", query.statement.as_deref()),
        ("db.operation.name", query.operation.as_deref()),
        ("db.collection.name", query.collection.as_deref()),
        ("db.namespace", query.database.as_deref()),
        ("db.response.status_code", error),
        ("error.type", error),
    ] {
        out.extend(value.map(|value| text(key, value)));
    }
    if query.operation.as_deref() == Some("SELECT") {
        let rows = query.rows.and_then(|rows| i64::try_from(rows).ok());
        out.extend(rows.map(|rows| int("db.response.returned_rows", rows)));
    }
    out.extend(query.server.map(server).into_iter().flatten());
    out.extend(query.task.map(task));
    span(
        query.ids,
        (query.began, query.ended, wall_offset),
        (name, otlp::span::SpanKind::Client, query.error.is_some()),
        out,
    )
}

/// As the client named the server; else its own address.
fn asked_of(host: Option<&str>, local: Option<SocketAddr>) -> Vec<KeyValue> {
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        let port = host
            .rsplit_once(':')
            .filter(|(name, _)| !name.contains(':') || name.ends_with(']'))
            .and_then(|(name, port)| Some((name, port.parse::<u16>().ok()?)));
        return match port {
            Some((name, port)) => vec![
                text("server.address", name),
                int("server.port", port.into()),
            ],
            None => vec![text("server.address", host)],
        };
    }
    local.map_or_else(Vec::new, |local| {
        vec![
            text("server.address", local.ip().to_canonical().to_string()),
            int("server.port", local.port().into()),
        ]
    })
}

fn span(
    ids: Ids,
    (began, ended, wall_offset): (Nanos, Nanos, i64),
    (name, kind, failed): (String, otlp::span::SpanKind, bool),
    attributes: Vec<KeyValue>,
) -> otlp::Span {
    let wall = |time: Nanos| time.wrapping_add_signed(wall_offset);
    let code = match failed {
        true => otlp::status::StatusCode::Error,
        false => otlp::status::StatusCode::Unset,
    };
    otlp::Span {
        trace_id: ids.trace_id.to_vec(),
        span_id: ids.span_id.to_vec(),
        parent_span_id: ids.parent.map(Vec::from).unwrap_or_default(),
        trace_state: ids.trace_state,
        flags: SAMPLED,
        name,
        kind: kind as i32,
        start_time_unix_nano: wall(began),
        end_time_unix_nano: wall(ended.max(began)),
        attributes,
        status: Some(otlp::Status {
            message: String::new(),
            code: code as i32,
        }),
        ..otlp::Span::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::export::examples;
    use crate::export::otlp::tests::texts;

    fn check(span: &otlp::Span, expected: &[(&str, &str)]) {
        let expected = expected
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()));
        assert_eq!(
            texts(&span.attributes),
            expected.collect::<BTreeMap<_, _>>()
        );
    }

    #[test]
    fn http() {
        let span = request(examples::request(), 1000);
        assert_eq!((span.name.as_str(), span.kind), ("POST", 2));
        assert_eq!(
            (span.start_time_unix_nano, span.end_time_unix_nano),
            (1010, 1020)
        );
        assert_eq!(span.status.as_ref().map(|status| status.code), Some(2));
        check(
            &span,
            &[
                ("client.address", "10.0.0.7"),
                ("error.type", "503"),
                ("goroutine.id", "18"),
                ("http.request.method", "POST"),
                ("http.response.status_code", "503"),
                ("network.peer.address", "10.0.0.7"),
                ("network.peer.port", "40001"),
                ("network.protocol.name", "http"),
                ("network.protocol.version", "1.1"),
                ("server.address", "shop"),
                ("server.port", "8080"),
                ("url.path", "/orders"),
                ("url.scheme", "https"),
            ],
        );
        let mut strange = examples::request();
        (strange.method, strange.host) = ("BREW".to_owned(), Some("[::1]".to_owned()));
        let span = request(strange, 0);
        let attributes = texts(&span.attributes);
        assert_eq!(span.name, "HTTP");
        assert_eq!(attributes["http.request.method"], "_OTHER");
        assert_eq!(attributes["http.request.method_original"], "BREW");
        assert_eq!(attributes["server.address"], "[::1]");
    }

    #[test]
    fn grpc() {
        let mut call = examples::request();
        (call.grpc, call.version) = (true, "2");
        (call.path, call.host) = ("/shop.Orders/Place".to_owned(), None);
        (call.status, call.grpc_status, call.error) = (Some(200), Some(5), None);
        let span = request(call, 0);
        assert_eq!(span.name, "shop.Orders/Place");
        assert_eq!(span.status.as_ref().map(|status| status.code), Some(0));
        let attributes = texts(&span.attributes);
        assert_eq!(attributes["rpc.system.name"], "grpc");
        assert_eq!(attributes["rpc.method"], "shop.Orders/Place");
        assert_eq!(attributes["rpc.response.status_code"], "NOT_FOUND");
        assert_eq!(attributes["server.address"], "10.0.0.5");
        assert!(!attributes.contains_key("http.request.method"));
    }

    #[test]
    fn postgresql() {
        let span = query(examples::query(), 0);
        assert_eq!((span.name.as_str(), span.kind), ("INSERT orders", 3));
        assert_eq!(span.parent_span_id, [3; 8]);
        check(
            &span,
            &[
                ("db.collection.name", "orders"),
                ("db.namespace", "shop"),
                ("db.operation.name", "INSERT"),
                ("db.query.text", "INSERT INTO orders VALUES (?)"),
                ("db.response.status_code", "23505"),
                ("db.system.name", "postgresql"),
                ("error.type", "23505"),
                ("network.peer.address", "10.0.0.8"),
                ("network.peer.port", "5432"),
                ("server.address", "10.0.0.8"),
                ("server.port", "5432"),
                ("thread.id", "9"),
            ],
        );
        let mut unknown = examples::query();
        (unknown.operation, unknown.collection, unknown.database) = (None, None, None);
        assert_eq!(query(unknown, 0).name, "postgresql");
    }
}

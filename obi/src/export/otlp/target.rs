//! Where one signal goes. In: the configuration for all signals and for this one; out: one address with protocol, headers, time.
//!
//! As in OpenTelemetry's exporter specification: an endpoint for all gets `/v1/traces`, `/v1/metrics` or `/v1/logs` with HTTP, one for the
//! signal is used as it is. Without a protocol, port 4317 means gRPC and everything else HTTP.

use std::time::Duration;

use anyhow::bail;

use crate::config::{Otlp, OtlpSignal, Protocol};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    pub fn as_str(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub signal: Signal,
    pub url: String,
    pub grpc: bool,
    pub headers: Vec<(String, String)>,
    pub timeout: Duration,
    /// PEM file; empty: the system's authorities.
    pub certificate: String,
}

/// Errors: not an `http://` or `https://` address.
pub fn resolve(otlp: &Otlp, signal: Signal) -> anyhow::Result<Target> {
    let own: &OtlpSignal = match signal {
        Signal::Traces => &otlp.traces,
        Signal::Metrics => &otlp.metrics,
        Signal::Logs => &otlp.logs,
    };
    let endpoint = if own.endpoint.is_empty() {
        &otlp.endpoint
    } else {
        &own.endpoint
    };
    let port = match port(endpoint) {
        Ok(port) => port,
        Err(why) => bail!("endpoint `{endpoint}`: {why}"),
    };
    let protocol = if own.protocol == Protocol::Auto {
        otlp.protocol
    } else {
        own.protocol
    };
    let grpc = match protocol {
        Protocol::Auto => port == Some(4317),
        Protocol::Grpc => true,
        Protocol::HttpProtobuf => false,
    };
    let url = match (grpc, own.endpoint.is_empty()) {
        (false, true) => format!("{}/v1/{}", endpoint.trim_end_matches('/'), signal.as_str()),
        _ => endpoint.clone(),
    };
    let mut headers = otlp.headers.clone();
    headers.extend(own.headers.clone());
    let timeout = if own.timeout_ms > 0 {
        own.timeout_ms
    } else {
        otlp.timeout_ms
    };
    Ok(Target {
        signal,
        url,
        grpc,
        headers: headers.into_iter().collect(),
        timeout: Duration::from_millis(timeout.max(1)),
        certificate: otlp.certificate.clone(),
    })
}

/// An address as it may be logged: without user and password.
pub fn shown(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let host = authority
                .rsplit_once('@')
                .map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

/// The port that the address names, if any.
fn port(endpoint: &str) -> anyhow::Result<Option<u16>> {
    let uri: axum::http::Uri = endpoint.parse()?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        bail!("it must begin with http:// or https://");
    }
    Ok(uri.port_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(otlp: &Otlp, signal: Signal) -> (String, bool) {
        let target = resolve(otlp, signal).unwrap();
        (target.url, target.grpc)
    }

    #[test]
    fn protocol_and_path() {
        let mut otlp = Otlp {
            endpoint: "http://c:4317".into(),
            ..Otlp::default()
        };
        assert_eq!(
            target(&otlp, Signal::Traces),
            ("http://c:4317".into(), true)
        );
        otlp.endpoint = "https://c/otlp/".into();
        assert_eq!(
            target(&otlp, Signal::Traces),
            ("https://c/otlp/v1/traces".into(), false)
        );
        assert_eq!(
            target(&otlp, Signal::Metrics),
            ("https://c/otlp/v1/metrics".into(), false)
        );
        otlp.protocol = Protocol::Grpc;
        assert_eq!(
            target(&otlp, Signal::Metrics),
            ("https://c/otlp/".into(), true)
        );
        otlp.metrics.endpoint = "http://m:9/write".into();
        otlp.metrics.protocol = Protocol::HttpProtobuf;
        assert_eq!(
            target(&otlp, Signal::Metrics),
            ("http://m:9/write".into(), false)
        );
        assert_eq!(
            target(&otlp, Signal::Traces),
            ("https://c/otlp/".into(), true)
        );
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(
            shown("https://user:pass@c:4318/v1/x@y"),
            "https://c:4318/v1/x@y"
        );
        assert_eq!(shown("http://c:4317"), "http://c:4317");
        assert_eq!(shown("nonsense"), "nonsense");
    }

    #[test]
    fn headers_and_time_of_the_signal_win() {
        let mut otlp = Otlp {
            endpoint: "http://c:4318".into(),
            ..Otlp::default()
        };
        otlp.headers = [
            ("a".to_owned(), "1".to_owned()),
            ("b".to_owned(), "1".to_owned()),
        ]
        .into();
        otlp.traces.headers = [("b".to_owned(), "2".to_owned())].into();
        otlp.traces.timeout_ms = 50;
        let target = resolve(&otlp, Signal::Traces).unwrap();
        assert_eq!(
            target.headers,
            [
                ("a".to_owned(), "1".to_owned()),
                ("b".to_owned(), "2".to_owned())
            ]
        );
        assert_eq!(target.timeout, Duration::from_millis(50));
        assert_eq!(
            resolve(&otlp, Signal::Metrics).unwrap().timeout,
            Duration::from_secs(10)
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for endpoint in ["collector:4317", "ftp://c", "http://", "http://a b"] {
            let otlp = Otlp {
                endpoint: endpoint.into(),
                ..Otlp::default()
            };
            let error = resolve(&otlp, Signal::Traces).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("endpoint `{endpoint}`: ")),
                "{error}"
            );
        }
    }
}

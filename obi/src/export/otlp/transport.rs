//! One request to one endpoint. In: a protobuf message; out: accepted (perhaps in part), or an error that says whether to try again.
//!
//! gRPC by tonic on a runtime of its own, HTTP/protobuf by ureq; TLS for both by rustls with ring.

use std::time::Duration;

use anyhow::Context;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Status};

use super::target::{Signal, Target};

#[derive(Clone)]
pub enum Request {
    Traces(ExportTraceServiceRequest),
    Metrics(ExportMetricsServiceRequest),
    Logs(ExportLogsServiceRequest),
}

/// What the receiver did not take of an accepted request.
#[derive(Debug, Default, PartialEq)]
pub struct Accepted {
    pub rejected: u64,
    pub message: String,
}

#[derive(Debug, PartialEq)]
pub struct Refused {
    pub message: String,
    /// Worth trying again.
    pub again: bool,
    /// The receiver asked to wait so long.
    pub after: Option<Duration>,
}

/// A connection, made at the first request and again when it breaks.
pub enum Transport {
    Grpc {
        runtime: tokio::runtime::Runtime,
        channel: Channel,
        headers: Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)>,
        timeout: Duration,
    },
    Http {
        agent: ureq::Agent,
        url: String,
        headers: Vec<(String, String)>,
        signal: Signal,
    },
}

impl Transport {
    /// Errors: an address, header or certificate that cannot be used.
    pub fn new(target: &Target) -> anyhow::Result<Transport> {
        let pem = match target.certificate.as_str() {
            "" => None,
            path => Some(
                std::fs::read(path).with_context(|| format!("certificate: cannot read {path}"))?,
            ),
        };
        if target.grpc {
            grpc(target, pem)
        } else {
            http(target, pem)
        }
    }

    pub fn send(&self, request: Request) -> Result<Accepted, Refused> {
        match self {
            Transport::Grpc {
                runtime,
                channel,
                headers,
                timeout,
            } => runtime.block_on(send_grpc(channel.clone(), headers, *timeout, request)),
            Transport::Http {
                agent,
                url,
                headers,
                signal,
            } => send_http(agent, url, headers, *signal, &request),
        }
    }
}

fn grpc(target: &Target, pem: Option<Vec<u8>>) -> anyhow::Result<Transport> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut endpoint = Endpoint::from_shared(target.url.clone())?
        .timeout(target.timeout)
        .connect_timeout(target.timeout);
    if target.url.starts_with("https:") {
        let tls = match pem {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        endpoint = endpoint.tls_config(tls).context("OTLP over TLS")?;
    }
    let mut headers = Vec::new();
    for (name, value) in &target.headers {
        let key = MetadataKey::from_bytes(name.to_ascii_lowercase().as_bytes());
        let value = value.parse();
        match (key, value) {
            (Ok(key), Ok(value)) => headers.push((key, value)),
            _ => anyhow::bail!("headers: `{name}` cannot be sent"),
        }
    }
    let channel = {
        let _inside = runtime.enter();
        endpoint.connect_lazy()
    };
    Ok(Transport::Grpc {
        runtime,
        channel,
        headers,
        timeout: target.timeout,
    })
}

fn http(target: &Target, pem: Option<Vec<u8>>) -> anyhow::Result<Transport> {
    let mut config = ureq::Agent::config_builder()
        .timeout_global(Some(target.timeout))
        .http_status_as_error(false)
        .max_redirects(0);
    if target.url.starts_with("https:") {
        let certificates: Vec<ureq::tls::Certificate<'static>> = match pem {
            Some(pem) => ureq::tls::parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect(),
            None => {
                let system = rustls_native_certs::load_native_certs();
                system
                    .certs
                    .iter()
                    .map(|der| ureq::tls::Certificate::from_der(der).to_owned())
                    .collect()
            }
        };
        anyhow::ensure!(
            !certificates.is_empty(),
            "no certificate authority to trust for {}",
            super::target::shown(&target.url)
        );
        let roots = ureq::tls::RootCerts::new_with_certs(&certificates);
        config = config.tls_config(ureq::tls::TlsConfig::builder().root_certs(roots).build());
    }
    let agent = config.build().into();
    Ok(Transport::Http {
        agent,
        url: target.url.clone(),
        headers: target.headers.clone(),
        signal: target.signal,
    })
}

async fn send_grpc(
    channel: Channel,
    headers: &[(MetadataKey<Ascii>, MetadataValue<Ascii>)],
    timeout: Duration,
    request: Request,
) -> Result<Accepted, Refused> {
    fn with<T>(
        message: T,
        headers: &[(MetadataKey<Ascii>, MetadataValue<Ascii>)],
        timeout: Duration,
    ) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.set_timeout(timeout);
        for (key, value) in headers {
            request.metadata_mut().insert(key.clone(), value.clone());
        }
        request
    }
    match request {
        Request::Traces(message) => {
            let reply = TraceServiceClient::new(channel)
                .export(with(message, headers, timeout))
                .await
                .map_err(status)?;
            Ok(traces_accepted(reply.into_inner()))
        }
        Request::Metrics(message) => {
            let reply = MetricsServiceClient::new(channel)
                .export(with(message, headers, timeout))
                .await
                .map_err(status)?;
            Ok(metrics_accepted(reply.into_inner()))
        }
        Request::Logs(message) => {
            let reply = LogsServiceClient::new(channel)
                .export(with(message, headers, timeout))
                .await
                .map_err(status)?;
            Ok(logs_accepted(reply.into_inner()))
        }
    }
}

/// Which codes to retry: OTLP specification, failures of gRPC.
fn status(status: Status) -> Refused {
    let again = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        // Without RetryInfo this is final by the specification; collectors also answer it when their queue is full.
        Code::ResourceExhausted => true,
        _ => false,
    };
    Refused {
        message: format!("{:?}: {}", status.code(), cause(&status)),
        again,
        after: None,
    }
}

/// tonic's own message for a broken connection is `transport error`; the cause says which.
fn cause(status: &Status) -> String {
    let mut source = std::error::Error::source(status);
    let mut text = status.message().to_owned();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn send_http(
    agent: &ureq::Agent,
    url: &str,
    headers: &[(String, String)],
    signal: Signal,
    request: &Request,
) -> Result<Accepted, Refused> {
    let body = match request {
        Request::Traces(message) => message.encode_to_vec(),
        Request::Metrics(message) => message.encode_to_vec(),
        Request::Logs(message) => message.encode_to_vec(),
    };
    let mut post = agent.post(url).content_type("application/x-protobuf");
    for (name, value) in headers {
        post = post.header(name, value);
    }
    let mut reply = post.send(body).map_err(|error| Refused {
        message: error.to_string(),
        again: true,
        after: None,
    })?;
    let code = reply.status().as_u16();
    let after = reply
        .headers()
        .get("retry-after")
        .and_then(|v| v.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let body = reply
        .body_mut()
        .with_config()
        .limit(64 * 1024)
        .read_to_vec()
        .unwrap_or_default();
    if !(200..300).contains(&code) {
        return Err(Refused {
            message: format!("HTTP status {code}"),
            again: matches!(code, 429 | 502 | 503 | 504),
            after,
        });
    }
    // An answer that cannot be read does not undo the acceptance.
    Ok(match signal {
        Signal::Traces => ExportTraceServiceResponse::decode(&*body)
            .map(traces_accepted)
            .unwrap_or_default(),
        Signal::Metrics => ExportMetricsServiceResponse::decode(&*body)
            .map(metrics_accepted)
            .unwrap_or_default(),
        Signal::Logs => ExportLogsServiceResponse::decode(&*body)
            .map(logs_accepted)
            .unwrap_or_default(),
    })
}

fn traces_accepted(reply: ExportTraceServiceResponse) -> Accepted {
    reply
        .partial_success
        .map_or_else(Accepted::default, |p| Accepted {
            rejected: p.rejected_spans.try_into().unwrap_or(0),
            message: p.error_message,
        })
}

fn metrics_accepted(reply: ExportMetricsServiceResponse) -> Accepted {
    reply
        .partial_success
        .map_or_else(Accepted::default, |p| Accepted {
            rejected: p.rejected_data_points.try_into().unwrap_or(0),
            message: p.error_message,
        })
}

fn logs_accepted(reply: ExportLogsServiceResponse) -> Accepted {
    reply
        .partial_success
        .map_or_else(Accepted::default, |p| Accepted {
            rejected: p.rejected_log_records.try_into().unwrap_or(0),
            message: p.error_message,
        })
}

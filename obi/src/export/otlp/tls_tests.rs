//! OTLP over TLS: an authority that is trusted, and one that is not. Real handshakes, on both protocols.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use kafka_analyzer::observation::{Observation, SpanKind};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceServiceServer;
use prost::Message;
use rustls::pki_types::PrivateKeyDer;

use super::tests::{Grpc, Received, config, runtime, span};
use crate::config::{Config, Protocol};
use crate::export::Sinks;
use crate::telemetry::Telemetry;

/// A certificate for `localhost` that is its own authority.
struct Identity {
    certificate: rcgen::Certificate,
    key: rcgen::KeyPair,
}

fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    Identity {
        certificate: made.cert,
        key: made.signing_key,
    }
}

/// Sends one span; gives what was lost.
fn send(config: &Config) -> u64 {
    let telemetry = Arc::new(Telemetry::default());
    let sinks = Sinks::new(config, Arc::clone(&telemetry)).unwrap();
    sinks.observe(&Observation::Span(span(7, SpanKind::Send)));
    sinks.start_otlp(&config.export.otlp).unwrap().finish();
    telemetry.lost_totals().values().sum()
}

fn trusting(
    address: SocketAddr,
    protocol: Protocol,
    folder: &tempfile::TempDir,
    authority: &Identity,
) -> Config {
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority.certificate.pem()).unwrap();
    let mut config = config(address, protocol);
    config.export.otlp.endpoint = format!("https://localhost:{}", address.port());
    config.export.otlp.certificate = file.display().to_string();
    config
}

#[test]
fn grpc_over_tls() {
    let (runtime, received, server) = (runtime(), Arc::new(Received::default()), identity());
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    let identity_pem =
        tonic::transport::Identity::from_pem(server.certificate.pem(), server.key.serialize_pem());
    let tls = tonic::transport::ServerTlsConfig::new().identity(identity_pem);
    let serving = tonic::transport::Server::builder()
        .tls_config(tls)
        .unwrap()
        .add_service(TraceServiceServer::new(Grpc(Arc::clone(&received))))
        .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener));
    runtime.spawn(serving);
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        send(&trusting(address, Protocol::Grpc, &folder, &server)),
        0
    );
    assert_eq!(received.traces.lock().unwrap().len(), 1);
    assert_eq!(
        send(&trusting(address, Protocol::Grpc, &folder, &identity())),
        1
    );
    assert_eq!(received.traces.lock().unwrap().len(), 1);
}

#[test]
fn http_over_tls() {
    let server = identity();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let received = Arc::new(Received::default());
    serve_https(listener, &server, Arc::clone(&received));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        send(&trusting(address, Protocol::HttpProtobuf, &folder, &server)),
        0
    );
    assert_eq!(received.traces.lock().unwrap().len(), 1);
    assert_eq!(
        send(&trusting(
            address,
            Protocol::HttpProtobuf,
            &folder,
            &identity()
        )),
        1
    );
    assert_eq!(received.traces.lock().unwrap().len(), 1);
}

/// Answers each connection's one request.
fn serve_https(listener: TcpListener, identity: &Identity, received: Arc<Received>) {
    let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            // A client that does not trust the certificate ends the handshake.
            while let Ok(n) = stream.read(&mut chunk)
                && n > 0
            {
                request.extend_from_slice(&chunk[..n]);
                let Some(end) = request.windows(4).position(|w| w == b"\r\n\r\n") else {
                    continue;
                };
                let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
                assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
                let length = head
                    .lines()
                    .find_map(|l| l.strip_prefix("content-length: "))
                    .unwrap()
                    .parse::<usize>()
                    .unwrap();
                if request.len() == end + 4 + length {
                    let message = ExportTraceServiceRequest::decode(&request[end + 4..]).unwrap();
                    received.traces.lock().unwrap().push(message);
                    stream
                        .write_all(
                            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                        )
                        .unwrap();
                    break;
                }
            }
        }
    });
}

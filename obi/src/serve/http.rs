//! `GET /metrics`, `/healthz`, `/readyz`. In: the address; out: a listening thread with its own small runtime.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::cli::exit::{Exit, Failure};
use crate::export::Sinks;
use crate::export::exposition::{OPENMETRICS, PLAIN};
use crate::stop::Stop;
use crate::telemetry::Telemetry;

struct Served {
    sinks: Sinks,
    telemetry: Arc<Telemetry>,
    metrics: bool,
}

/// Binds, and answers until `stop`. Port 0 takes a free one. `metrics`: false answers 404 on `/metrics`.
pub fn start(
    listen: &str,
    metrics: bool,
    sinks: Sinks,
    telemetry: Arc<Telemetry>,
    stop: Stop,
) -> anyhow::Result<SocketAddr> {
    let listener = bind(listen)?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let served = Arc::new(Served {
        sinks,
        telemetry,
        metrics,
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = std::thread::Builder::new().name("obi-http".to_owned());
    thread
        .spawn(move || runtime.block_on(serve(listener, served, stop)))
        .context("cannot start the HTTP thread")?;
    Ok(address)
}

fn bind(listen: &str) -> anyhow::Result<TcpListener> {
    let addresses = listen.to_socket_addrs().map_err(|e| {
        Failure::new(
            Exit::Usage,
            format!("listen: `{listen}` is not an address and port: {e}"),
        )
        .hint("for example 127.0.0.1:9464")
    })?;
    TcpListener::bind(&*addresses.collect::<Vec<_>>()).map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => Failure::new(
            Exit::Finding,
            format!("another program listens on {listen}"),
        )
        .hint("choose another address with --listen, or find the program with `ss -ltnp`")
        .into(),
        _ => anyhow::Error::from(e).context(format!("cannot listen on {listen}")),
    })
}

async fn serve(listener: TcpListener, served: Arc<Served>, stop: Stop) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(served);
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the HTTP listener is lost"),
    };
    let stopped = async move {
        while !stop.requested() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        end = async { axum::serve(listener, router).await } => {
            if let Err(error) = end {
                tracing::error!(%error, "HTTP ended");
            }
        }
        () = stopped => {}
    }
}

async fn metrics(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
    if !served.metrics {
        return (
            StatusCode::NOT_FOUND,
            "export.prometheus.enabled is false\n",
        )
            .into_response();
    }
    if wants_openmetrics(&headers) {
        let text = served.sinks.openmetrics(true);
        ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response()
    } else {
        ([(header::CONTENT_TYPE, PLAIN)], served.sinks.plain(true)).into_response()
    }
}

async fn ready(State(served): State<Arc<Served>>) -> Response {
    if served.telemetry.is_ready() {
        (StatusCode::OK, "ready\n").into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the first scan is not attached yet\n",
        )
            .into_response()
    }
}

/// Named in `Accept`, and not less wanted than plain text.
fn wants_openmetrics(headers: &HeaderMap) -> bool {
    let accept = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .collect::<Vec<_>>()
        .join(",");
    let weight = |name: &str| {
        let ranges = accept
            .split(',')
            .map(str::trim)
            .filter(|range| range.split(';').next().map(str::trim) == Some(name));
        let weights = ranges.map(|range| {
            let q = range
                .split(';')
                .find_map(|part| part.trim().strip_prefix("q="));
            q.map_or(1.0, |q| q.parse::<f64>().unwrap_or(0.0))
        });
        weights.fold(0.0, f64::max)
    };
    let openmetrics = weight("application/openmetrics-text");
    openmetrics > 0.0 && openmetrics >= weight("text/plain")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept() {
        let wants = |accept: &str| {
            wants_openmetrics(&HeaderMap::from_iter([(
                header::ACCEPT,
                accept.parse().unwrap(),
            )]))
        };
        assert!(!wants_openmetrics(&HeaderMap::new()));
        assert!(!wants("*/*"));
        assert!(!wants("text/plain;version=0.0.4;q=1,*/*;q=0.1"));
        assert!(!wants("application/openmetrics-text;q=0"));
        assert!(!wants(
            "text/plain;q=0.9, application/openmetrics-text;q=0.5"
        ));
        assert!(wants("application/openmetrics-text"));
        // Prometheus 2.42.
        assert!(wants(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        ));
    }
}

//! Who a span or metric is about. In: a process, a service name, or the agent itself; out: an OTLP resource.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use kafka_analyzer::capture::ProcessInfo;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::attributes::{int, text};

static HOST: LazyLock<String> = LazyLock::new(|| {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
});

/// Nanoseconds since the epoch.
pub fn wall_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos() as u64)
}

/// One process: what its spans are about. The process's own `OTEL_RESOURCE_ATTRIBUTES` win over what the agent found.
pub fn of_process(process: &ProcessInfo) -> Resource {
    let mut attributes = vec![text("service.name", process.service.as_ref())];
    let own = process
        .attributes
        .iter()
        .filter(|(key, _)| key != "service.name");
    attributes.extend(own.map(|(key, value)| text(key, value.as_str())));
    let mut found = vec![text("host.name", HOST.as_str())];
    if process.pid != 0 {
        found.push(text(
            "service.instance.id",
            format!("{}:{}", *HOST, process.pid),
        ));
        found.push(int("process.pid", process.pid.into()));
        found.push(text("process.executable.path", process.exe.as_str()));
    }
    if let Some(container) = &process.container_id {
        found.push(text("container.id", container.as_str()));
    }
    found.extend(telemetry());
    let set = |key: &str| attributes.iter().any(|a| a.key == key);
    found.retain(|a| !set(&a.key));
    attributes.extend(found);
    Resource {
        attributes,
        ..Resource::default()
    }
}

/// One service on this host: what its metrics are about, summed over its processes.
pub fn of_service(service: &str) -> Resource {
    let mut attributes = vec![
        text("service.name", service),
        text("service.instance.id", HOST.as_str()),
        text("host.name", HOST.as_str()),
    ];
    attributes.extend(telemetry());
    Resource {
        attributes,
        ..Resource::default()
    }
}

/// The agent: metrics of itself, and of clusters and groups, which belong to no single service.
pub fn of_agent() -> Resource {
    let mut resource = of_service("obi");
    resource
        .attributes
        .push(text("service.version", env!("CARGO_PKG_VERSION")));
    resource
        .attributes
        .push(int("process.pid", std::process::id().into()));
    resource
}

fn telemetry() -> [KeyValue; 2] {
    [
        text("telemetry.sdk.name", "obi"),
        text("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ]
}

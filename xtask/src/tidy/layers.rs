//! Who may depend on whom (docs/architecture.md): every arrow between our crates stands in [`ARROWS`], any other is a finding.
//!
//! In: `cargo metadata` of the workspace and of the crates kept out of it. Out: findings. Versions and outside crates are not looked
//! at, but for the few that belong to one crate alone.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

/// (crate, our crates that it may use).
const ARROWS: &[(&str, &[&str])] = &[
    ("obi-abi", &[]),
    ("obi-bpf", &["obi-abi"]),
    ("symbolizer", &[]),
    ("tls-hooks", &["symbolizer", "obi-abi"]),
    ("kafka-wire", &[]),
    ("app-wire", &[]),
    ("kafka-analyzer", &["kafka-wire", "app-wire"]),
    (
        "obi",
        &[
            "obi-abi",
            "symbolizer",
            "tls-hooks",
            "kafka-wire",
            "app-wire",
            "kafka-analyzer",
        ],
    ),
    // What tests and builds the product; nothing of the product uses these.
    ("obi-lab", &[]),
    ("obi-e2e", &["obi-lab", "kafka-wire"]),
    ("obi-bench", &["obi-lab", "kafka-wire"]),
    ("obi-kernels", &["obi-abi"]),
    (
        "obi-fuzz",
        &[
            "kafka-wire",
            "app-wire",
            "kafka-analyzer",
            "symbolizer",
            "tls-hooks",
        ],
    ),
    ("xtask", &["obi-lab"]),
];

/// Outside crates that only `obi` may know (loader, runtime, command line, HTTP), and the chores and tests beside it.
const EDGES: [&str; 7] = [
    "libbpf-rs",
    "tokio",
    "clap",
    "axum",
    "tonic",
    "hyper-util",
    "kube",
];
const EDGE_CRATES: [&str; 6] = [
    "obi",
    "xtask",
    "obi-lab",
    "obi-e2e",
    "obi-bench",
    "obi-kernels",
];

/// Manifests of the workspace and of what is kept out of it.
const MANIFESTS: [&str; 3] = ["Cargo.toml", "obi-bpf/Cargo.toml", "tests/fuzz/Cargo.toml"];

pub fn check() -> Result<Vec<String>> {
    let mut arrows = Vec::new();
    for manifest in MANIFESTS {
        let path = crate::root().join(manifest);
        if path.exists() {
            arrows.extend(dependencies(&path)?);
        }
    }
    Ok(findings(&arrows))
}

/// (crate, what it depends on, kind: "normal", "dev" or "build"), also outside crates.
fn dependencies(manifest: &std::path::Path) -> Result<Vec<(String, String, String)>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "metadata",
            "--no-deps",
            "--format-version=1",
            "--manifest-path",
        ])
        .arg(manifest)
        .output()
        .context("cannot run cargo metadata")?;
    anyhow::ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let list = |value: &Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let text = |value: &Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mut arrows = Vec::new();
    for package in list(&metadata, "packages") {
        for dependency in list(&package, "dependencies") {
            let kind = dependency
                .get("kind")
                .and_then(Value::as_str)
                .unwrap_or("normal")
                .to_owned();
            arrows.push((text(&package, "name"), text(&dependency, "name"), kind));
        }
    }
    Ok(arrows)
}

fn findings(arrows: &[(String, String, String)]) -> Vec<String> {
    let ours = |name: &str| {
        ARROWS
            .iter()
            .find(|(from, _)| *from == name)
            .map(|(_, to)| *to)
    };
    let mut findings = Vec::new();
    for (from, to, kind) in arrows {
        let Some(may) = ours(from) else {
            findings.push(format!(
                "crate {from} has no line in xtask/src/tidy/layers.rs"
            ));
            continue;
        };
        if ours(to).is_some() && !may.contains(&to.as_str()) {
            findings.push(format!(
                "{from} -> {to} ({kind}): no such arrow in the design"
            ));
        }
        if kind == "normal" && EDGES.contains(&to.as_str()) && !EDGE_CRATES.contains(&from.as_str())
        {
            findings.push(format!("{from} -> {to}: only obi knows {to}"));
        }
    }
    findings.dedup();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_outside_the_design_are_found() {
        let arrow =
            |from: &str, to: &str, kind: &str| (from.to_owned(), to.to_owned(), kind.to_owned());
        let found = findings(&[
            arrow("obi", "kafka-wire", "normal"),
            arrow("kafka-wire", "kafka-analyzer", "dev"),
            arrow("kafka-analyzer", "tokio", "normal"),
            arrow("kafka-wire", "serde", "normal"),
            arrow("newcomer", "serde", "normal"),
        ]);
        assert_eq!(
            found,
            [
                "kafka-wire -> kafka-analyzer (dev): no such arrow in the design",
                "kafka-analyzer -> tokio: only obi knows tokio",
                "crate newcomer has no line in xtask/src/tidy/layers.rs"
            ]
        );
    }

    #[test]
    fn the_workspace_follows_the_design() {
        assert_eq!(check().unwrap(), Vec::<String>::new());
    }
}

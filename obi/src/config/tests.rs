//! Precedence, mistakes and completeness of the keys.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Config, Protocol, When, env_vars, file};

fn env(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
    move |name| {
        pairs
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| (*v).to_owned())
    }
}

#[test]
fn committed_file_is_the_defaults() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/obi.yaml");
    assert_eq!(file::read(path.as_ref()).unwrap(), Config::default());
}

#[test]
fn an_empty_file_is_the_defaults() {
    for text in ["", "\n", "# nothing\n", "  # indented\n\n"] {
        assert_eq!(file::parse(text, "x.yaml").unwrap(), Config::default());
    }
}

#[test]
fn every_key_has_a_variable_of_ours() {
    fn leaves(value: &Value, path: &str, out: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                map.iter()
                    .for_each(|(key, value)| leaves(value, &format!("{path}/{key}"), out));
            }
            _ => {
                out.insert(path.to_owned());
            }
        }
    }
    let mut keys = BTreeSet::new();
    leaves(
        &serde_json::to_value(Config::default()).unwrap(),
        "",
        &mut keys,
    );
    let ours: BTreeSet<String> = env_vars::ENV_VARS
        .iter()
        .filter(|(n, _)| n.starts_with("OBI_"))
        .map(|(_, k)| (*k).to_owned())
        .collect();
    assert_eq!(keys, ours);
}

#[test]
fn environment_wins_over_the_file_and_ours_over_otel() {
    let from_file = file::parse(
        "listen: 127.0.0.1:1\nexport: { otlp: { endpoint: 'http://file:4317' } }\n",
        "x",
    )
    .unwrap();
    let config = env_vars::apply(
        from_file,
        env(&[
            ("OBI_LISTEN", "127.0.0.1:2"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "authorization=Basic%20eDp5,tenant=a",
            ),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""),
            ("OBI_OTLP_ENDPOINT", "http://obi:4318"),
            ("OBI_DISCOVERY_PID", "12, 34"),
            ("OBI_DISCOVERY_EXE", "/usr/bin/*,7"),
            ("OBI_KAFKA_TOPICS", "orders,pay*"),
            ("OBI_KAFKA_CAPTURE_KEY", "false"),
            ("OBI_KAFKA_READ_RECORDS", "false"),
            ("OBI_KAFKA_MAX_MESSAGE_SIZE", "512"),
        ]),
    )
    .unwrap();
    assert_eq!(config.listen, "127.0.0.1:2");
    assert_eq!(config.export.otlp.endpoint, "http://obi:4318");
    assert_eq!(config.export.otlp.protocol, Protocol::HttpProtobuf);
    assert_eq!(config.export.otlp.timeout_ms, 2500);
    assert_eq!(config.export.otlp.traces.endpoint, "");
    assert_eq!(
        config
            .export
            .otlp
            .headers
            .get("authorization")
            .map(String::as_str),
        Some("Basic eDp5")
    );
    assert_eq!(
        config.export.otlp.headers.get("tenant").map(String::as_str),
        Some("a")
    );
    assert_eq!(config.discovery.pid, [12, 34]);
    assert_eq!(config.discovery.exe, ["/usr/bin/*", "7"]);
    assert_eq!(config.instrumentation.kafka.topics, ["orders", "pay*"]);
    assert!(!config.instrumentation.kafka.capture_key);
    assert!(!config.settings().records);
    assert_eq!(config.instrumentation.kafka.max_message_size, 512);
}

#[test]
fn a_wrong_variable_is_named() {
    let wrong = |pairs| {
        format!(
            "{:#}",
            env_vars::apply(Config::default(), env(pairs)).unwrap_err()
        )
    };
    assert_eq!(
        wrong(&[("OBI_KAFKA_CAPTURE_KEY", "yes")]),
        "environment variable OBI_KAFKA_CAPTURE_KEY: `yes` is neither true nor false"
    );
    assert!(
        wrong(&[("OBI_RING_BYTES", "8MiB")])
            .starts_with("environment variable OBI_RING_BYTES: `8MiB` is not a whole number")
    );
    assert!(
        wrong(&[("OBI_OTLP_PROTOCOL", "udp")])
            .starts_with("environment variable OBI_OTLP_PROTOCOL: `udp` does not fit")
    );
    assert!(
        wrong(&[("OBI_DISCOVERY_PID", "init")])
            .starts_with("environment variable OBI_DISCOVERY_PID: `init` does not fit")
    );
}

/// The report as it is printed without colour.
fn report(text: &str) -> String {
    let report = file::parse(text, "obi.yaml").unwrap_err();
    let mut out = String::new();
    let theme = miette::GraphicalTheme::unicode_nocolor();
    miette::GraphicalReportHandler::new_themed(theme)
        .render_report(&mut out, report.as_ref())
        .unwrap();
    out
}

#[test]
fn mistakes_show_line_caret_and_the_nearest_key() {
    insta::assert_snapshot!(
        "unknown_key",
        report("instrumentation:\n  kafka:\n    enabled: true\n    capture_haeders: false\n")
    );
    insta::assert_snapshot!("unknown_top_key", report("exports:\n  otlp: {}\n"));
    insta::assert_snapshot!(
        "unknown_value",
        report("instrumentation:\n  kafka:\n    span_tree: child\n")
    );
    insta::assert_snapshot!(
        "wrong_type",
        report("instrumentation:\n  kafka:\n    max_message_size: -5\n")
    );
    insta::assert_snapshot!(
        "wrong_bool",
        report("instrumentation:\n  kafka:\n    enabled: maybe\n")
    );
    insta::assert_snapshot!("list_expected", report("discovery:\n  pid: 12\n"));
    insta::assert_snapshot!("twice", report("listen: a\nlisten: b\n"));
    insta::assert_snapshot!("not_yaml", report("discovery:\n  exe: [a, b\nlisten: x\n"));
}

#[test]
fn keys_without_their_feature_are_answered() {
    assert_eq!(
        super::unbuilt::warnings(&Config::default()),
        Vec::<String>::new()
    );
    let config = file::parse(
        "instrumentation:\n  kafka:\n    propagation: { enabled: false, header_format: b3 }\n    schema_registry: { enabled: true }\n",
        "x",
    )
    .unwrap();
    let keys: Vec<String> = super::unbuilt::warnings(&config)
        .iter()
        .map(|w| w.split(':').next().unwrap_or("").to_owned())
        .collect();
    assert_eq!(
        keys,
        [
            "instrumentation.kafka.schema_registry.enabled",
            "instrumentation.kafka.propagation.enabled",
            "instrumentation.kafka.propagation.header_format"
        ]
    );
}

#[test]
fn values_that_cannot_work_are_named_by_their_key() {
    let said = |yaml: &str| {
        super::check::check(&file::parse(yaml, "x").unwrap())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(super::check::check(&Config::default()), Ok(()));
    for (yaml, begins) in [
        (
            "instrumentation: { kafka: { topics: ['a['] } }",
            "instrumentation.kafka.topics: error parsing glob 'a['",
        ),
        (
            "discovery: { exclude: { exe: ['{a'] } }",
            "discovery.exclude.exe: error parsing glob '{a'",
        ),
        (
            "instrumentation: { kafka: { max_message_size: 2000000 } }",
            "instrumentation.kafka.max_message_size: 2000000 is more than",
        ),
        (
            "ring_bytes: 5000000",
            "ring_bytes: 5000000 is not a power of two",
        ),
        (
            "ring_bytes: 4096",
            "ring_bytes: 4096 is not a power of two from 262144",
        ),
        (
            "listen: '9464'",
            "listen: `9464` is not an address and port",
        ),
        (
            "log_level: 'obi=loud'",
            "log_level: `obi=loud` is not a level or filter",
        ),
        (
            "export: { otlp: { endpoint: 'collector:4317' } }",
            "export.otlp: endpoint `collector:4317`: it must begin with http:// or https://",
        ),
        (
            "export: { otlp: { endpoint: 'https://c', certificate: /nonexistent.pem } }",
            "export.otlp: certificate: cannot read /nonexistent.pem: No such file",
        ),
        (
            "export: { otlp: { endpoint: 'http://c:4317', headers: { 'a b': x } } }",
            "export.otlp: headers: `a b` cannot be sent",
        ),
    ] {
        let said = said(yaml);
        assert!(said.starts_with(begins), "{yaml}: {said}");
    }
}

#[test]
fn requests_and_statements_are_read_as_chosen_or_as_suits_the_kernel() {
    let read = |text: &str| {
        let config = file::parse(
            &format!("instrumentation: {{ app: {{ enabled: {text} }} }}\n"),
            "x",
        );
        config.unwrap().instrumentation.app.enabled
    };
    assert_eq!(Config::default().instrumentation.app.enabled, When::Auto);
    assert_eq!(
        ["auto", "true", "false"].map(read),
        [When::Auto, When::Always, When::Never]
    );
    for (text, expected) in [
        ("auto", When::Auto),
        ("true", When::Always),
        ("1", When::Always),
        ("false", When::Never),
    ] {
        let config = env_vars::apply(Config::default(), |name| {
            (name == "OBI_APP_ENABLED").then(|| text.to_owned())
        })
        .unwrap();
        assert_eq!(config.instrumentation.app.enabled, expected, "{text}");
    }
    let wrong =
        env_vars::apply(Config::default(), env(&[("OBI_APP_ENABLED", "maybe")])).unwrap_err();
    assert!(
        format!("{wrong:#}").ends_with("`maybe` is neither auto nor true nor false"),
        "{wrong:#}"
    );
    let settled = [When::Auto, When::Always, When::Never]
        .map(|when| [when.settled(true), when.settled(false)]);
    assert_eq!(
        settled,
        [
            [When::Always, When::Never],
            [When::Always; 2],
            [When::Never; 2]
        ]
    );
}

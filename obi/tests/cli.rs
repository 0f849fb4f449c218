//! The program as a user runs it: exit codes, messages, the socket, signals. Needs no privilege and attaches nothing.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn obi(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_obi"))
        .args(words)
        .env("NO_COLOR", "1")
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An agent that watches nothing.
struct Agent {
    process: Child,
    socket: PathBuf,
    address: String,
    _folder: tempfile::TempDir,
}

impl Agent {
    fn start() -> Agent {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("obi.sock");
        let notify = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_obi"))
            .args([
                "run",
                "--listen",
                "127.0.0.1:0",
                "--state-dir",
                "",
                "--log-level",
                "error",
                "--socket",
            ])
            .arg(&socket)
            .env("OBI_KAFKA_ENABLED", "false")
            .env("NOTIFY_SOCKET", folder.path().join("notify"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(process.stderr.as_mut().unwrap())
            .read_line(&mut first)
            .unwrap();
        let address = first.split_once("http://").unwrap().1.trim().to_owned();
        let mut state = [0; 64];
        let n = notify.recv(&mut state).unwrap();
        assert_eq!(&state[..n], b"READY=1");
        Agent {
            process,
            socket,
            address,
            _folder: folder,
        }
    }

    fn ask(&self, words: &[&str]) -> Output {
        let mut all = words.to_vec();
        all.extend(["--socket", self.socket.to_str().unwrap()]);
        obi(&all)
    }

    /// The answer in JSON, which begins with its schema and fits it.
    fn schema_of(&self, question: &str, name: &str) -> Value {
        let json = self.ask(&["kafka", question, "--output", "json"]);
        let text = String::from_utf8(json.stdout).unwrap();
        let first = format!("{{\n  \"schema\": \"obi.{name}/1\",\n");
        assert!(text.starts_with(&first), "{text}");
        let schema = repository(&format!("config/schema/obi.{name}.1.json"));
        let schema: Value =
            serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        jsonschema::validate(&schema, &answer).unwrap();
        answer
    }

    fn end(mut self, signal: &str) -> Option<i32> {
        let pid = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        let status = self.process.wait().unwrap();
        assert!(!self.socket.exists());
        status.code()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[test]
fn an_agent_answers_and_ends_on_sigterm() {
    let agent = Agent::start();
    let metrics = ureq::get(format!("http://{}", agent.address))
        .call()
        .unwrap()
        .into_body()
        .read_to_string()
        .unwrap();
    assert!(metrics.contains("obi_build_info{version="), "{metrics}");
    let human = agent.ask(&["kafka", "stats"]);
    assert_eq!(human.status.code(), Some(0), "{}", stderr(&human));
    assert!(String::from_utf8_lossy(&human.stdout).ends_with("no Kafka client seen yet\n"));
    let stats = agent.schema_of("stats", "kafka.stats");
    assert_eq!(stats["agent"]["ready"], true);
    for (question, empty) in [
        ("groups", "no consumer group to show\n"),
        ("topics", "no topic to show\n"),
        ("clients", "no Kafka client to show\n"),
        ("transactions", "no transaction to show\n"),
        ("events", "no event to show\n"),
        (
            "traces",
            "no trace to show\nnothing is watched: instrumentation.kafka.enabled is false\n",
        ),
    ] {
        agent.schema_of(question, question);
        let human = agent.ask(&["kafka", question]);
        assert_eq!(String::from_utf8_lossy(&human.stdout), empty);
        assert_eq!(human.status.code(), Some(0), "{}", stderr(&human));
    }
    let wrong = agent.ask(&["kafka", "groups", "--group", "a["]);
    assert_eq!(wrong.status.code(), Some(2), "{}", stderr(&wrong));
    assert_eq!(agent.end("-TERM"), Some(0));
}

#[test]
fn obi_cli_is_the_same_program_and_sigint_ends_an_agent() {
    let agent = Agent::start();
    let answer = Command::new(env!("CARGO_BIN_EXE_obi-cli"))
        .args(["kafka", "stats", "--socket"])
        .arg(&agent.socket)
        .output()
        .unwrap();
    assert_eq!(answer.status.code(), Some(0), "{}", stderr(&answer));
    let second = obi(&[
        "run",
        "--listen",
        "127.0.0.1:0",
        "--socket",
        agent.socket.to_str().unwrap(),
    ]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        stderr(&second).contains("another agent answers on "),
        "{}",
        stderr(&second)
    );
    let port = agent.address.split('/').next().unwrap().to_owned();
    let second = obi(&[
        "run",
        "--listen",
        &port,
        "--socket",
        "/nonexistent/never.sock",
    ]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        stderr(&second).contains(&format!("error: another program listens on {port}\nhint: ")),
        "{}",
        stderr(&second)
    );
    assert_eq!(agent.end("-INT"), Some(0));
}

#[test]
fn without_an_agent_the_command_to_start_one_is_said() {
    let answer = obi(&["kafka", "stats", "--socket", "/nonexistent/obi.sock"]);
    assert_eq!(answer.status.code(), Some(1));
    assert_eq!(
        stderr(&answer),
        "error: no agent is running: /nonexistent/obi.sock does not exist\nhint: start one with `sudo obi run`\n"
    );
}

#[test]
fn wrong_usage_is_2() {
    let wrong_usage = |words: &[&str], said: &str| {
        let answer = obi(words);
        assert_eq!(
            answer.status.code(),
            Some(2),
            "{words:?}: {}",
            stderr(&answer)
        );
        assert!(
            stderr(&answer).contains(said),
            "{words:?}: {}",
            stderr(&answer)
        );
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("obi.yaml");
    std::fs::write(
        &file,
        "instrumentation:\n  kafka:\n    capture_header: true\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    wrong_usage(&["dance"], "unrecognized subcommand 'dance'");
    wrong_usage(&["run", "--pid", "init"], "invalid value 'init'");
    wrong_usage(
        &["config", "check", file],
        "did you mean `capture_headers`?",
    );
    wrong_usage(
        &["run", "--config", file],
        "did you mean `capture_headers`?",
    );
    wrong_usage(
        &["config", "check", "/nonexistent.yaml"],
        "cannot read /nonexistent.yaml: No such file",
    );
    wrong_usage(
        &["run", "--log-level", "obi=loud"],
        "log_level: `obi=loud` is not a level or filter",
    );
    wrong_usage(
        &["run", "--listen", "9464"],
        "listen: `9464` is not an address and port",
    );
    let socket = folder.path().join("s").display().to_string();
    let run = [
        "run",
        "--listen",
        "127.0.0.1:0",
        "--socket",
        &socket,
        "--otlp-endpoint",
        "localhost:4317",
    ];
    wrong_usage(
        &run,
        "export.otlp: endpoint `localhost:4317`: it must begin with http:// or https://",
    );
}

#[test]
fn config_check_and_schema() {
    let correct = obi(&[
        "config",
        "check",
        repository("config/obi.yaml").to_str().unwrap(),
    ]);
    assert_eq!(correct.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&correct.stdout).ends_with("config/obi.yaml: correct\n"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("obi.yaml");
    std::fs::write(
        &file,
        "instrumentation: { kafka: { schema_registry: { enabled: true } } }\n",
    )
    .unwrap();
    let warned = obi(&["config", "check", file.to_str().unwrap()]);
    assert_eq!(
        String::from_utf8_lossy(&warned.stdout),
        format!(
            "warning: instrumentation.kafka.schema_registry.enabled: the schema registry is not asked in this version\n{}: correct\n",
            file.display()
        )
    );
    let schema = obi(&["config", "schema"]);
    assert_eq!(
        schema.stdout,
        std::fs::read(repository("config/schema/obi.config.json")).unwrap()
    );
}

#[test]
fn a_reader_that_goes_away_is_success() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_obi"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(process.stdout.take());
    let status = process.wait().unwrap();
    let mut said = String::new();
    process
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = obi(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("kafka"),
            "{shell}"
        );
    }
}

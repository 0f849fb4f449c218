//! The socket itself: mode, replacement, refusals.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn echo() -> Vec<(&'static str, Answer)> {
    vec![
        ("echo", Box::new(|| Ok(r#"{"schema":"x/1"}"#.to_owned()))),
        ("fail", Box::new(|| bail!("not now"))),
    ]
}

#[test]
fn answers_with_mode_0600_and_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/obi.sock");
    let control = start(&path, echo()).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(ask(&path, "echo").unwrap(), json!({"schema": "x/1"}));
    assert_eq!(
        format!("{:#}", ask(&path, "fail").unwrap_err()),
        "the agent says: not now"
    );
    assert_eq!(
        format!("{:#}", ask(&path, "dance").unwrap_err()),
        "the agent says: unknown command `dance`"
    );
    drop(control);
    assert!(!path.exists());
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("obi.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let stale = ask(&path, "echo").unwrap_err();
    assert!(
        stale.to_string().ends_with("is left from an earlier run"),
        "{stale}"
    );
    let _control = start(&path, echo()).unwrap();
    assert_eq!(ask(&path, "echo").unwrap(), json!({"schema": "x/1"}));
    let second = start(&path, echo()).unwrap_err();
    assert_eq!(
        second.to_string(),
        format!("another agent answers on {}", path.display())
    );
    assert_eq!(ask(&path, "echo").unwrap(), json!({"schema": "x/1"}));
}

#[test]
fn other_files_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("obi.sock");
    std::fs::write(&path, "precious").unwrap();
    let error = start(&path, echo()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} exists and is not a socket", path.display())
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn hostile_requests_get_an_error_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("obi.sock");
    let _control = start(&path, echo()).unwrap();
    for request in ["\n", "{\n", "[1]\n", "{\"command\":7}\n", "\u{7f}\0\n"] {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert_eq!(
            line,
            "{\"error\":\"not a request: one line {\\\"command\\\": \\\"...\\\"} is expected\"}\n",
            "{request:?}"
        );
    }
}

#[test]
fn no_agent_is_said_with_the_command_to_start_one() {
    let error = ask(Path::new("/nonexistent/obi.sock"), "echo").unwrap_err();
    let failure = error.downcast_ref::<Failure>().unwrap();
    assert_eq!(
        failure.message,
        "no agent is running: /nonexistent/obi.sock does not exist"
    );
    assert_eq!(
        failure.hint.as_deref(),
        Some("start one with `sudo obi run`")
    );
    assert_eq!(failure.exit, Exit::Finding);
}

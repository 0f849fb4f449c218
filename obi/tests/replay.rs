//! A small capture of a real client, replayed: the same bytes each time, for any number of shards, and those that are committed. A change here is a
//! change of what users see: look at it, then write the files anew with the command that a failure prints.

use std::path::{Path, PathBuf};
use std::process::Command;

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/captures")
}

fn replay(form: &str, shards: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_obi"))
        .arg("replay")
        .arg(captures().join("python.rec"))
        .args(["--output", form, "--shards", shards])
        .env_remove("OBI_CONFIG")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_committed_capture_says_what_it_said() {
    for (form, file) in [("json", "python.jsonl"), ("metrics", "python.metrics")] {
        let first = replay(form, "1");
        assert_eq!(first, replay(form, "1"), "{form}: two replays differ");
        assert_eq!(first, replay(form, "4"), "{form}: shards change the result");
        let committed = std::fs::read_to_string(captures().join(file)).unwrap();
        assert!(
            first == committed,
            "{file} is not what a replay says: obi replay tests/fixtures/captures/python.rec --output {form} > tests/fixtures/captures/{file}"
        );
    }
}

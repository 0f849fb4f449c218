//! Mistakes of an operator, each with its exit code and a message that says what to do: no root, a port in use, a wrong
//! configuration, a recording that is none.

use std::net::TcpListener;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

use crate::world::World;

pub fn run(world: &World) -> Result<String> {
    let program = &world
        .settings
        .as_ref()
        .context("there is no agent")?
        .program;
    let folder = world.layout.run().join("misuse");
    std::fs::create_dir_all(&folder)?;
    let obi =
        |words: &[&str]| -> Result<Output> { Ok(Command::new(program).args(words).output()?) };
    let mut seen = Vec::new();
    let mut expect = |what: &str, output: Output, code: i32, hint: &str| -> Result<()> {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() != Some(code) || !said.contains(hint) || said.contains("panicked") {
            bail!(
                "{what}: wanted exit code {code} and `{hint}`, got {}:\n{said}",
                output.status
            );
        }
        seen.push(what.to_owned());
        Ok(())
    };

    // A copy that a user without rights may run.
    let copy = std::env::temp_dir().join(format!("obi-misuse-{}", std::process::id()));
    std::fs::copy(program, &copy)?;
    let mut nobody = Command::new("setpriv");
    nobody
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&copy)
        .args(["run", "--state-dir", ""]);
    nobody.args([
        "--listen",
        "127.0.0.1:0",
        "--socket",
        "/tmp/obi-misuse.sock",
    ]);
    let output = nobody.output();
    std::fs::remove_file(&copy)?;
    expect("no root", output?, 3, "root")?;

    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let socket = folder.join("obi.sock").display().to_string();
    let state = folder.join("state").display().to_string();
    let output = obi(&[
        "run",
        "--listen",
        &address,
        "--socket",
        &socket,
        "--state-dir",
        &state,
    ])?;
    expect("port in use", output, 1, &address)?;

    let config = folder.join("obi.yaml");
    std::fs::write(
        &config,
        "instrumentation:\n  kafka:\n    capture_key: true\n    capture_header: true\n",
    )?;
    let config = config.display().to_string();
    expect(
        "a key that does not exist",
        obi(&["config", "check", &config])?,
        2,
        "capture_headers",
    )?;
    expect(
        "run with that configuration",
        obi(&["run", "--config", &config])?,
        2,
        "capture_headers",
    )?;

    let noise = folder.join("noise");
    std::fs::write(&noise, [0xa5; 4096])?;
    expect(
        "replay of noise",
        obi(&["replay", &noise.display().to_string()])?,
        1,
        "noise",
    )?;
    let nowhere = folder.join("nobody-listens.sock").display().to_string();
    expect(
        "no agent to ask",
        obi(&["kafka", "stats", "--socket", &nowhere])?,
        1,
        "nobody-listens.sock",
    )?;
    Ok(seen.join(", "))
}

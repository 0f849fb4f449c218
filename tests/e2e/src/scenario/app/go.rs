//! A Go program (`tests/e2e/clients/go/app`) that serves HTTP/1.1, HTTP/2 and gRPC, in the clear and over TLS, several at once on a connection, asks PostgreSQL
//! through lib/pq and pgx, by the simple and the extended protocol, and produces by franz-go. In: the world. Out: what was seen.

use anyhow::{Context, Result};
use obi_lab::golang::{self, Symbols};
use obi_lab::process::Launch;

use super::{Stage, compare, finish, nothing_else, of, read};
use crate::world::World;

const ROUNDS: usize = 10;

pub fn run(world: &World) -> Result<String> {
    let stage = Stage::set(world, "app", 1)?;
    let program = golang::build(
        &world.layout.root().join("tests/e2e/clients/go/app"),
        ".",
        &stage.folder.join("app"),
        Symbols::Stripped,
        true,
    )?;
    let plan = stage.plan(world, &serde_json::json!({ "requests": ROUNDS }))?;
    let launch = |word: &str| {
        let log = stage.folder.join(format!("{word}.log"));
        Launch::new(word, &program, log).arg(word).arg(&plan)
    };
    let serving = stage.serve(launch("serve"), std::slice::from_ref(&program))?;
    finish(launch("ask"), "ask")?;
    let lines = read(&stage.truth())?;
    let pid = serving.process.pid();
    let (lost, waited) = stage.told(lines.len())?;
    let sink = stage.close()?;
    serving.kill()?;
    let said = compare(&lines, &of(&sink, "app"));
    let said = said.with_context(|| format!("pid {pid}; lost: {lost}"))?;
    waited?;
    nothing_else(&sink)?;
    Ok(said)
}

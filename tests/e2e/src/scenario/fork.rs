//! One connection, two processes: after a fork the child writes on the shared handle and the parent reads the answers. Each record is
//! counted once, under the one client id.

use std::process::Command;

use anyhow::{Result, bail};

use crate::check::{self, PRODUCED};
use crate::truth::{Did, Truth};
use crate::world::{MARKER, World};

const ROUNDS: u32 = 30;

pub fn run(world: &World) -> Result<String> {
    let agent = world.agent()?;
    let before = check::losses(&agent.scrape()?);
    let folder = world.layout.run().join("fork");
    std::fs::create_dir_all(&folder)?;
    for tls in [false, true] {
        let id = world.fresh(if tls { "fork-tls" } else { "fork-plain" });
        world.cluster.admin.create(&id, 3, 1)?;
        let (plan, truth) = (
            folder.join(format!("{id}.plan.json")),
            folder.join(format!("{id}.truth.jsonl")),
        );
        let config = serde_json::json!({
            "brokers": [world.cluster.bootstrap(tls)], "tls": tls, "user": world.cluster.user.name,
            "password": world.cluster.user.password, "ca": world.cluster.certificates.authority, "client_id": id,
            "marker": MARKER, "truth": truth,
        });
        std::fs::write(&plan, config.to_string())?;
        let script = world.layout.root().join("tests/e2e/clients/python/fork.py");
        let mut python = Command::new(&world.programs.python);
        let output = python
            .arg(script)
            .arg(&plan)
            .args([&id, &ROUNDS.to_string()])
            .output()?;
        if !output.status.success() {
            bail!(
                "fork.py: {}\n{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let produced = check::ends(&world.cluster.admin, std::slice::from_ref(&id))?;
        check::same(
            "acknowledgements and end offsets",
            &Truth::read(&truth)?.counts(Did::Produced),
            &produced,
        )?;
        check::settle(agent, |scrape| {
            check::differences(scrape, PRODUCED, Some(&id), &produced)
        })?;
    }
    check::nothing_lost(&before, &agent.scrape()?)?;
    Ok(format!(
        "{} requests of two processes on one connection, plain and TLS",
        2 * ROUNDS
    ))
}

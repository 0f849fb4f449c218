//! What applications do with messages, against their own truth (`tests/e2e/clients/go/processing`), message by message. In: programs of each Go library and
//! pattern, each under an `obi record` of its own that met it before its first call. Out: one test a cell: each message once, on its goroutine, under its
//! context, and an interval that holds the program's own and stays within the calls that began and ended it; what was produced meanwhile under its
//! message, or under none where that is not known, and never under another.

mod budget;
mod cells;
mod compare;
mod programs;
mod windows;

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use obi_lab::process::{Launch, Process};

use crate::recording::Recorder;
use crate::report::Report;
use crate::world::World;
use cells::Cell;
use programs::Program;

/// Resident memory of an agent that has met programs of 30 MiB; its rings, 32 MiB, are in it twice.
const PEAK_KIB: u64 = 400 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);

pub fn names(full: bool) -> Vec<String> {
    cells::chosen(full).iter().map(Cell::name).collect()
}

pub fn run(world: &World, full: bool, report: &mut Report) {
    for cell in cells::chosen(full) {
        report.test(&cell.name(), || run_cell(world, &cell));
    }
}

fn run_cell(world: &World, cell: &Cell) -> Result<String> {
    let settings = world.settings.as_ref().context("there is no agent")?;
    let folder = world.layout.run().join("work");
    std::fs::create_dir_all(&folder)?;
    let feed = Program::of(world, &folder, &cells::FEED)?;
    let program = Program::of(world, &folder, cell)?;

    let id = world.fresh(&format!("work-{}", cell.id()));
    let at = |suffix: &str| folder.join(format!("{id}.{suffix}"));
    let results = match cell.pattern {
        "transaction" | "events" | "results" | "relay" | "input" => "results",
        _ => "dlq",
    };
    let letters = format!("{id}-{results}");
    world.cluster.admin.create(&id, 3, 1)?;
    // Several: what is sent at once, of one size, is told apart by its reports alone.
    let partitions = match cell.pattern {
        "events" | "relay" => 3,
        _ => 1,
    };
    world.cluster.admin.create(&letters, partitions, 1)?;
    let config = at("yaml");
    let named = config.display().to_string();
    let mut flags = vec!["--payload"];
    if cell.fast.is_some() {
        std::fs::write(&config, budget::CONFIG)?;
        flags.extend(["--config", &named]);
    }
    let mut recorder = Recorder::start_at_once(&settings.program, &at("recording"), &flags)?;

    let start = |name: &str, program: &Program| {
        let bootstrap = world.cluster.bootstrap(true);
        let plan = serde_json::json!({
            "brokers": bootstrap.split(',').collect::<Vec<_>>(), "user": world.cluster.user.name, "password": world.cluster.user.password,
            "ca": world.cluster.certificates.authority, "client_id": format!("{id}-{name}"), "group": id, "topic": id, "dead_letters": letters,
            "pattern": cell.pattern, "records": cell.records(), "pause": cell.pause(), "truth": at(&format!("{name}.jsonl")),
        });
        let file = at(&format!("{name}.json"));
        std::fs::write(&file, plan.to_string())?;
        Launch::new(name, &program.file, at(&format!("{name}.log")))
            .args(&program.words)
            .arg(file)
            .piped()
            .start()
    };
    let mut feeding = start("feed", &feed)?;
    let mut working = start("work", &program)?;
    recorder.met(&feed.hooked)?;
    recorder.met(&program.hooked)?;
    finish(&mut feeding, true)?;
    let pid = working.pid();
    let seen = if cell.fast.is_some() {
        let seen = budget::watch(world, &mut working, &program, &id, &at("work.jsonl"))?;
        format!("; {}", budget::check(world, &id, cell, &seen)?)
    } else {
        finish(&mut working, cell.pattern != "crash")?;
        String::new()
    };
    let peak = recorder.peak_kib()?;
    if peak > PEAK_KIB {
        bail!("the agent took {peak} KiB");
    }
    let mut recording = recorder.stop()?;
    recording.config = cell.fast.map(|_| config);
    compare::nothing_left(&recording)?;
    let compared = compare::all(cell, pid, &id, &at("work.jsonl"), &recording)?;
    Ok(compared + &seen)
}

fn say_go(process: &mut Process) -> Result<()> {
    let (mut input, _output) = process.pipes().context("a program has no pipes")?;
    writeln!(input, "go").context("a program is gone")
}

/// Says go and waits for the end.
fn finish(process: &mut Process, well: bool) -> Result<()> {
    say_go(process)?;
    let status = process.wait(PATIENCE)?;
    if status.is_none_or(|status| status.success() != well) {
        bail!("ended with {status:?}\n{}", process.log_tail(20));
    }
    Ok(())
}

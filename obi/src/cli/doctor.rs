//! `obi doctor`: what this kernel allows and what became of each Kafka client. In: the machine, the running agent if there is one; out: text or
//! `obi.doctor/1`; exit code 1 when something should be looked at, 3 or 4 when this machine cannot be watched at all.

use std::fmt::Write;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::exit::{self, Exit};
use super::{AgentSocket, Output};
use crate::attach::error;
use crate::budget::bill::{Costs, HookSeconds, Price};
use crate::doctor::{self, Report, Watched};
use crate::serve::control;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    agent: AgentSocket,
    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let watched: Option<Watched> = ask(&args.agent.socket, "watched");
    let costs: Option<Costs> = ask(&args.agent.socket, "costs");
    let report = doctor::report(watched.as_ref(), costs.as_ref());
    exit::print(&match args.output {
        Output::Human => human(&report),
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&report)?),
    })?;
    Ok(match doctor::refusal() {
        Some(error::NOT_PERMITTED) => Exit::NotPermitted,
        Some(_) => Exit::Unsupported,
        None if report.findings.is_empty() => Exit::Fine,
        None => Exit::Finding,
    })
}

fn ask<T: DeserializeOwned>(socket: &Path, question: &str) -> Option<T> {
    let value = control::ask(socket, question).ok()?;
    serde_json::from_value(value).ok()
}

fn human(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = render(report, &mut out);
    out
}

fn render(report: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "kernel {}", report.kernel.release)?;
    for feature in &report.kernel.features {
        let word = if feature.works { "yes" } else { "no " };
        match &feature.reason {
            Some(reason) => writeln!(out, "  {word} {:<18} {reason}", feature.feature)?,
            None => writeln!(out, "  {word} {}", feature.feature)?,
        }
    }
    if let Some(lockdown) = &report.kernel.lockdown {
        writeln!(out, "  lockdown {lockdown}")?;
    }
    if let Some(prices) = &report.prices {
        let measured = if prices.measured {
            "measured"
        } else {
            "assumed"
        };
        writeln!(
            out,
            "what a hit of a hook costs ({measured}), beside its program"
        )?;
        for Price { site, ns } in &prices.sites {
            writeln!(out, "  {ns:>6} ns {site}")?;
        }
    }
    writeln!(
        out,
        "agent {}",
        if report.agent_running {
            "is running"
        } else {
            "is not running: hooks below are plans"
        }
    )?;
    if report.processes.is_empty() {
        writeln!(out, "no process looks like a Kafka client")?;
    }
    for process in &report.processes {
        let state = process.state.as_deref().unwrap_or("not watched");
        writeln!(
            out,
            "{} (pid {}, {}): {state}",
            process.service, process.pid, process.exe
        )?;
        if let Some(cost) = &process.cost {
            let HookSeconds {
                tls,
                batches,
                each_message,
            } = cost;
            writeln!(
                out,
                "  hooks cost it {:.3} s of CPU until now (TLS {tls:.3}, batches {batches:.3}, each message {each_message:.3})",
                cost.total()
            )?;
        }
        for library in &process.libraries {
            let named = |what: &str, library: &Option<(String, String)>| match library {
                Some((name, version)) => format!(" {what} {name} {version}").trim_end().to_owned(),
                None => String::new(),
            };
            writeln!(
                out,
                "  {}:{}{}",
                library.path,
                named("client", &library.client),
                named("TLS", &library.tls)
            )?;
            for hook in &library.hooks {
                match &hook.reason {
                    Some(reason) => writeln!(out, "    {:<9} {}: {reason}", hook.state, hook.hook)?,
                    None => writeln!(out, "    {:<9} {}", hook.state, hook.hook)?,
                }
            }
        }
    }
    for finding in &report.findings {
        let pid = finding
            .pid
            .map(|pid| format!("pid {pid}: "))
            .unwrap_or_default();
        writeln!(out, "finding: {pid}{}", finding.what)?;
        if !finding.mend.is_empty() {
            writeln!(out, "   mend: {}", finding.mend)?;
        }
    }
    Ok(())
}

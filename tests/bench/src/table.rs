//! The result as markdown. In: pairs of windows. Out: one line a figure: off, on, difference with its interval, what is to be reached.

use std::fmt::Write as _;

use crate::measure::{AgentSample, Pair, Sample};
use crate::statistics::{Estimate, estimate};

const MIB: f64 = 1024.0 * 1024.0;

pub fn render(rate: u32, steady: &[Pair], full: &[Pair]) -> String {
    let mut text = format!(
        "{rate} messages/s of 1 KiB, produced and consumed over SASL_SSL; {} pairs of {:.0} s, agent off and on in turn\n\n\
         | figure | off | on | difference (95 % interval) | to reach |\n|---|---|---|---|---|\n",
        steady.len(),
        steady.first().map_or(0.0, |pair| pair.on.window.seconds),
    );
    compared(
        &mut text,
        "client CPU, ns a message",
        steady,
        Sample::client_nanos,
        "",
    );
    compared(
        &mut text,
        "client CPU, % of a core",
        steady,
        Sample::client_percent,
        "",
    );
    let agent_nanos = agents(steady, |agent, sample| agent.cpu * 1e9 / sample.messages());
    alone(&mut text, "agent CPU, ns a message", &agent_nanos, "");
    let added = steady.iter().filter_map(|pair| {
        let agent = pair.on.agent.as_ref()?.cpu * 100.0 / pair.on.window.seconds;
        Some(pair.on.client_percent() - pair.off.client_percent() + agent)
    });
    alone(
        &mut text,
        "added CPU in all, points of a core",
        &added.collect::<Vec<_>>(),
        "≤ 0.5",
    );
    compared(
        &mut text,
        "produce p50, ms",
        steady,
        |s| s.window.ack_micros[0] / 1000.0,
        "",
    );
    compared(
        &mut text,
        "produce p99, ms",
        steady,
        |s| s.window.ack_micros[1] / 1000.0,
        "≤ +0.2",
    );
    compared(
        &mut text,
        "end to end p50, ms",
        steady,
        |s| s.window.end_micros[0] / 1000.0,
        "",
    );
    compared(
        &mut text,
        "end to end p99, ms",
        steady,
        |s| s.window.end_micros[1] / 1000.0,
        "≤ +0.2",
    );
    let lost: f64 = steady
        .iter()
        .chain(full)
        .filter_map(|pair| Some(pair.on.agent.as_ref()?.lost))
        .sum();
    let _ = writeln!(text, "| events lost, all windows | | {lost:.0} | | 0 |");
    let counted = agents(steady, |agent, sample| {
        agent.counted / (sample.window.acked + sample.window.consumed) as f64
    });
    alone(
        &mut text,
        "messages counted by the agent / by the client",
        &counted,
        "1 (windows end a moment apart)",
    );
    let resident = agents(steady, |agent, _| agent.resident_bytes as f64 / MIB);
    alone(&mut text, "agent RSS with rings, MiB", &resident, "≤ 40 MB");
    let apart = agents(steady, |agent, _| {
        agent.resident_bytes.saturating_sub(agent.ring_bytes) as f64 / MIB
    });
    alone(&mut text, "agent RSS without rings, MiB", &apart, "");
    let ratio: Vec<f64> = full
        .iter()
        .map(|pair| (pair.on.rate() / pair.off.rate() - 1.0) * 100.0)
        .collect();
    compared(
        &mut text,
        "throughput at saturation, messages/s",
        full,
        Sample::rate,
        "",
    );
    alone(
        &mut text,
        "throughput ratio at saturation, on/off − 1, %",
        &ratio,
        "≥ −0.4 within the interval",
    );
    text
}

fn agents(pairs: &[Pair], figure: impl Fn(&AgentSample, &Sample) -> f64) -> Vec<f64> {
    pairs
        .iter()
        .filter_map(|pair| Some(figure(pair.on.agent.as_ref()?, &pair.on)))
        .collect()
}

fn compared(
    text: &mut String,
    name: &str,
    pairs: &[Pair],
    figure: impl Fn(&Sample) -> f64,
    reach: &str,
) {
    let off: Vec<f64> = pairs.iter().map(|pair| figure(&pair.off)).collect();
    let on: Vec<f64> = pairs.iter().map(|pair| figure(&pair.on)).collect();
    let differences: Vec<f64> = on.iter().zip(&off).map(|(on, off)| on - off).collect();
    let mean = |numbers: &[f64]| {
        estimate(numbers)
            .map(|e| number(e.mean))
            .unwrap_or_default()
    };
    let _ = writeln!(
        text,
        "| {name} | {} | {} | {} | {reach} |",
        mean(&off),
        mean(&on),
        interval(&differences, true)
    );
}

fn alone(text: &mut String, name: &str, numbers: &[f64], reach: &str) {
    let _ = writeln!(
        text,
        "| {name} | | {} | | {reach} |",
        interval(numbers, false)
    );
}

fn interval(numbers: &[f64], signed: bool) -> String {
    let Some(Estimate { mean, half }) = estimate(numbers) else {
        return "not measured".to_owned();
    };
    let sign = if signed && mean >= 0.0 { "+" } else { "" };
    let half = half
        .map(|half| format!(" ± {}", number(half)))
        .unwrap_or_default();
    format!("{sign}{}{half}", number(mean))
}

/// Three significant digits or so.
fn number(x: f64) -> String {
    match x.abs() {
        big if big >= 100.0 => format!("{x:.0}"),
        middle if middle >= 10.0 => format!("{x:.1}"),
        _ => format!("{x:.3}"),
    }
}

//! `obi.kafka.stats/1` as tables for a terminal of 100 columns. Colour is not used.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use super::words::{bytes, quantiles, rate, short};
use crate::budget::bill::ServiceCost;
use crate::export::reasons::spoils;
use crate::store::flow::Flow;
use crate::store::stats::{ClientStats, PartitionStats, Stats, TopicStats};

/// At most `rows` rows a table, the busiest ones.
pub fn render(stats: &Stats, rows: usize) -> String {
    let mut out = String::new();
    let agent = &stats.agent;
    let clusters: Vec<&str> = distinct(
        stats
            .topics
            .iter()
            .map(|t| t.cluster.as_str())
            .chain(stats.clients.iter().map(|c| c.cluster.as_str())),
    );
    let _ = write!(
        out,
        "obi {}, up {}",
        agent.version,
        duration(agent.uptime_seconds)
    );
    if !agent.ready {
        out.push_str(", not attached yet");
    }
    if let [one] = clusters.as_slice() {
        let _ = write!(out, ", cluster {one}");
    }
    out.push('\n');
    for (reason, n) in &agent.lost {
        let _ = writeln!(out, "lost: {n} {reason} ({})", spoils(reason).as_str());
    }
    if let Some(listen) = &agent.listen {
        let _ = writeln!(out, "metrics on http://{listen}/metrics");
    }
    if stats.clients.is_empty() {
        out.push_str("\nno Kafka client seen yet\n");
        return out;
    }
    let many = clusters.len() > 1;
    section(
        &mut out,
        "CLIENTS",
        clients(&busiest(&stats.clients, rows, |c| {
            [&c.produced, &c.consumed]
        })),
        stats.clients.len(),
        rows,
    );
    section(
        &mut out,
        "TOPICS",
        topics(
            &busiest(&stats.topics, rows, |t| [&t.produced, &t.consumed]),
            many,
        ),
        stats.topics.len(),
        rows,
    );
    let partitions = busiest(&stats.partitions, rows, |p| [&p.produced, &p.consumed]);
    section(
        &mut out,
        "PARTITIONS",
        partition_table(&partitions, many),
        stats.partitions.len(),
        rows,
    );
    let shown = costliest(&stats.hooks, rows);
    section(&mut out, "HOOKS", costs(&shown), stats.hooks.len(), rows);
    let named = stats.clients.iter().filter(|c| !c.errors.is_empty());
    for client in named.take(rows) {
        let errors: Vec<String> = client
            .errors
            .iter()
            .map(|(name, n)| format!("{n} {name}"))
            .collect();
        let _ = writeln!(
            out,
            "\nerrors of {} ({}): {}",
            short(&client.service, 30),
            client.pid,
            errors.join(", ")
        );
    }
    let _ = writeln!(
        out,
        "\nrates over {} s; PRODUCE and FETCH are p50/p99 of requests in ms, over the last minute",
        stats.window_seconds
    );
    if !stats.hooks.is_empty() {
        out.push_str("COST: of one core over the last 10 s; SAMPLED: so much of the time each message is hooked\n");
    }
    out
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    names
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Those with the highest rates, in their own order.
fn busiest<T>(all: &[T], rows: usize, flows: impl Fn(&T) -> [&Flow; 2]) -> Vec<&T> {
    let rate = |t: &T| flows(t).iter().map(|f| f.records_per_second).sum::<f64>();
    let mut order: Vec<usize> = (0..all.len()).collect();
    if all.len() > rows {
        order.sort_by(|a, b| rate(&all[*b]).total_cmp(&rate(&all[*a])));
        order.truncate(rows);
        order.sort_unstable();
    }
    order.into_iter().filter_map(|at| all.get(at)).collect()
}

fn section(out: &mut String, title: &str, table: Table, all: usize, rows: usize) {
    if all == 0 {
        return;
    }
    let _ = write!(out, "\n{title}");
    if all > rows {
        let _ = write!(out, " (the busiest {rows} of {all}; --all shows the rest)");
    }
    let _ = write!(out, "\n{}\n", table.trim_fmt());
}

fn table(header: &[&str], right_from: usize) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_header(header.iter().copied());
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if at >= right_from {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn clients(rows: &[&ClientStats]) -> Table {
    let mut t = table(
        &[
            "SERVICE",
            "PID",
            "CLIENT ID",
            "LIBRARY",
            "VIA",
            "OUT/s",
            "IN/s",
            "PRODUCE",
            "FETCH",
            "ERRORS",
        ],
        5,
    );
    for c in rows {
        t.add_row([
            short(&c.service, 16),
            c.pid.to_string(),
            short(&c.client_id, 12),
            short(c.software.as_deref().unwrap_or("-"), 16),
            c.source.clone().unwrap_or_else(|| "-".to_owned()),
            rate(c.produced.records_per_second),
            rate(c.consumed.records_per_second),
            quantiles(c.produce_latency),
            quantiles(c.fetch_latency),
            errors(&c.errors),
        ]);
    }
    t
}

fn topics(rows: &[&TopicStats], clusters: bool) -> Table {
    let mut t = table(
        &[
            "TOPIC", "PRODUCED", "OUT/s", "OUT B/s", "CONSUMED", "IN/s", "IN B/s", "SIZE",
            "PRODUCE", "ERRORS",
        ],
        1,
    );
    for topic in rows {
        t.add_row([
            name(&topic.cluster, &topic.topic, clusters),
            topic.produced.records.to_string(),
            rate(topic.produced.records_per_second),
            bytes(topic.produced.bytes_per_second),
            topic.consumed.records.to_string(),
            rate(topic.consumed.records_per_second),
            bytes(topic.consumed.bytes_per_second),
            topic
                .mean_record_bytes
                .map_or_else(|| "-".to_owned(), bytes),
            quantiles(topic.produce_latency),
            errors(&topic.errors),
        ]);
    }
    t
}

fn partition_table(rows: &[&PartitionStats], clusters: bool) -> Table {
    let mut t = table(
        &[
            "TOPIC",
            "PARTITION",
            "HIGH WATERMARK",
            "PRODUCED",
            "OUT/s",
            "CONSUMED",
            "IN/s",
        ],
        1,
    );
    for p in rows {
        t.add_row([
            name(&p.cluster, &p.topic, clusters),
            p.partition.to_string(),
            p.high_watermark
                .map_or_else(|| "-".to_owned(), |n| n.to_string()),
            p.produced.records.to_string(),
            rate(p.produced.records_per_second),
            p.consumed.records.to_string(),
            rate(p.consumed.records_per_second),
        ]);
    }
    t
}

/// Those that hooks cost most.
fn costliest(all: &[ServiceCost], rows: usize) -> Vec<&ServiceCost> {
    let mut costs: Vec<&ServiceCost> = all.iter().collect();
    costs.sort_by(|a, b| b.seconds.total().total_cmp(&a.seconds.total()));
    costs.truncate(rows);
    costs
}

fn costs(rows: &[&ServiceCost]) -> Table {
    let mut t = table(
        &[
            "SERVICE",
            "COST",
            "BUDGET",
            "SAMPLED",
            "RECORDS",
            "CPU s",
            "TLS",
            "BATCHES",
            "EACH MESSAGE",
        ],
        1,
    );
    for cost in rows {
        t.add_row([
            short(&cost.service, 24),
            percent(cost.share, 2),
            percent(cost.budget, 2),
            percent(cost.sampled_share, 1),
            percent(cost.records_share, 1),
            format!("{:.3}", cost.seconds.total()),
            format!("{:.3}", cost.seconds.tls),
            format!("{:.3}", cost.seconds.batches),
            format!("{:.3}", cost.seconds.each_message),
        ]);
    }
    t
}

fn percent(share: Option<f64>, digits: usize) -> String {
    share.map_or_else(
        || "-".to_owned(),
        |share| format!("{:.digits$} %", share * 100.0),
    )
}

fn name(cluster: &str, topic: &str, clusters: bool) -> String {
    if clusters {
        format!("{}/{}", short(cluster, 6), short(topic, 17))
    } else {
        short(topic, 24)
    }
}

fn errors(errors: &BTreeMap<String, u64>) -> String {
    errors.values().sum::<u64>().to_string()
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests;

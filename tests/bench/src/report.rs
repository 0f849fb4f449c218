//! What hooks cost each library, as a page of markdown. In: rows of pairs of windows; the machine. Out: text.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::by_hook::{Figures, Name, PerMessage};
use crate::figures::{added, hooks, mean, number, sampled, spread};
use crate::hooks::Hooks;
use crate::library::Library;
use crate::measure::{Pair, Sample};

const MIB: f64 = 1024.0 * 1024.0;

/// One library at one rate.
pub struct Row {
    pub library: Library,
    /// Messages a second that are offered; 0: as many as go.
    pub rate: i64,
    pub pairs: Vec<Pair>,
}

/// One library at a low rate and at its highest.
pub type EachHook = (Library, Figures, Figures);

pub fn render(root: &Path, rows: &[Row], hooks: &[EachHook]) -> String {
    let pairs = rows.first().map_or(0, |row| row.pairs.len());
    let seconds = rows
        .first()
        .and_then(|row| row.pairs.first())
        .map_or(0.0, |pair| pair.on.window.seconds);
    let mut text = format!(
        "# What obi costs client libraries\n\n\
         Written by `make bench` (`cargo xtask bench --only clients`). {}\n\n\
         Each library produces and consumes messages of 1 KiB over SASL_SSL in one process, message by message; the broker is on the same machine. \
         {pairs} pairs of windows of {seconds:.0} s, agent off and on in turn; ± is the 95 % interval of the mean. Hooks on calls of client \
         libraries are on, the overhead budget is the default one. The time in which a new agent learns (13 s) is not in the windows.\n",
        machine(root),
    );
    text.push_str(
        "\n## CPU\n\nPoints are of one core. Throughput is compared where as many messages are sent as go.\n\n\
         | library | messages/s off | on | throughput added, % | client CPU off, % of a core | added, points | client CPU off, ns a message | added | \
         agent CPU, % of a core | agent RSS, MiB | hooks, % of a core: TLS / batches / each message | each message attached, % of the time |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    rows.iter().for_each(|row| cpu(&mut text, row));
    text.push_str(
        "\n## Latency\n\nIn ms. A message is due at its time whether or not earlier ones are done; where as many are sent as go, latency is the length of the queue.\n\n\
         | library | messages/s | produce p50 off | added | p99 off | added | end to end p50 off | added | p99 off | added |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    rows.iter().for_each(|row| latency(&mut text, row));
    text.push_str(
        "\n## Each hook\n\nWithout a budget: all hooks are attached all the time, and at the highest rate they leave room for fewer messages. ns = hits × price of the \
         instruction + time within the program; each message is produced and read. Hooks that were not hit are left out.\n\n\
         | library | hook | for | instruction | at messages/s | hits a message | ns a message (of it within the program) | at messages/s | hits a message | ns a message (of it within the program) |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    hooks.iter().for_each(|each| by_hook(&mut text, each));
    text
}

fn cpu(text: &mut String, row: &Row) {
    let pairs = &row.pairs;
    let throughput = match row.rate {
        0 => spread(pairs, |pair| {
            Some((pair.on.rate() / pair.off.rate() - 1.0) * 100.0)
        }),
        _ => String::new(),
    };
    let percent = |of: fn(&Hooks) -> f64| {
        mean(pairs, |pair| {
            Some(of(&hooks(pair)?) * 100.0 / pair.on.window.seconds)
        })
    };
    let agent = |figure: fn(&crate::measure::AgentSample, &Sample) -> f64| {
        mean(pairs, |pair| {
            Some(figure(pair.on.agent.as_ref()?, &pair.on))
        })
    };
    let _ = writeln!(
        text,
        "| {} | {} | {} | {throughput} | {} | {} | {} | {} | {} | {} | {} / {} / {} | {} |",
        row.library.name(),
        mean(pairs, |pair| Some(pair.off.rate())),
        mean(pairs, |pair| Some(pair.on.rate())),
        mean(pairs, |pair| Some(pair.off.client_percent())),
        added(pairs, Sample::client_percent),
        mean(pairs, |pair| Some(pair.off.client_nanos())),
        added(pairs, Sample::client_nanos),
        agent(|agent, sample| agent.percent(&sample.window)),
        agent(|agent, _| agent.resident_bytes as f64 / MIB),
        percent(|hooks| hooks.tls),
        percent(|hooks| hooks.batches),
        percent(|hooks| hooks.each_message),
        sampled(pairs),
    );
}

fn latency(text: &mut String, row: &Row) {
    let rate = match row.rate {
        0 => "as many as go".to_owned(),
        rate => rate.to_string(),
    };
    let _ = write!(text, "| {} | {rate} |", row.library.name());
    let figures: [fn(&Sample) -> f64; 4] = [
        |sample| sample.window.ack_micros[0] / 1000.0,
        |sample| sample.window.ack_micros[1] / 1000.0,
        |sample| sample.window.end_micros[0] / 1000.0,
        |sample| sample.window.end_micros[1] / 1000.0,
    ];
    for figure in figures {
        let off = mean(&row.pairs, |pair| Some(figure(&pair.off)));
        let _ = write!(text, " {off} | {} |", added(&row.pairs, figure));
    }
    text.push('\n');
}

/// Dearest first at the highest rate; the sum last.
fn by_hook(text: &mut String, (library, seldom, often): &EachHook) {
    let mut names: Vec<&Name> = seldom.hooks.keys().chain(often.hooks.keys()).collect();
    let ns = |name: &Name| often.of(name).ns;
    names.sort();
    names.dedup();
    names.sort_by(|a, b| ns(b).total_cmp(&ns(a)));
    let rates = [seldom, often].map(|figures| (figures, number(figures.rate())));
    for name in names {
        let _ = write!(
            text,
            "| {} | `{}` {} | {} | {} |",
            library.name(),
            name.hook,
            name.at,
            name.group,
            name.site
        );
        for (figures, rate) in &rates {
            let _ = write!(text, " {rate} | {} |", told(figures.of(name)));
        }
        text.push('\n');
    }
    let _ = write!(text, "| {} | all | | |", library.name());
    for (figures, rate) in &rates {
        let _ = write!(text, " {rate} | {} |", told(figures.sum()));
    }
    text.push('\n');
}

fn told(cost: PerMessage) -> String {
    let [hits, ns, ran] = [cost.hits, cost.ns, cost.ran].map(number);
    format!("{hits} | {ns} ({ran})")
}

/// When, of what commit, on what, and how busy it was.
fn machine(root: &Path) -> String {
    let said = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).current_dir(root).output();
        output.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    };
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus
        .lines()
        .find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = read("/proc/loadavg");
    let load: Vec<&str> = load.split(' ').take(3).collect();
    format!(
        "{}, commit {}, {cores} cores ({}), Linux {}, load average when it ended {}.",
        said("date", &["-u", "+%F %H:%M UTC"]),
        said("git", &["describe", "--always", "--dirty", "--abbrev=9"]),
        model.unwrap_or("unknown"),
        said("uname", &["-r"]),
        load.join(" "),
    )
}

pub fn write(file: &Path, text: &str) -> Result<()> {
    Ok(fs::write(file, text)?)
}

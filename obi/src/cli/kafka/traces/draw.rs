//! Traces as waterfalls. In: traces, the width of the terminal; out: lines: a tree of spans, and beside it when each was at work.
//!
//! On a terminal lines are as wide as it is: what is cut ends with an ellipsis, names before numbers. Elsewhere nothing is cut. Where the locale
//! has no UTF-8, only ASCII is drawn.

use super::tree::{Node, Row, rows};
use crate::cli::kafka::words::time;
use crate::store::traces::report::{Linked, Span, Trace};

/// Columns of a bar where stdout is no terminal; at least; and at most.
const BAR: usize = 40;
const BAR_LEAST: usize = 12;
const BAR_MOST: usize = 100;
/// Columns that a name keeps however narrow the terminal is.
const NAME_LEAST: usize = 6;
/// Links told of one span.
const LINKS: usize = 3;
/// Keys told of one trace.
const KEYS: usize = 3;
/// Digits by which a trace is told apart from others.
const SHORT_ID: usize = 8;

pub struct Look {
    /// None: no terminal.
    pub columns: Option<usize>,
    pub glyphs: &'static Glyphs,
    /// All that is known of each span.
    pub details: bool,
}

#[derive(Debug, PartialEq)]
pub struct Glyphs {
    bar: &'static str,
    /// In place of the first one: it began before.
    before: &'static str,
    branch: &'static str,
    last: &'static str,
    pipe: &'static str,
    ellipsis: &'static str,
    links_to: &'static str,
    linked_from: &'static str,
}

const ASCII: Glyphs = Glyphs {
    bar: "#",
    before: "<",
    branch: "|- ",
    last: "`- ",
    pipe: "|  ",
    ellipsis: ".",
    links_to: "-> ",
    linked_from: "<- ",
};
const UTF8: Glyphs = Glyphs {
    bar: "█",
    before: "◂",
    branch: "├─ ",
    last: "└─ ",
    pipe: "│  ",
    ellipsis: "…",
    links_to: "→ ",
    linked_from: "← ",
};

impl Glyphs {
    /// As the locale says: POSIX has the first of these that is set decide.
    pub fn of(env: impl Fn(&str) -> Option<String>) -> &'static Glyphs {
        let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(env);
        let locale = set.into_iter().find(|value| !value.is_empty());
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        match locale.contains("utf-8") || locale.contains("utf8") {
            true => &UTF8,
            false => &ASCII,
        }
    }
}

/// Columns of a line; the bar is what is left.
struct Widths {
    tree: usize,
    service: usize,
    place: usize,
    bar: usize,
    line: usize,
}

enum Drawn<'a> {
    Text(String),
    Span(Line<'a>),
}

struct Line<'a> {
    failed: bool,
    tree: String,
    service: &'a str,
    place: String,
    start: String,
    time: String,
    /// Of the trace's duration.
    from: f64,
    to: f64,
    /// Lines under it.
    notes: Vec<String>,
}

pub fn draw(traces: &[&Trace], look: &Look) -> String {
    let lines: Vec<(String, Vec<Drawn<'_>>)> = traces
        .iter()
        .map(|trace| (head(trace), lines(trace, look)))
        .collect();
    let widths = Widths::of(lines.iter().flat_map(|(_, lines)| lines), look);
    let mut out = String::new();
    let mut say = |text: &str| {
        out.push_str(fit(&clean(text), widths.line, look.glyphs).trim_end());
        out.push('\n');
    };
    let columns = |mark: &str, [tree, service, place, start, time]: [&str; 5], bar: &str| {
        format!(
            "{mark} {}  {}  {}  {start:>7}  {time:>7}  {bar}",
            padded(tree, widths.tree, look.glyphs),
            padded(service, widths.service, look.glyphs),
            padded(place, widths.place, look.glyphs),
        )
    };
    say(&columns(
        " ",
        ["SPAN", "SERVICE", "WHERE", "START", "TIME"],
        "",
    ));
    for (head, lines) in &lines {
        say(head);
        for line in lines {
            let line = match line {
                Drawn::Span(line) => line,
                Drawn::Text(text) => {
                    say(text);
                    continue;
                }
            };
            let mark = if line.failed { "!" } else { " " };
            let words = [
                &*line.tree,
                line.service,
                &line.place,
                &line.start,
                &line.time,
            ];
            say(&columns(mark, words, &bar(line, widths.bar, look.glyphs)));
            line.notes.iter().for_each(|note| say(note));
        }
    }
    out
}

impl Widths {
    fn of<'a>(lines: impl Iterator<Item = &'a Drawn<'a>>, look: &Look) -> Widths {
        let count = |text: &str| text.chars().count();
        let mut names = [4, 7, 5];
        for line in lines {
            let Drawn::Span(line) = line else { continue };
            let needed = [count(&line.tree), count(line.service), count(&line.place)];
            for (width, needed) in names.iter_mut().zip(needed) {
                *width = (*width).max(needed);
            }
        }
        // Mark, two numbers, and the gaps between all.
        let others = 2 + 7 + 7 + 5 * 2;
        let Some(columns) = look.columns else {
            let [tree, service, place] = names;
            return Widths {
                tree,
                service,
                place,
                bar: BAR,
                line: usize::MAX,
            };
        };
        let room = columns.saturating_sub(others + BAR_LEAST);
        while names.iter().sum::<usize>() > room {
            // The tree says most: it goes on being half as wide again as the others.
            let [tree, service, place] = &mut names;
            let all = [(*tree * 2 / 3, tree), (*service, service), (*place, place)];
            let widest = all.into_iter().max_by_key(|(weight, _)| *weight);
            match widest {
                Some((_, width)) if *width > NAME_LEAST => *width -= 1,
                _ => break,
            }
        }
        let [tree, service, place] = names;
        let bar = columns.saturating_sub(others + tree + service + place);
        Widths {
            tree,
            service,
            place,
            bar: bar.min(BAR_MOST),
            line: columns,
        }
    }
}

/// `id  time of day (UTC)  duration  spans  keys`
fn head(trace: &Trace) -> String {
    let started = time(trace.start_ms);
    // None is older than an hour: its day needs no room.
    let of_day = started.split_once('T').map_or("", |(_, time)| time);
    let mut text = format!(
        "{}  {of_day}  {} ms  {} {}",
        trace.trace_id,
        millis(trace.duration_ms),
        trace.spans.len(),
        if trace.spans.len() == 1 {
            "span"
        } else {
            "spans"
        }
    );
    if trace.spans_left_out > 0 {
        text.push_str(&format!(" and {} left out", trace.spans_left_out));
    }
    let mut keys: Vec<&str> = Vec::new();
    for key in trace.spans.iter().filter_map(|span| span.key.as_deref()) {
        if !keys.contains(&key) && keys.len() < KEYS {
            keys.push(key);
        }
    }
    if !keys.is_empty() {
        text.push_str(&format!("  key {}", keys.join(", ")));
    }
    text
}

fn lines<'a>(trace: &'a Trace, look: &Look) -> Vec<Drawn<'a>> {
    let rows = rows(&trace.spans);
    rows.iter().map(|row| line(row, trace, look)).collect()
}

fn line<'a>(row: &Row<'a>, trace: &Trace, look: &Look) -> Drawn<'a> {
    let glyphs = look.glyphs;
    let mut tree = String::new();
    // What goes on below it, beside its notes.
    let mut below = "  ".to_owned();
    let last = row.follows.len().saturating_sub(1);
    for (level, follows) in row.follows.iter().enumerate() {
        let pipe = if *follows { glyphs.pipe } else { "   " };
        below.push_str(pipe);
        tree.push_str(match (level == last, *follows) {
            (true, true) => glyphs.branch,
            (true, false) => glyphs.last,
            (false, _) => pipe,
        });
    }
    below.push_str("  ");
    let span = match &row.node {
        Node::Span(span) => *span,
        Node::Unseen(id) => {
            return Drawn::Text(format!("  (parent {id} was not seen on this node)"));
        }
    };
    tree.push_str(&name(span));
    let whole = trace.duration_ms.max(f64::MIN_POSITIVE);
    let notes = notes(span, look).into_iter();
    Drawn::Span(Line {
        failed: span.error.is_some(),
        tree,
        service: &span.service,
        place: place(span),
        start: millis(span.start_ms),
        time: millis(span.duration_ms),
        from: span.start_ms / whole,
        to: (span.start_ms + span.duration_ms) / whole,
        notes: notes.map(|note| format!("{below}{note}")).collect(),
    })
}

/// A request is told by its path, too.
fn name(span: &Span) -> String {
    match &span.path {
        Some(path) => format!("{} {path}", span.name),
        None => span.name.clone(),
    }
}

/// `2:61 x12 g18`: partition and offset, messages, goroutine or thread.
fn place(span: &Span) -> String {
    let partition = span.partition.map(|partition| match span.offset {
        Some(offset) => format!("{partition}:{offset}"),
        None => partition.to_string(),
    });
    let all = [
        partition,
        span.messages.map(|n| format!("x{n}")),
        span.goroutine.map(|id| format!("g{id}")),
        span.thread.map(|id| format!("t{id}")),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn notes(span: &Span, look: &Look) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(span.error.as_ref().map(|error| format!("error {error}")));
    let told = |links: &[Linked], glyph: &str| {
        let links = links.iter().take(LINKS);
        links
            .map(|to| format!("{glyph}{}", linked(to)))
            .collect::<Vec<_>>()
    };
    out.extend(told(&span.links, look.glyphs.links_to));
    let more = span.links.len().saturating_sub(LINKS) + span.links_left_out as usize;
    out.extend((more > 0).then(|| format!("{}{more} more", look.glyphs.links_to)));
    out.extend(told(&span.linked_from, look.glyphs.linked_from));
    let more = span.linked_from.len().saturating_sub(LINKS);
    out.extend((more > 0).then(|| format!("{}{more} more", look.glyphs.linked_from)));
    if look.details {
        let mut all = vec![format!("pid {}", span.pid)];
        let named = [
            ("client", span.client_id.clone()),
            ("group", span.group.clone()),
            ("key", span.key.clone()),
            ("status", span.status.map(|status| status.to_string())),
        ];
        let named = named.into_iter();
        all.extend(named.filter_map(|(name, value)| Some(format!("{name} {}", value?))));
        all.push(format!("span {}", span.span_id));
        out.push(all.join("  "));
        out.extend(span.statement.clone());
    }
    out
}

/// `poll orders 61 (mail) +3.2 ms, trace 0af76519`
fn linked(to: &Linked) -> String {
    let id = to.trace_id.get(..SHORT_ID).unwrap_or(&to.trace_id);
    let offset = to.offset.map(|offset| format!(" {offset}"));
    let offset = offset.unwrap_or_default();
    let at = to.start_ms.map(|ms| format!(" at {}", millis(ms)));
    match (&to.name, &to.service) {
        (Some(name), Some(service)) => {
            let at = at.unwrap_or_default();
            format!("{name}{offset} ({service}){at}, trace {id}")
        }
        _ => format!("a message{offset} whose span is not here, trace {id}"),
    }
}

fn bar(line: &Line<'_>, width: usize, glyphs: &Glyphs) -> String {
    if width == 0 {
        return String::new();
    }
    let column = |share: f64| (share * width as f64).clamp(0.0, width as f64);
    let from = (column(line.from).floor() as usize).min(width - 1);
    let to = (column(line.to).ceil() as usize).clamp(from + 1, width);
    let mut text = " ".repeat(from);
    let before = line.from < 0.0;
    text.push_str(if before { glyphs.before } else { glyphs.bar });
    text.push_str(&glyphs.bar.repeat(to - from - 1));
    text
}

fn padded(text: &str, width: usize, glyphs: &Glyphs) -> String {
    let text = fit(text, width, glyphs);
    format!(
        "{text}{}",
        " ".repeat(width - text.chars().count().min(width))
    )
}

fn fit(text: &str, width: usize, glyphs: &Glyphs) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept = text.chars().take(width.saturating_sub(1));
    kept.chain(glyphs.ellipsis.chars()).take(width).collect()
}

/// A name must not steer the terminal.
fn clean(text: &str) -> String {
    let clean = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(clean).collect()
}

fn millis(n: f64) -> String {
    match n.abs() {
        size if size < 10.0 => format!("{n:.2}"),
        size if size < 1_000.0 => format!("{n:.1}"),
        _ => format!("{n:.0}"),
    }
}

#[cfg(test)]
mod tests;

//! `obi kafka events`: the last thousand events, and those to come; or `obi.events/1`.

use std::time::Duration;

use super::grid::{self, Cell, Grid};
use super::view::{View, names};
use super::words::time;
use crate::cli::Output;
use crate::cli::exit::{self, Exit};
use crate::store::events::{Event, Events};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    view: View,
    /// Put rows in order by this column, numbers from the largest
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// Go on with events as they come; json is one line for each time that there are any
    #[arg(long, short, conflicts_with_all = ["watch", "sort"])]
    follow: bool,
    /// Only events of this kind, for example commit_failure; may be repeated
    #[arg(long, value_name = "GLOB")]
    kind: Vec<String>,
    /// Only events of this group; may be repeated
    #[arg(long, value_name = "GLOB")]
    group: Vec<String>,
}

const COMMAND: &str = "kafka_events";

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let (kinds, groups) = (names(&args.kind)?, names(&args.group)?);
    let wanted = |event: &Event| {
        kinds.lets(&event.event) && groups.lets(event.group.as_deref().unwrap_or_default())
    };
    if args.follow {
        return follow(&args, wanted);
    }
    args.view.show(
        COMMAND,
        |answer: &mut Events| answer.events.retain(wanted),
        |answer| {
            if answer.events.is_empty() {
                return Ok("no event to show\n".to_owned());
            }
            let mut grid = grid(&answer.events);
            grid::sort(&mut [&mut grid], args.sort.as_deref())?;
            Ok(grid.render())
        },
    )
}

fn follow(args: &Args, wanted: impl Fn(&Event) -> bool) -> anyhow::Result<Exit> {
    let mut seen = 0;
    loop {
        let mut answer: Events = args.view.ask(COMMAND)?;
        seen = newer(&mut answer.events, seen);
        answer.events.retain(&wanted);
        let text = match args.view.output {
            _ if answer.events.is_empty() => String::new(),
            Output::Human => answer.events.iter().map(line).collect(),
            Output::Json => format!("{}\n", serde_json::to_string(&answer)?),
        };
        if !exit::print_on(&text)? {
            return Ok(Exit::Fine);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Leaves those after number `seen`; an agent that was started again counts from 1. Gives the newest number.
fn newer(events: &mut Vec<Event>, seen: u64) -> u64 {
    let newest = events.last().map_or(0, |event| event.number);
    if newest >= seen {
        events.retain(|event| event.number > seen);
    }
    newest
}

fn grid(events: &[Event]) -> Grid {
    let mut grid = Grid::new(&[
        "TIME",
        "EVENT",
        "SERVICE",
        "PID",
        "CLIENT-ID",
        "GROUP",
        "TRANSACTIONAL-ID",
        "ERROR",
        "REASON",
        "MESSAGE",
    ]);
    let rows = events.iter().map(|event| {
        vec![
            Cell::from(time(event.time_ms)),
            (&event.event).into(),
            (&event.service).into(),
            event.pid.into(),
            (&event.client_id).into(),
            event.group.as_ref().into(),
            event.transactional_id.as_ref().into(),
            event.error.as_ref().into(),
            event.reason.as_ref().into(),
            (&event.message).into(),
        ]
    });
    grid.rows.extend(rows);
    grid
}

/// One line that needs no other for its columns.
fn line(event: &Event) -> String {
    let named = [
        ("group", &event.group),
        ("transactional_id", &event.transactional_id),
        ("error", &event.error),
        ("reason", &event.reason),
    ];
    let mut text = format!(
        "{} {} {}[{}] {}",
        time(event.time_ms),
        event.event,
        event.service,
        event.pid,
        event.message
    );
    for (name, value) in named {
        if let Some(value) = value {
            text.push_str(&format!(" {name}={value}"));
        }
    }
    let clean = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(clean).chain(['\n']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u64) -> Event {
        Event {
            number,
            time_ms: 1_795_425_059_042,
            event: "rebalance".into(),
            service: "mail".into(),
            pid: 7,
            client_id: "id".into(),
            group: Some("g\u{7}".into()),
            reason: Some("member_left".into()),
            message: "a member left".into(),
            ..Event::default()
        }
    }

    #[test]
    fn as_a_line_and_as_a_table() {
        assert_eq!(
            line(&event(1)),
            "2026-11-23T09:10:59.042Z rebalance mail[7] a member left group=g? reason=member_left\n"
        );
        assert_eq!(
            grid(&[event(1)]).render(),
            "TIME                      EVENT      SERVICE  PID  CLIENT-ID  GROUP  TRANSACTIONAL-ID  ERROR  REASON       MESSAGE\n\
             2026-11-23T09:10:59.042Z  rebalance  mail     7    id         g?     -                 -      member_left  a member left\n"
        );
    }

    #[test]
    fn only_newer_ones_also_after_a_restart() {
        let numbers = |range: std::ops::RangeInclusive<u64>, seen: u64| {
            let mut events: Vec<Event> = range.map(event).collect();
            let newest = newer(&mut events, seen);
            (newest, events.iter().map(|e| e.number).collect::<Vec<_>>())
        };
        assert_eq!(numbers(3..=5, 0), (5, vec![3, 4, 5]));
        assert_eq!(numbers(3..=5, 4), (5, vec![5]));
        assert_eq!(numbers(3..=5, 5), (5, vec![]));
        assert_eq!(numbers(1..=2, 5), (2, vec![1, 2]));
    }
}

//! `obi kafka groups`: the columns of kafka-consumer-groups in its order, then those that only the agent knows; or `obi.groups/1`.

use std::collections::BTreeMap;

use super::grid::{self, Cell, Grid};
use super::view::{View, names};
use super::words::{millis, rate};
use crate::cli::exit::Exit;
use crate::export::filter::Names;
use crate::store::groups::report::{Group, Groups, Member, Offset};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    view: View,
    /// Put rows in order by this column, numbers from the largest
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// Show the members of each group
    #[arg(long, conflicts_with = "state")]
    members: bool,
    /// Show the state of each group
    #[arg(long)]
    state: bool,
    /// Only groups of this name; may be repeated
    #[arg(long, value_name = "GLOB")]
    group: Vec<String>,
    /// Only topics of this name; may be repeated
    #[arg(long, value_name = "GLOB")]
    topic: Vec<String>,
    /// Only partitions with lag
    #[arg(long, short)]
    lagging: bool,
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let (groups, topics) = (names(&args.group)?, names(&args.topic)?);
    args.view.show(
        "kafka_groups",
        |answer: &mut Groups| pick(answer, &groups, &topics, &args),
        |answer| render(answer, &args),
    )
}

/// Leaves out groups and partitions that are not asked for.
fn pick(answer: &mut Groups, groups: &Names, topics: &Names, args: &Args) {
    let lagging = args.lagging;
    answer.groups.retain(|group| groups.lets(&group.group));
    for group in &mut answer.groups {
        group.offsets.retain(|row| {
            topics.lets(&row.topic) && (!lagging || row.lag.is_some_and(|lag| lag > 0))
        });
    }
    if lagging || !args.topic.is_empty() {
        answer.groups.retain(|group| !group.offsets.is_empty());
    }
}

fn render(answer: &Groups, args: &Args) -> anyhow::Result<String> {
    if answer.groups.is_empty() {
        return Ok("no consumer group to show\n".to_owned());
    }
    let clusters = answer.groups.iter().map(|group| &group.cluster);
    let many = clusters.clone().min() != clusters.max();
    let mut grid = match (args.members, args.state) {
        (true, _) => members(answer),
        (_, true) => states(answer),
        _ => offsets(answer, args.lagging || !args.topic.is_empty()),
    };
    if many {
        grid.add_clusters();
    }
    let mut grid = grid.grid;
    grid::sort(&mut [&mut grid], args.sort.as_deref())?;
    let mut out = grid.render();
    if grid.rows.is_empty() {
        out.push_str("nothing is known of the members of these groups\n");
    }
    if !args.members && !args.state {
        let sums = sums(answer).render();
        out = format!(
            "{out}\n{sums}\nRATE: records/s of this node over 10 s; COMMIT-P99: ms, of the group, over the last minute\n"
        );
    }
    Ok(out)
}

/// Rows with the cluster that each is of.
struct Rows<'a> {
    grid: Grid,
    clusters: Vec<&'a str>,
}

impl<'a> Rows<'a> {
    fn new(header: &[&'static str]) -> Rows<'a> {
        Rows {
            grid: Grid::new(header),
            clusters: Vec::new(),
        }
    }

    fn add(&mut self, group: &'a Group, row: Vec<Cell>) {
        self.grid.rows.push(row);
        self.clusters.push(&group.cluster);
    }

    fn add_clusters(&mut self) {
        self.grid.header.push("CLUSTER");
        for (row, cluster) in self.grid.rows.iter_mut().zip(&self.clusters) {
            row.push((*cluster).into());
        }
    }
}

fn offsets(answer: &Groups, picked: bool) -> Rows<'_> {
    let mut rows = Rows::new(&[
        "GROUP",
        "TOPIC",
        "PARTITION",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
        "LAG-SEC",
        "RATE",
        "COMMIT-P99",
        "PID",
    ]);
    for group in &answer.groups {
        for row in &group.offsets {
            rows.add(group, offset(group, row));
        }
        // As kafka-consumer-groups does: a member without a partition has a row.
        let idle = group
            .members
            .iter()
            .filter(|m| !picked && m.assignments.as_ref().is_some_and(Vec::is_empty));
        for member in idle {
            let row = Offset {
                consumer_id: Some(member.member_id.clone()),
                host: member.host.clone(),
                client_id: member.client_id.clone(),
                pid: member.pid,
                ..Offset::default()
            };
            let mut cells = offset(group, &row);
            if let Some(partition) = cells.get_mut(2) {
                *partition = Cell::default();
            }
            rows.add(group, cells);
        }
    }
    rows
}

fn offset(group: &Group, row: &Offset) -> Vec<Cell> {
    vec![
        (&group.group).into(),
        (&row.topic).into(),
        row.partition.into(),
        row.current_offset.into(),
        row.log_end_offset.into(),
        row.lag.into(),
        row.consumer_id.as_ref().into(),
        row.host.as_ref().into(),
        row.client_id.as_ref().into(),
        row.lag_seconds.into(),
        row.rate.map(|n| Cell::number(n, rate(n))).into(),
        row.commit_p99.map(|n| Cell::number(n, millis(n))).into(),
        row.pid.into(),
    ]
}

fn members(answer: &Groups) -> Rows<'_> {
    let mut rows = Rows::new(&[
        "GROUP",
        "CONSUMER-ID",
        "GROUP-INSTANCE-ID",
        "HOST",
        "CLIENT-ID",
        "#PARTITIONS",
        "ASSIGNMENT",
        "EPOCH",
        "LEADER",
        "SERVICE",
        "PID",
    ]);
    for group in &answer.groups {
        for member in &group.members {
            let leader = if member.leader { "yes" } else { "" };
            let partitions = member.assignments.as_ref();
            let row = vec![
                (&group.group).into(),
                (&member.member_id).into(),
                member.group_instance_id.as_ref().into(),
                member.host.as_ref().into(),
                member.client_id.as_ref().into(),
                partitions
                    .map(|all| all.iter().map(|a| a.partitions.len()).sum::<usize>())
                    .into(),
                assignment(member).into(),
                member.epoch.into(),
                leader.into(),
                member.service.as_ref().into(),
                member.pid.into(),
            ];
            rows.add(group, row);
        }
    }
    rows
}

/// `orders(0,1), audit(2)`
fn assignment(member: &Member) -> String {
    let topics = member.assignments.iter().flatten().map(|assigned| {
        let partitions: Vec<String> = assigned.partitions.iter().map(i32::to_string).collect();
        format!("{}({})", assigned.topic, partitions.join(","))
    });
    topics.collect::<Vec<_>>().join(", ")
}

fn states(answer: &Groups) -> Rows<'_> {
    let mut rows = Rows::new(&[
        "GROUP",
        "COORDINATOR (ID)",
        "ASSIGNMENT-STRATEGY",
        "STATE",
        "#MEMBERS",
        "BASIS",
        "EPOCH",
        "PROTOCOL",
        "LAG",
    ]);
    for group in &answer.groups {
        let row = vec![
            (&group.group).into(),
            // The id of the broker is not known.
            group
                .coordinator
                .as_ref()
                .map(|address| format!("{address} (-)"))
                .into(),
            group.assignor.as_ref().into(),
            group.state.as_ref().into(),
            group.members_count.into(),
            group.members_basis.as_ref().into(),
            group.epoch.into(),
            group.protocol.as_ref().into(),
            Sum::of(&group.offsets).lag(),
        ];
        rows.add(group, row);
    }
    rows
}

/// Lag of several partitions.
#[derive(Default)]
struct Sum {
    partitions: usize,
    known: usize,
    lag: u64,
    seconds: Option<f64>,
}

impl Sum {
    fn of<'a>(rows: impl IntoIterator<Item = &'a Offset>) -> Sum {
        let mut sum = Sum::default();
        rows.into_iter().for_each(|row| sum.add(row));
        sum
    }

    fn add(&mut self, row: &Offset) {
        self.partitions += 1;
        self.known += usize::from(row.lag.is_some());
        self.lag += row.lag.unwrap_or(0);
        let seconds = self.seconds.into_iter().chain(row.lag_seconds);
        self.seconds = seconds.reduce(f64::max);
    }

    /// A lower bound where the lag of some partitions is not known.
    fn lag(&self) -> Cell {
        match self.known {
            0 => Cell::default(),
            known if known < self.partitions => {
                Cell::number(self.lag as f64, format!(">={}", self.lag))
            }
            _ => self.lag.into(),
        }
    }

    fn row(&self, group: &str, topic: &str) -> Vec<Cell> {
        vec![
            group.into(),
            topic.into(),
            self.partitions.into(),
            self.lag(),
            self.seconds.into(),
        ]
    }
}

/// By group and topic, and of all. LAG-SEC is the largest.
fn sums(answer: &Groups) -> Grid {
    let mut grid = Grid::new(&["GROUP", "TOPIC", "PARTITIONS", "LAG", "LAG-SEC"]);
    for group in &answer.groups {
        let mut topics: BTreeMap<&str, Sum> = BTreeMap::new();
        for row in &group.offsets {
            topics.entry(&row.topic).or_default().add(row);
        }
        let rows = topics
            .iter()
            .map(|(topic, sum)| sum.row(&group.group, topic));
        grid.rows.extend(rows);
    }
    let all = Sum::of(answer.groups.iter().flat_map(|group| &group.offsets));
    grid.rows.push(all.row("TOTAL", ""));
    grid
}

#[cfg(test)]
mod tests;

//! `obi kafka transactions`: the newest transaction of each transactional id; or `obi.transactions/1`.

use super::grid::{self, Cell, Grid};
use super::view::{View, names};
use crate::cli::exit::Exit;
use crate::store::transactions::{Transaction, Transactions};

/// Partitions named in a row.
const NAMED: usize = 8;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    view: View,
    /// Put rows in order by this column, numbers from the largest
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// Only this transactional id; may be repeated
    #[arg(long, value_name = "GLOB")]
    id: Vec<String>,
    /// Only transactions that did not end
    #[arg(long)]
    open: bool,
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let ids = names(&args.id)?;
    args.view.show(
        "kafka_transactions",
        |answer: &mut Transactions| {
            let open = |t: &Transaction| matches!(t.state.as_str(), "ongoing" | "hanging");
            answer
                .transactions
                .retain(|t| ids.lets(&t.transactional_id) && (!args.open || open(t)));
        },
        |answer| render(answer, args.sort.as_deref()),
    )
}

fn render(answer: &Transactions, column: Option<&str>) -> anyhow::Result<String> {
    if answer.transactions.is_empty() {
        return Ok("no transaction to show\n".to_owned());
    }
    let mut grid = Grid::new(&[
        "TRANSACTIONAL-ID",
        "PRODUCER-ID",
        "EPOCH",
        "STATE",
        "AGE-SEC",
        "TIMEOUT-SEC",
        "RECORDS",
        "PARTITIONS",
        "GROUPS",
        "SERVICE",
        "CLIENT-ID",
        "PID",
        "ERROR",
    ]);
    grid.rows.extend(answer.transactions.iter().map(row));
    grid::sort(&mut [&mut grid], column)?;
    Ok(grid.render())
}

fn row(t: &Transaction) -> Vec<Cell> {
    vec![
        (&t.transactional_id).into(),
        t.producer_id.into(),
        t.producer_epoch.into(),
        (&t.state).into(),
        t.age_seconds.into(),
        t.timeout_ms.map(|ms| f64::from(ms) / 1e3).into(),
        t.records.into(),
        Cell::from(partitions(&t.partitions)),
        t.groups.join(",").into(),
        (&t.service).into(),
        (&t.client_id).into(),
        t.pid.into(),
        t.error.as_ref().into(),
    ]
}

/// `orders-0,orders-1`, as Kafka writes them.
fn partitions(all: &[(String, i32)]) -> String {
    let named = all
        .iter()
        .take(NAMED)
        .map(|(topic, p)| format!("{topic}-{p}"));
    let mut text = named.collect::<Vec<_>>().join(",");
    if all.len() > NAMED {
        text.push_str(&format!(",+{}", all.len() - NAMED));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::transactions::SCHEMA;

    #[test]
    fn open_and_ended_ones() {
        let one = |id: &str, state: &str, partitions: i32| Transaction {
            cluster: "c1".into(),
            transactional_id: id.into(),
            producer_id: 4000,
            producer_epoch: 2,
            state: state.into(),
            age_seconds: (state != "ongoing").then_some(2.5),
            timeout_ms: Some(60_000),
            partitions: (0..partitions).map(|p| ("orders".to_owned(), p)).collect(),
            groups: vec!["g".into()],
            records: 12,
            pid: 7,
            service: "shop".into(),
            client_id: "id".into(),
            error: (state == "aborted").then(|| "INVALID_TXN_STATE".to_owned()),
        };
        let answer = Transactions {
            schema: SCHEMA.into(),
            transactions: vec![one("tx-1", "ongoing", 2), one("tx-2", "aborted", 10)],
            forgotten: 0,
        };
        insta::assert_snapshot!("transactions", render(&answer, Some("age-sec")).unwrap());
    }
}

//! `obi kafka clients`: how each client behaves; or `obi.clients/1`.

use super::grid::{self, Cell, Grid};
use super::view::{View, names};
use super::words::{bytes, quantiles};
use crate::cli::exit::Exit;
use crate::store::clients::{Client, Clients};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    view: View,
    /// Put rows in order by this column, numbers from the largest
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// Only clients of this client id; may be repeated
    #[arg(long, value_name = "GLOB")]
    client: Vec<String>,
    /// Only clients of this service; may be repeated
    #[arg(long, value_name = "GLOB")]
    service: Vec<String>,
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let (clients, services) = (names(&args.client)?, names(&args.service)?);
    args.view.show(
        "kafka_clients",
        |answer: &mut Clients| {
            answer
                .clients
                .retain(|c| clients.lets(&c.client_id) && services.lets(&c.service));
        },
        |answer| render(answer, args.sort.as_deref()),
    )
}

fn render(answer: &Clients, column: Option<&str>) -> anyhow::Result<String> {
    if answer.clients.is_empty() {
        return Ok("no Kafka client to show\n".to_owned());
    }
    let mut all = Grid::new(&[
        "SERVICE",
        "PID",
        "CLIENT-ID",
        "SOFTWARE",
        "MECHANISM",
        "VIA",
        "CONNS",
        "REQUESTS",
        "ERRORS",
        "THROTTLED-SEC",
        "PRODUCE",
        "FETCH",
        "GROUPS",
    ]);
    let mut apis = Grid::new(&[
        "SERVICE",
        "PID",
        "CLIENT-ID",
        "API",
        "ERROR",
        "RETRIABLE",
        "COUNT",
        "OF-REQUESTS",
        "THROTTLED-SEC",
    ]);
    let mut writes = Grid::new(&[
        "SERVICE",
        "PID",
        "CLIENT-ID",
        "TOPIC",
        "PARTITIONER",
        "SKEW",
        "IDEMPOTENT",
        "TRANSACTIONAL",
        "ACKS",
        "BATCHES",
        "RECORDS/BATCH",
        "BYTES/BATCH",
        "RETRIES",
        "DUPLICATES",
    ]);
    for client in &answer.clients {
        all.rows.push(summary(client));
        apis.rows.extend(failures(client));
        writes.rows.extend(writing(client));
    }
    grid::sort(&mut [&mut all, &mut apis, &mut writes], column)?;
    let tables = [all, apis, writes].map(|grid| grid.render());
    let shown: Vec<String> = tables.into_iter().filter(|text| !text.is_empty()).collect();
    Ok(format!(
        "{}\nPRODUCE and FETCH: p50/p99 of requests in ms, over the last minute\n",
        shown.join("\n")
    ))
}

fn name(client: &Client) -> Vec<Cell> {
    vec![
        (&client.service).into(),
        client.pid.into(),
        (&client.client_id).into(),
    ]
}

fn summary(client: &Client) -> Vec<Cell> {
    let latency = |q: Option<crate::store::latency::Quantiles>| {
        q.map(|q| Cell::number(q.p99_ms, quantiles(Some(q))))
    };
    let mut row = name(client);
    row.extend([
        client.software.as_ref().into(),
        client.mechanism.as_ref().into(),
        client.source.as_ref().into(),
        client.connections.into(),
        client.requests.into(),
        client.errors.into(),
        client.throttled_seconds.into(),
        latency(client.produce_latency).into(),
        latency(client.fetch_latency).into(),
        client.groups.join(",").into(),
    ]);
    row
}

/// APIs that failed or were held back.
fn failures(client: &Client) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for (api, did) in &client.apis {
        let errors = did.errors.iter().map(|(error, failed)| {
            let retriable = failed.retriable.map(yes);
            (error.into(), retriable.into(), failed.count.into())
        });
        let throttled =
            (did.errors.is_empty() && did.throttled_seconds > 0.0).then(Default::default);
        for (error, retriable, count) in errors.chain(throttled) {
            let mut row = name(client);
            row.extend([
                api.into(),
                error,
                retriable,
                count,
                did.requests.into(),
                did.throttled_seconds.into(),
            ]);
            rows.push(row);
        }
    }
    rows
}

fn yes(set: bool) -> &'static str {
    if set { "yes" } else { "no" }
}

fn writing(client: &Client) -> Vec<Vec<Cell>> {
    let rows = client.writes.iter().map(|(topic, w)| {
        let mut row = name(client);
        row.extend([
            topic.into(),
            w.partitioner.as_ref().into(),
            w.skew.into(),
            yes(w.idempotent).into(),
            yes(w.transactional).into(),
            w.acks
                .map(|acks| {
                    if acks == -1 {
                        Cell::from("all")
                    } else {
                        acks.into()
                    }
                })
                .into(),
            w.batches.into(),
            w.records_per_batch.into(),
            w.bytes_per_batch.map(|n| Cell::number(n, bytes(n))).into(),
            w.retries.into(),
            w.duplicates.into(),
        ]);
        row
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::store::clients::{Api, Failures, SCHEMA};
    use crate::store::latency::Quantiles;
    use crate::store::topics::report::Writes;

    #[test]
    fn errors_throttling_and_batches() {
        let api = |errors: &[(&str, u64, Option<bool>)], throttled_seconds| {
            let errors = errors.iter().map(|(name, count, retriable)| {
                let (count, retriable) = (*count, *retriable);
                ((*name).to_owned(), Failures { count, retriable })
            });
            Api {
                requests: 40,
                errors: errors.collect(),
                throttled_seconds,
            }
        };
        let refused = [
            ("MESSAGE_TOO_LARGE", 3, Some(false)),
            ("NOT_LEADER_OR_FOLLOWER", 1, Some(true)),
            ("TIMEOUT", 2, None),
        ];
        let writes = Writes {
            partitioner: Some("sticky".into()),
            idempotent: true,
            acks: Some(-1),
            batches: 4,
            records_per_batch: Some(10.0),
            bytes_per_batch: Some(2000.0),
            retries: 1,
            ..Writes::default()
        };
        let client = Client {
            service: "shop".into(),
            pid: 7,
            client_id: "id".into(),
            cluster: "c1".into(),
            software: Some("librdkafka 2.11.1".into()),
            source: Some("openssl".into()),
            mechanism: None,
            connections: 2,
            requests: 120,
            errors: 3,
            throttled_seconds: 0.25,
            groups: vec!["g".into(), "h".into()],
            apis: BTreeMap::from([
                ("Fetch".to_owned(), api(&[], 0.25)),
                ("Metadata".to_owned(), api(&[], 0.0)),
                ("Produce".to_owned(), api(&refused, 0.0)),
            ]),
            writes: BTreeMap::from([("orders".to_owned(), writes)]),
            produce_latency: Some(Quantiles {
                p50_ms: 1.2,
                p99_ms: 18.6,
                count: 9,
            }),
            fetch_latency: None,
        };
        let answer = Clients {
            schema: SCHEMA.into(),
            clients: vec![client],
            forgotten: 0,
        };
        insta::assert_snapshot!("clients", render(&answer, Some("count")).unwrap());
    }
}

//! `obi kafka topics`: topics with rates, and who writes and reads them; or `obi.topics/1`.

use super::grid::{self, Cell, Grid};
use super::view::{View, names};
use super::words::{bytes, rate};
use crate::cli::exit::Exit;
use crate::store::topics::report::{Topic, Topics, User, Writes};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    view: View,
    /// Put rows in order by this column, numbers from the largest
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// Only topics of this name; may be repeated
    #[arg(long, value_name = "GLOB")]
    topic: Vec<String>,
    /// Show each partition too
    #[arg(long)]
    partitions: bool,
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let topics = names(&args.topic)?;
    args.view.show(
        "kafka_topics",
        |answer: &mut Topics| answer.topics.retain(|topic| topics.lets(&topic.topic)),
        |answer| render(answer, args.partitions, args.sort.as_deref()),
    )
}

fn render(answer: &Topics, partitions: bool, column: Option<&str>) -> anyhow::Result<String> {
    if answer.topics.is_empty() {
        return Ok("no topic to show\n".to_owned());
    }
    let mut all = Grid::new(&[
        "TOPIC",
        "PARTITIONS",
        "PRODUCED",
        "OUT/s",
        "OUT-B/s",
        "CONSUMED",
        "IN/s",
        "IN-B/s",
        "RATIO",
        "PRODUCERS",
        "CONSUMERS",
    ]);
    let mut users = Grid::new(&[
        "TOPIC",
        "ROLE",
        "SERVICE",
        "PID",
        "CLIENT-ID",
        "HOST",
        "GROUP",
        "SOFTWARE",
        "RATE",
        "PARTITIONER",
        "SKEW",
    ]);
    let mut each = Grid::new(&[
        "TOPIC",
        "PARTITION",
        "HIGH-WATERMARK",
        "PRODUCED",
        "OUT/s",
        "CONSUMED",
        "IN/s",
    ]);
    for topic in &answer.topics {
        all.rows.push(summary(topic));
        for producer in &topic.producers {
            users.rows.push(user(
                topic,
                "producer",
                &producer.user,
                None,
                producer.writes.as_ref(),
            ));
        }
        for consumer in &topic.consumers {
            users.rows.push(user(
                topic,
                "consumer",
                &consumer.user,
                consumer.group.as_ref(),
                None,
            ));
        }
        for partition in topic.partitions.iter().filter(|_| partitions) {
            each.rows.push(vec![
                (&topic.topic).into(),
                partition.partition.into(),
                partition.high_watermark.into(),
                partition.produced.records.into(),
                per_second(partition.produced.records_per_second),
                partition.consumed.records.into(),
                per_second(partition.consumed.records_per_second),
            ]);
        }
    }
    grid::sort(&mut [&mut all, &mut users, &mut each], column)?;
    let tables = [all, users, each].map(|grid| grid.render());
    let shown: Vec<String> = tables.into_iter().filter(|text| !text.is_empty()).collect();
    Ok(shown.join("\n"))
}

fn per_second(n: f64) -> Cell {
    Cell::number(n, rate(n))
}

fn summary(topic: &Topic) -> Vec<Cell> {
    let size = |n: f64| Cell::number(n, bytes(n));
    vec![
        (&topic.topic).into(),
        topic.partitions.len().into(),
        topic.produced.records.into(),
        per_second(topic.produced.records_per_second),
        size(topic.produced.bytes_per_second),
        topic.consumed.records.into(),
        per_second(topic.consumed.records_per_second),
        size(topic.consumed.bytes_per_second),
        topic.compression_ratio.into(),
        topic.producers.len().into(),
        topic.consumers.len().into(),
    ]
}

fn user(
    topic: &Topic,
    role: &str,
    user: &User,
    group: Option<&String>,
    writes: Option<&Writes>,
) -> Vec<Cell> {
    vec![
        (&topic.topic).into(),
        role.into(),
        (&user.service).into(),
        user.pid.into(),
        (&user.client_id).into(),
        (&user.host).into(),
        group.into(),
        user.software.as_ref().into(),
        per_second(user.flow.records_per_second),
        writes.and_then(|w| w.partitioner.as_ref()).into(),
        writes.and_then(|w| w.skew).into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::flow::Flow;
    use crate::store::topics::report::{Consumer, Partition, Producer, SCHEMA};

    fn who(service: &str, pid: u32, records_per_second: f64) -> User {
        User {
            service: service.into(),
            pid,
            client_id: "id".into(),
            host: "node-1".into(),
            software: (pid == 7).then(|| "librdkafka 2.11.1".to_owned()),
            flow: Flow {
                records_per_second,
                ..Flow::default()
            },
            ..User::default()
        }
    }

    #[test]
    fn who_writes_and_who_reads() {
        let answer = Topics {
            schema: SCHEMA.into(),
            window_seconds: 10,
            topics: vec![Topic {
                cluster: "c1".into(),
                topic: "orders".into(),
                produced: Flow {
                    records: 700,
                    bytes: 90_000,
                    records_per_second: 70.0,
                    bytes_per_second: 9000.0,
                },
                compression_ratio: Some(3.25),
                partitions: vec![Partition {
                    partition: 0,
                    high_watermark: Some(71),
                    ..Partition::default()
                }],
                producers: vec![Producer {
                    user: who("shop", 7, 70.0),
                    writes: Some(Writes {
                        partitioner: Some("murmur2".into()),
                        skew: Some(1.5),
                        ..Writes::default()
                    }),
                }],
                consumers: vec![Consumer {
                    user: who("mail", 9, 6.5),
                    group: Some("g".into()),
                }],
                ..Topic::default()
            }],
            forgotten: 0,
        };
        insta::assert_snapshot!("topics", render(&answer, true, Some("rate")).unwrap());
        assert!(render(&answer, false, Some("lag")).is_err());
    }
}

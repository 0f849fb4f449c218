//! Two brokers that replicate each other's partitions: counts are exact, the replicas' own fetches are nobody's consumption, and each
//! span names the broker that leads its partition.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use obi_lab::kafka::Cluster;

use crate::cells::Library;
use crate::check::{self, CONSUMED, PRODUCED};
use crate::clients::{Golden, Plan};
use crate::truth::{Did, Truth};
use crate::world::{MARKER, World};

pub fn run(world: &World) -> Result<String> {
    let agent = world.agent()?;
    let before = check::losses(&agent.scrape()?);
    let cluster = Cluster::start(&world.layout, "two-brokers", 2)?;
    let mut spans = 0;
    for library in [Library::Franz, Library::ConfluentPython] {
        let id = world.fresh("two-brokers");
        cluster.admin.create(&id, 3, 2)?;
        let plan = Plan {
            library,
            client_id: id.clone(),
            codec: "none",
            tls: true,
            group: String::new(),
            marker: MARKER.to_owned(),
            intervals: false,
        };
        let folder = world.layout.run().join("two-brokers-clients");
        let mut client = Golden::start(&world.programs, &cluster, &folder, &plan)?;
        client.run(&format!("many 10000 {id}"))?;
        client.run(&format!("consume 10000 {id}"))?;
        client.close()?;
        let topics = [id.clone()];
        let truth = Truth::read(&client.truth)?;
        let produced = check::ends(&cluster.admin, &topics)?;
        check::same(
            "acknowledgements and end offsets",
            &truth.counts(Did::Produced),
            &produced,
        )?;
        let consumed = truth.counts(Did::Consumed);
        check::settle(agent, |scrape| {
            let mut lines = check::differences(scrape, PRODUCED, Some(&id), &produced);
            lines.extend(check::differences(scrape, CONSUMED, Some(&id), &consumed));
            lines
        })?;
        check::spans(&world.sink, &truth, &topics, library.service())?;
        spans += leaders(world, &cluster, &id)?;
    }
    check::nothing_lost(&before, &agent.scrape()?)?;
    cluster.stop()?;
    Ok(format!(
        "{spans} spans name the broker that leads their partition"
    ))
}

/// Compares server.address and server.port of each span with the leader's listener.
fn leaders(world: &World, cluster: &Cluster, topic: &str) -> Result<usize> {
    let leaders = cluster.admin.leaders(topic)?;
    let nodes: std::collections::BTreeSet<_> = leaders.values().collect();
    if nodes.len() != 2 {
        bail!("all partitions are led by one broker: {leaders:?}");
    }
    let ports: BTreeMap<u64, u16> = cluster
        .brokers
        .iter()
        .map(|broker| (u64::from(broker.id), broker.sasl_ssl))
        .collect();
    let mut compared = 0;
    for span in world.sink.spans() {
        // What an application does with a message names no broker.
        let of_wire = span.attribute("obi.kafka.receive.basis") != Some("poll")
            && !span.name.starts_with("process ");
        if span.attribute("messaging.destination.name") != Some(topic) || !of_wire {
            continue;
        }
        let partition: i32 = span
            .attribute("messaging.destination.partition.id")
            .context("a span without partition")?
            .parse()?;
        let leader = leaders
            .get(&partition)
            .context("a span of an unknown partition")?;
        let want = ports
            .get(leader)
            .context("a leader that is no broker")?
            .to_string();
        let (address, port) = (
            span.attribute("server.address"),
            span.attribute("server.port"),
        );
        if (address, port) != (Some("127.0.0.1"), Some(want.as_str())) {
            bail!(
                "{} of partition {partition}: server {address:?}:{port:?}, its leader listens on {want}",
                span.name
            );
        }
        compared += 1;
    }
    Ok(compared)
}

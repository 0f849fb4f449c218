//! What the group tests share beside the world: brokers of the other versions, started when first needed, and the members' programs.
//! In: the world. Out: topics with records, members, broker truth.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use obi_lab::kafka::{Cluster, Described, GroupState, Kind, Version};
use obi_lab::step;

use super::library::Library;
use super::member::{Member, Plan};
use super::programs::Programs;
use crate::clients::{self, Golden};
use crate::world::{MARKER, World};
use crate::{cells, check};

/// Partitions of every topic that a group reads.
pub const PARTITIONS: usize = 6;
/// A broker notices a gone member, a member a rebalance, within this.
pub const PATIENCE: Duration = Duration::from_secs(40);

pub struct Stage<'a> {
    pub world: &'a World,
    v3_9_1: OnceCell<Cluster>,
    v2_8_2: OnceCell<Cluster>,
    programs: Programs<'a>,
    /// TLS libraries and plaintext listeners that the agent has met.
    met: RefCell<BTreeSet<String>>,
}

impl<'a> Stage<'a> {
    pub fn new(world: &'a World) -> Self {
        Self {
            world,
            v3_9_1: OnceCell::new(),
            v2_8_2: OnceCell::new(),
            programs: Programs::new(&world.layout),
            met: RefCell::default(),
        }
    }

    /// The shared cluster, or one of an older version.
    pub fn cluster(&self, version: Version) -> Result<&Cluster> {
        let slot = match version {
            Version::V4_4_0 => return Ok(&self.world.cluster),
            Version::V3_9_1 => &self.v3_9_1,
            Version::V2_8_2 => &self.v2_8_2,
        };
        if slot.get().is_none() {
            let name = format!("kafka-{version}");
            let cluster = Cluster::start_version(&self.world.layout, &name, 1, version)?;
            // Nothing else can have filled it: there is one thread.
            let _ = slot.set(cluster);
        }
        slot.get().context("a cluster that was just started")
    }

    pub fn stop(self) -> Result<()> {
        for slot in [self.v3_9_1, self.v2_8_2] {
            if let Some(cluster) = slot.into_inner() {
                cluster.stop()?;
            }
        }
        Ok(())
    }

    pub fn folder(&self) -> Result<PathBuf> {
        let folder = self.world.layout.run().join("groups");
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// A new topic of six partitions.
    pub fn topic(&self, cluster: &Cluster, stem: &str) -> Result<String> {
        let topic = self.world.fresh(stem);
        cluster.admin.create(&topic, PARTITIONS as u32, 1)?;
        Ok(topic)
    }

    /// A client that produces over all six partitions, and is no part of what is tested here.
    pub fn producer(&self, cluster: &Cluster) -> Result<Golden> {
        let plan = clients::Plan {
            library: cells::Library::Franz,
            client_id: self.world.fresh("group-producer"),
            codec: "none",
            tls: true,
            group: String::new(),
            marker: MARKER.to_owned(),
            intervals: false,
        };
        let programs = &self.world.programs;
        Golden::start_over(programs, cluster, &self.folder()?, &plan, PARTITIONS)
    }

    pub fn produce(&self, cluster: &Cluster, topic: &str, n: usize) -> Result<()> {
        let mut producer = self.producer(cluster)?;
        producer.run(&format!("many {n} {topic}"))?;
        producer.close()
    }

    pub fn member(&self, cluster: &Cluster, plan: Plan) -> Result<Member> {
        self.meet(cluster, &plan)?;
        let folder = self.folder()?;
        let at = |suffix: &str| folder.join(format!("{}.{suffix}", plan.client_id));
        std::fs::write(at("plan.json"), plan.json(cluster).to_string())?;
        let (file, log) = (at("plan.json"), at("log"));
        // Each member is a service of its own, so that what is counted by service is counted by member.
        let launch = self
            .programs
            .launch(plan.library, &plan.client_id, &file, &log)?;
        Member::start(launch, plan, &folder)
    }

    /// Lets the agent meet the library (over plaintext: the listener), because the first process of an unknown one loses its first
    /// milliseconds (`docs/limitations.md`): a member of a group of its own comes, is seen, and goes.
    fn meet(&self, cluster: &Cluster, plan: &Plan) -> Result<()> {
        let library = plan.library;
        let name = if library.tls() {
            library.name().to_owned()
        } else {
            cluster.bootstrap(false)
        };
        let Some(agent) = &self.world.agent else {
            return Ok(());
        };
        if !self.met.borrow_mut().insert(name) {
            return Ok(());
        }
        let topic = self.topic(cluster, "met")?;
        let mut member = self.member(cluster, self.plan(library, &topic))?;
        let service = member.plan.client_id.clone();
        step::wait(
            &format!("the agent meets {}", library.name()),
            PATIENCE,
            Duration::from_millis(200),
            || {
                let seen = agent.scrape()?.sum(
                    "kafka_request_duration_seconds_count",
                    &[("service", &service)],
                );
                Ok(seen.map(|_| ()))
            },
        )?;
        member.close()
    }

    /// Lets the agent meet the plaintext listener, for programs that are no members.
    pub fn meet_plaintext(&self, cluster: &Cluster) -> Result<()> {
        self.meet(cluster, &self.plan(Library::Java, ""))
    }

    /// What was lost so far, by counter; nothing without an agent.
    pub fn losses(&self) -> Result<BTreeMap<String, f64>> {
        let agent = self.world.agent.as_ref();
        agent.map_or(Ok(BTreeMap::new()), |agent| {
            Ok(check::losses(&agent.scrape()?))
        })
    }

    /// Members with equal plans but for their client ids, which are `STEM-1` and so on. Each joins after the others have settled, so
    /// that the number of rebalances is no accident.
    pub fn members(&self, cluster: &Cluster, plan: &Plan, n: usize) -> Result<Vec<Member>> {
        let mut members: Vec<Member> = Vec::new();
        for number in 1..=n {
            let mut plan = plan.clone();
            plan.client_id = format!("{}-{number}", plan.client_id);
            if !plan.instance_id.is_empty() {
                plan.instance_id = format!("{}-{number}", plan.instance_id);
            }
            members.push(self.member(cluster, plan)?);
            for member in &mut members {
                member.wait_held(PARTITIONS / number)?;
            }
        }
        Ok(members)
    }

    /// Waits until the broker says so of the group.
    pub fn wait_state(
        &self,
        cluster: &Cluster,
        group: &str,
        what: &str,
        wanted: impl Fn(&GroupState) -> bool,
    ) -> Result<GroupState> {
        step::wait(
            &format!("{group}: {what}"),
            PATIENCE,
            Duration::from_millis(100),
            || Ok(Some(cluster.admin.group_state(group)?).filter(&wanted)),
        )
    }

    /// The same of a group of any kind.
    pub fn wait_described(
        &self,
        cluster: &Cluster,
        kind: Kind,
        group: &str,
        what: &str,
        wanted: impl Fn(&Described) -> bool,
    ) -> Result<Described> {
        step::wait(
            &format!("{group}: {what}"),
            PATIENCE,
            Duration::from_millis(200),
            // The coordinator does not know it before its first member came.
            || Ok(cluster.admin.described(kind, group).ok().filter(&wanted)),
        )
    }

    /// A member's plan in a group of its own.
    pub fn plan(&self, library: Library, topic: &str) -> Plan {
        let name = self.world.fresh(&format!("group-{}", library.name()));
        Plan::new(library, &name, &name, topic)
    }
}

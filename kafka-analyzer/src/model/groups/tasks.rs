//! Tasks of Kafka Streams to partitions (KIP-1071). In: what each subtopology reads, which members say when they join, and tasks; out: the
//! partitions that the consumer of a member is given, as `kafka-streams-groups` shows them.
//!
//! An agent that came after the members joined knows no topology, and so no partitions: they are absent then.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::fact::group::{Subtopology, Tasks};
use crate::model::groups::member::Assigned;

type Name = Arc<str>;

/// Subtopologies of a group that are remembered.
const MOST: usize = 1024;

/// Topics that each subtopology reads.
#[derive(Debug, Default)]
pub(super) struct Topology {
    reads: BTreeMap<Name, Vec<Name>>,
}

impl Topology {
    /// A member that joins says it all; a newer topology takes the place of the one before.
    pub fn learn(&mut self, told: &[Subtopology]) {
        self.reads = told.iter().take(MOST).cloned().collect();
    }

    /// None: something of it is not known. A topic may have fewer partitions than the others that are read with it.
    pub fn partitions(
        &self,
        tasks: &Tasks,
        count: impl Fn(&Name) -> Option<u32>,
    ) -> Option<Assigned> {
        let mut given: BTreeMap<Name, Vec<i32>> = BTreeMap::new();
        for (subtopology, partitions) in tasks {
            for topic in self.reads.get(subtopology)? {
                let most =
                    count(topic).map_or(i32::MAX, |most| most.try_into().unwrap_or(i32::MAX));
                let there = partitions.iter().copied().filter(|index| *index < most);
                given.entry(Arc::clone(topic)).or_default().extend(there);
            }
        }
        given.retain(|_, partitions| !partitions.is_empty());
        given.values_mut().for_each(|partitions| {
            partitions.sort_unstable();
            partitions.dedup();
        });
        Some(given.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.into()
    }

    #[test]
    fn a_task_reads_its_partition_of_every_topic_that_has_one() {
        let mut topology = Topology::default();
        topology.learn(&[
            (name("0"), vec![name("orders"), name("rates")]),
            (name("1"), vec![name("app-count-repartition")]),
        ]);
        let count = |topic: &Name| (&**topic == "rates").then_some(2);
        let tasks = vec![(name("1"), vec![0]), (name("0"), vec![3, 1])];
        assert_eq!(
            topology.partitions(&tasks, count),
            Some(vec![
                (name("app-count-repartition"), vec![0]),
                (name("orders"), vec![1, 3]),
                (name("rates"), vec![1]),
            ])
        );
        assert_eq!(topology.partitions(&Vec::new(), count), Some(Vec::new()));
        let unknown = vec![(name("0"), vec![1]), (name("2"), vec![1])];
        assert_eq!(topology.partitions(&unknown, count), None);
    }
}

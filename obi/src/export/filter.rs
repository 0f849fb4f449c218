//! The `topics` and `consumer_groups` filters. In: exact names or globs; out: yes or no for a name. An empty list lets everything
//! through.

use globset::{Glob, GlobSet};

use crate::config::Kafka;

/// What is exported.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    topics: Names,
    groups: Names,
}

impl Filter {
    /// Errors name the pattern that cannot be read.
    pub fn new(kafka: &Kafka) -> anyhow::Result<Filter> {
        Ok(Filter {
            topics: configured("topics", &kafka.topics)?,
            groups: configured("consumer_groups", &kafka.consumer_groups)?,
        })
    }

    pub fn topic(&self, topic: &str) -> bool {
        self.topics.lets(topic)
    }

    /// What belongs to no group is not left out by group.
    pub fn group(&self, group: &str) -> bool {
        group.is_empty() || self.groups.lets(group)
    }

    /// The topic of a group: both filters.
    pub fn both(&self, group: &str, topic: &str) -> bool {
        self.group(group) && self.topic(topic)
    }
}

/// Exact names or globs. None given: all.
#[derive(Clone, Debug, Default)]
pub struct Names(Option<GlobSet>);

impl Names {
    pub fn new(patterns: &[String]) -> Result<Names, globset::Error> {
        if patterns.is_empty() {
            return Ok(Names(None));
        }
        let mut set = GlobSet::builder();
        for pattern in patterns {
            set.add(Glob::new(pattern)?);
        }
        Ok(Names(Some(set.build()?)))
    }

    pub fn lets(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|set| set.is_match(name))
    }
}

fn configured(key: &str, patterns: &[String]) -> anyhow::Result<Names> {
    Names::new(patterns).map_err(|error| {
        let pattern = error.glob().unwrap_or_default().to_owned();
        anyhow::Error::new(error).context(format!("instrumentation.kafka.{key}: `{pattern}`"))
    })
}

#[cfg(test)]
pub(crate) fn of(topics: &[&str], groups: &[&str]) -> anyhow::Result<Filter> {
    let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    Filter::new(&Kafka {
        topics: owned(topics),
        consumer_groups: owned(groups),
        ..Kafka::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_names_globs_and_nothing() {
        let lets = |patterns: &[&str], topic: &str| of(patterns, &[]).unwrap().topic(topic);
        assert!(lets(&[], "orders"));
        assert!(lets(&["orders"], "orders"));
        assert!(!lets(&["orders"], "orders.dlq"));
        assert!(!lets(&["order.s"], "order-s"));
        assert!(lets(&["pay*", "order?"], "payments.eu"));
        assert!(lets(&["pay*", "order?"], "orders"));
        assert!(lets(&["{a,b}-events"], "b-events"));
        assert_eq!(
            format!("{:#}", of(&["a[", "b"], &[]).unwrap_err()),
            "instrumentation.kafka.topics: `a[`: error parsing glob 'a[': unclosed character class; missing ']'"
        );
    }

    #[test]
    fn groups_have_their_own_names_and_no_group_is_let_through() {
        let filter = of(&["orders"], &["mail-*"]).unwrap();
        assert!(filter.group("mail-eu") && filter.group("") && !filter.group("orders"));
        assert!(filter.both("mail-eu", "orders"));
        assert!(!filter.both("mail-eu", "secret") && !filter.both("other", "orders"));
        assert!(
            format!("{:#}", of(&[], &["{"]).unwrap_err())
                .starts_with("instrumentation.kafka.consumer_groups: `{`: ")
        );
    }
}

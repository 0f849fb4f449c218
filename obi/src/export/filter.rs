//! The `topics` filter. In: exact names or globs; out: yes or no for a topic. An empty list lets everything through.

use anyhow::Context;
use globset::{Glob, GlobSet};

#[derive(Clone, Debug)]
pub struct TopicFilter(Option<GlobSet>);

impl TopicFilter {
    /// Errors name the pattern that cannot be read.
    pub fn new(patterns: &[String]) -> anyhow::Result<TopicFilter> {
        if patterns.is_empty() {
            return Ok(TopicFilter(None));
        }
        let mut set = GlobSet::builder();
        for pattern in patterns {
            set.add(
                Glob::new(pattern)
                    .with_context(|| format!("instrumentation.kafka.topics: `{pattern}`"))?,
            );
        }
        Ok(TopicFilter(Some(set.build()?)))
    }

    pub fn lets(&self, topic: &str) -> bool {
        self.0.as_ref().is_none_or(|set| set.is_match(topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_names_globs_and_nothing() {
        let filter = |patterns: &[&str]| {
            TopicFilter::new(&patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>())
        };
        let lets = |patterns: &[&str], topic: &str| filter(patterns).unwrap().lets(topic);
        assert!(lets(&[], "orders"));
        assert!(lets(&["orders"], "orders"));
        assert!(!lets(&["orders"], "orders.dlq"));
        assert!(!lets(&["order.s"], "order-s"));
        assert!(lets(&["pay*", "order?"], "payments.eu"));
        assert!(lets(&["pay*", "order?"], "orders"));
        assert!(lets(&["{a,b}-events"], "b-events"));
        assert_eq!(
            format!("{:#}", filter(&["a[", "b"]).unwrap_err()),
            "instrumentation.kafka.topics: `a[`: error parsing glob 'a[': unclosed character class; missing ']'"
        );
    }
}

//! segmentio's kafka-go: pure Go, TLS by crypto/tls.

use crate::facts::Facts;

pub(super) fn detect(facts: &Facts<'_>) -> Option<(&'static str, String)> {
    super::go_module(
        facts,
        "kafka-go",
        &["github.com/segmentio/kafka-go"],
        &[
            "github.com/segmentio/kafka-go.(*Conn).Read",
            "github.com/segmentio/kafka-go.(*Writer).WriteMessages",
        ],
    )
}

//! confluent-kafka-go: cgo around librdkafka with OpenSSL inside, both linked statically; TLS is not crypto/tls.

use crate::facts::Facts;

pub(super) fn detect(facts: &Facts<'_>) -> Option<(&'static str, String)> {
    super::go_module(
        facts,
        "confluent-kafka-go",
        &[
            "github.com/confluentinc/confluent-kafka-go",
            "github.com/confluentinc/confluent-kafka-go/v2",
        ],
        &[
            "github.com/confluentinc/confluent-kafka-go/v2/kafka.NewProducer",
            "github.com/confluentinc/confluent-kafka-go/v2/kafka.NewConsumer",
        ],
    )
}

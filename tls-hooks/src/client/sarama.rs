//! sarama, before and after its move from Shopify to IBM: pure Go, TLS by crypto/tls.

use crate::facts::Facts;

pub(super) fn detect(facts: &Facts<'_>) -> Option<(&'static str, String)> {
    super::go_module(
        facts,
        "sarama",
        &["github.com/IBM/sarama", "github.com/Shopify/sarama"],
        &[
            "github.com/IBM/sarama.NewConfig",
            "github.com/Shopify/sarama.NewConfig",
        ],
    )
}

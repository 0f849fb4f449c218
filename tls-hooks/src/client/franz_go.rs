//! franz-go (github.com/twmb/franz-go): pure Go, TLS by crypto/tls.

use crate::facts::Facts;

pub(super) fn detect(facts: &Facts<'_>) -> Option<(&'static str, String)> {
    super::go_module(
        facts,
        "franz-go",
        &["github.com/twmb/franz-go"],
        &["github.com/twmb/franz-go/pkg/kgo.NewClient"],
    )
}

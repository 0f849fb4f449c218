//! Names of topics for what could not be processed. In: a topic; out: what a record sent there says of the one in hand.
//!
//! Words of the name decide, as Spring, Confluent and most guides choose them: `orders.DLT`, `orders-dlq`, `dead-letter.orders`, `orders-retry-2`.

use crate::observation::Signal;

pub(super) fn signal(topic: &str) -> Option<Signal> {
    let lower = topic.to_ascii_lowercase();
    let words: Vec<&str> = lower
        .split(['.', '-', '_'])
        .map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()))
        .filter(|word| !word.is_empty())
        .collect();
    let dead = |word: &&str| {
        let word = word.strip_suffix('s').unwrap_or(word);
        matches!(
            word,
            "dlq" | "dlt" | "deadletter" | "deadletterqueue" | "deadlettertopic"
        )
    };
    let two = words
        .windows(2)
        .any(|pair| matches!(pair, ["dead", "letter" | "letters"]));
    if two || words.iter().any(dead) {
        return Some(Signal::DeadLetter);
    }
    let retry = |word: &&str| matches!(*word, "retry" | "retries");
    words.iter().any(retry).then_some(Signal::Retry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (topic, expected) in [
            ("orders.DLT", Some(Signal::DeadLetter)),
            ("orders-dlq", Some(Signal::DeadLetter)),
            ("dead-letter.orders", Some(Signal::DeadLetter)),
            ("orders_dead_letters", Some(Signal::DeadLetter)),
            ("orders.deadletter", Some(Signal::DeadLetter)),
            ("orders-retry-2", Some(Signal::Retry)),
            ("orders.retry5000", Some(Signal::Retry)),
            ("orders", None),
            ("deadlines", None),
            ("retryable-orders", None),
            ("", None),
        ] {
            assert_eq!(signal(topic), expected, "{topic}");
        }
    }
}

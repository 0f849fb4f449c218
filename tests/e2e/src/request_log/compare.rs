//! Field by field: what was decoded against what the broker wrote down. In: two JSON values. Out: how many values were equal, of which
//! fields, and every difference. All that was decoded must be found; what the decoders step over is not looked at.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::debug_text::{base64, bytes};

/// Names that a topic has in one message or another.
const TOPIC_NAMES: [&str; 3] = ["name", "topic", "topicName"];
/// Decoded where a version has no such field, beside 0, −1, false and what is empty: Kafka's own defaults.
const DEFAULTS: [(&str, i64); 3] = [
    ("endpointType", 1),
    ("maxBytes", i32::MAX as i64),
    ("maxNumOffsets", 1),
];
/// Fields that older versions of Kafka or of the message call otherwise; some have only one where newer ones have a list.
const OLDER: [(&str, &str); 6] = [
    ("generationIdOrMemberEpoch", "generationId"),
    ("coordinatorKeys", "key"),
    ("partitionIndex", "partition"),
    ("partitions", "partitionResponses"),
    ("recordsSizeInBytes", "recordSetSizeInBytes"),
    ("topicResults", "resultsByTopicV3AndBelow"),
];
/// Before the other names in AddPartitionsToTxn up to version 3.
const BEFORE: &str = "v3AndBelow";
/// Differences shown.
const SHOWN: usize = 40;

#[derive(Debug, Default)]
pub struct Compared {
    /// Values found equal.
    pub values: u64,
    /// Paths of their fields, with the API's name before.
    pub fields: BTreeSet<String>,
    pub differences: Vec<String>,
    left_off: usize,
}

impl Compared {
    /// `at`: where we are, for the reader. `field`: the same without positions.
    pub fn message(&mut self, at: &str, field: &str, decoded: &Value, logged: &Value) {
        match (decoded, logged) {
            (Value::Object(decoded), Value::Object(logged)) => {
                self.fields(at, field, decoded, logged);
            }
            // An object around one value.
            (_, Value::Object(one)) if one.len() == 1 => {
                for theirs in one.values() {
                    self.message(at, field, decoded, theirs);
                }
            }
            (Value::Array(ours), Value::Array(theirs)) => {
                if ours.len() != theirs.len() {
                    self.differ(at, decoded, logged);
                    return;
                }
                for (n, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                    self.message(&format!("{at}[{n}]"), field, ours, theirs);
                }
            }
            _ if is_same(decoded, logged) => {
                self.values += 1;
                if !self.fields.contains(field) {
                    self.fields.insert(field.to_owned());
                }
            }
            _ => self.differ(at, decoded, logged),
        }
    }

    fn fields(
        &mut self,
        at: &str,
        field: &str,
        decoded: &Map<String, Value>,
        logged: &Map<String, Value>,
    ) {
        for (name, value) in decoded {
            let (at, field) = (format!("{at}.{name}"), format!("{field}.{name}"));
            if let Some(id) = value.get("$id") {
                self.message(
                    &at,
                    &field,
                    id,
                    logged.get("topicId").unwrap_or(&Value::Null),
                );
            } else if let Some(topic) = value.get("$name") {
                let name = TOPIC_NAMES.iter().find_map(|name| logged.get(*name));
                self.message(&at, &field, topic, name.unwrap_or(&Value::Null));
            } else if let Some(theirs) = found(name, logged) {
                match value.as_array().map(Vec::as_slice) {
                    Some([one]) if theirs.is_string() && !one.is_number() => {
                        self.message(&at, &field, one, theirs);
                    }
                    _ => self.message(&at, &field, value, theirs),
                }
            } else if let Some([one @ Value::Object(_)]) = value.as_array().map(Vec::as_slice) {
                // Older versions have one where newer ones have a list.
                self.message(&at, &field, one, &Value::Object(logged.clone()));
            } else if !is_nothing(name, value) {
                self.differ(&at, value, &Value::Null);
            }
        }
    }

    pub fn differ(&mut self, at: &str, decoded: &Value, logged: &Value) {
        self.say(format!("{at}: decoded {decoded}, broker {logged}"));
    }

    pub fn say(&mut self, line: String) {
        if self.differences.len() < SHOWN {
            self.differences.push(line);
        } else {
            self.left_off += 1;
        }
    }

    /// All differences as text; None: there are none.
    pub fn text(&self) -> Option<String> {
        let more = match self.left_off {
            0 => String::new(),
            n => format!("\nand {n} more"),
        };
        (!self.differences.is_empty()).then(|| self.differences.join("\n") + &more)
    }
}

/// The field under any of its names.
fn found<'a>(name: &str, logged: &'a Map<String, Value>) -> Option<&'a Value> {
    let older = OLDER.iter().find(|(newer, _)| *newer == name);
    let older = || logged.get(older?.1);
    let before = || {
        let mut letters = name.chars();
        let first = letters.next()?.to_ascii_uppercase();
        logged.get(&format!("{BEFORE}{first}{}", letters.as_str()))
    };
    logged.get(name).or_else(older).or_else(before)
}

fn is_same(decoded: &Value, logged: &Value) -> bool {
    match (decoded, logged) {
        // Bytes, which the log has as base64.
        (Value::Array(_), Value::String(text)) => {
            bytes(decoded).is_some_and(|bytes| base64(&bytes) == *text)
        }
        // A list that was only counted.
        (Value::Number(n), Value::Array(items)) => n.as_u64() == Some(items.len() as u64),
        // Null lists are as empty ones.
        (Value::Array(items), Value::Null) => items.is_empty(),
        _ => decoded == logged,
    }
}

/// What a decoder gives for a field that the version does not have, and the log does not show.
fn is_nothing(name: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(n) => {
            matches!(n.as_i64(), Some(0 | -1))
                || DEFAULTS
                    .iter()
                    .any(|(field, default)| *field == name && n.as_i64() == Some(*default))
        }
        Value::String(text) => text.is_empty() || text.trim_start_matches('A').is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.iter().all(|(name, value)| is_nothing(name, value)),
        Value::Bool(true) => name == "allowAutoTopicCreation",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compare(decoded: Value, logged: Value) -> (u64, Vec<String>) {
        let mut compared = Compared::default();
        compared.message("m", "m", &decoded, &logged);
        (compared.values, compared.differences)
    }

    #[test]
    fn equal_messages_are_equal_in_all_shapes() {
        let decoded = json!({
            "topic": {"$id": "x"}, "assignment": [102], "recordErrors": 2, "aborted": [], "rack": "", "maxBytes": i32::MAX,
            "transactions": [{"transactionalId": "t", "verifyOnly": false}],
        });
        let logged = json!({
            "topicId": "x", "assignment": "Zg==", "recordErrors": [{}, {}], "aborted": null, "transactionalId": "t", "more": 1,
        });
        assert_eq!(compare(decoded, logged), (5, vec![]));
    }

    #[test]
    fn what_differs_or_is_not_there_is_told() {
        let differences = [
            (json!({"a": 1}), json!({"a": 2})),
            (json!({"a": 1}), json!({})),
            (json!({"a": [1]}), json!({"a": [1, 1]})),
            (json!({"a": [{"b": 1}]}), json!({"a": [{"b": 2}]})),
            (json!({"topic": {"$name": "t"}}), json!({"topicId": "t"})),
            (json!({"a": "x"}), json!({"a": null})),
        ];
        for (decoded, logged) in differences {
            assert_eq!(compare(decoded, logged).1.len(), 1);
        }
    }
}

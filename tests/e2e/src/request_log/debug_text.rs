//! A decoded message as JSON, by way of its `Debug` text: so that all fields of all messages are compared, also those that a decoder
//! learns tomorrow, and no list of them is kept. In: what `{:?}` prints of plain data. Out: JSON with Kafka's spelling of names.
//!
//! `Some(x)` is x, `None` null; a UUID is Kafka's text of it; a topic is `{"$name": ...}` or `{"$id": ...}`; bytes are arrays of numbers.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

pub fn parse(text: &str) -> Result<Value> {
    let mut text = Text { rest: text };
    let value = text.value()?;
    if !text.rest.is_empty() {
        bail!("left over: {}", text.rest);
    }
    Ok(value)
}

struct Text<'a> {
    rest: &'a str,
}

impl<'a> Text<'a> {
    fn value(&mut self) -> Result<Value> {
        match self.rest.chars().next().context("nothing is left")? {
            '"' => self.string(),
            '[' => Ok(Value::Array(self.list(']')?)),
            '-' | '0'..='9' => {
                let digits = self.while_(|c| c == '-' || c.is_ascii_digit());
                Ok(Value::from(digits.parse::<i64>()?))
            }
            _ => self.named(),
        }
    }

    fn named(&mut self) -> Result<Value> {
        let name = self.while_(|c| c == '_' || c.is_alphanumeric());
        if self.take(" { ") {
            let mut fields = Map::new();
            while !self.take(" }") {
                self.take(", ");
                let field = camel(self.while_(|c| c == '_' || c.is_alphanumeric()));
                if !self.take(": ") {
                    bail!("a field without a value: {}", self.rest);
                }
                fields.insert(field, self.value()?);
            }
            return Ok(Value::Object(fields));
        }
        if self.rest.starts_with('(') {
            let mut items = self.list(')')?;
            let [item] = items.as_mut_slice() else {
                return Ok(Value::Array(items));
            };
            let item = item.take();
            return Ok(match name {
                "Uuid" => Value::String(uuid(&bytes(&item).context("a UUID's bytes")?)),
                "Name" => Value::Object(Map::from_iter([("$name".to_owned(), item)])),
                "Id" => Value::Object(Map::from_iter([("$id".to_owned(), item)])),
                _ => item,
            });
        }
        Ok(match name {
            "" => bail!("no value: {}", self.rest),
            "None" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            name => Value::String(name.to_owned()),
        })
    }

    /// After the opening bracket, through the closing one.
    fn list(&mut self, close: char) -> Result<Vec<Value>> {
        self.rest = &self.rest[1..];
        let mut items = Vec::new();
        while !self.take(close.encode_utf8(&mut [0; 4])) {
            self.take(", ");
            items.push(self.value()?);
        }
        Ok(items)
    }

    fn string(&mut self) -> Result<Value> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(Value::String(text));
                }
                '\\' => text.push(match chars.next().context("an escape")?.1 {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    '0' => '\0',
                    'u' => {
                        let code: String = chars
                            .by_ref()
                            .map(|(_, c)| c)
                            .skip(1)
                            .take_while(|c| *c != '}')
                            .collect();
                        char::from_u32(u32::from_str_radix(&code, 16)?).context("no character")?
                    }
                    other => other,
                }),
                c => text.push(c),
            }
        }
        bail!("a string without its end")
    }

    fn take(&mut self, text: &str) -> bool {
        let after = self.rest.strip_prefix(text);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn while_(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

/// `throttle_time_ms` is Kafka's `throttleTimeMs`.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut text, word| {
        let mut letters = word.chars();
        text.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        text.push_str(letters.as_str());
        text
    })
}

/// A list of numbers as the bytes that it was.
pub fn bytes(value: &Value) -> Option<Vec<u8>> {
    let byte = |item: &Value| u8::try_from(item.as_u64()?).ok();
    value.as_array()?.iter().map(byte).collect()
}

/// Kafka's text of a UUID: URL-safe base64 without padding.
pub fn uuid(bytes: &[u8]) -> String {
    let text = base64(bytes).replace('+', "-").replace('/', "_");
    text.trim_end_matches('=').to_owned()
}

/// With padding, as Jackson writes bytes.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0, |word, at| {
            word << 8 | usize::from(chunk.get(at).copied().unwrap_or(0))
        });
        for at in 0..4 {
            if at <= chunk.len() {
                text.push(char::from(DIGITS[word >> (18 - 6 * at) & 63]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::api::n03_metadata::MetadataRequestTopic;
    use kafka_wire::{TopicRef, Uuid};
    use serde_json::json;

    #[test]
    fn what_debug_prints_is_read_back() {
        let topic = MetadataRequestTopic {
            topic_id: Uuid([0xff; 16]),
            name: Some("a\"b\n\u{1}é"),
        };
        let text = format!("{:?}", (vec![topic], None::<i32>, -7_i64, true, ["x"; 0]));
        // A bare tuple is no value of a message.
        let text = format!("Tuple{text}");
        let topic = json!({"topicId": "_____________________w", "name": "a\"b\n\u{1}é"});
        let want = json!([[topic], null, -7, true, []]);
        assert_eq!(parse(&text).unwrap(), want);
        let name = format!("{:?}", TopicRef::Name("t"));
        assert_eq!(parse(&name).unwrap(), json!({"$name": "t"}));
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}

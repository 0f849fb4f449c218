//! Key-value pairs of OTLP. In: names and values; out: protobuf messages.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue,
};

/// Semantic conventions that names follow.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

pub fn text(key: &str, value: impl Into<String>) -> KeyValue {
    pair(key, Value::StringValue(value.into()))
}

pub fn int(key: &str, value: i64) -> KeyValue {
    pair(key, Value::IntValue(value))
}

pub fn truth(key: &str, value: bool) -> KeyValue {
    pair(key, Value::BoolValue(value))
}

/// One value as text, several as a list.
pub fn texts(key: &str, values: &[&str]) -> KeyValue {
    match values {
        [one] => text(key, *one),
        many => {
            let values = many
                .iter()
                .map(|v| AnyValue {
                    value: Some(Value::StringValue((*v).to_owned())),
                })
                .collect();
            pair(key, Value::ArrayValue(ArrayValue { values }))
        }
    }
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

pub fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "obi".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

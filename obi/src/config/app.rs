//! `instrumentation.app:` the other protocols of a trace: HTTP that comes in, PostgreSQL that is asked.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// Spans of the HTTP requests that Kafka clients serve and of the PostgreSQL statements that they run. Only heads are read, but
    /// their connections are copied: of HTTP/1 the first 16 KiB of each call, of the others all. The hooks on sockets then stay attached: `auto`
    /// = where these touch TCP alone (fentry or kprobes), and not where every system call of the node would pay. Has no effect while no
    /// span is made.
    pub enabled: When,
}

/// `true`, `false`, or as it suits the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    #[default]
    Auto,
    Always,
    Never,
}

impl When {
    /// `cheap`: hooks on sockets cost nobody but users of TCP.
    pub fn settled(self, cheap: bool) -> When {
        match self {
            When::Auto if cheap => When::Always,
            When::Auto => When::Never,
            chosen => chosen,
        }
    }

    fn text(self) -> &'static str {
        match self {
            When::Auto => "auto",
            When::Always => "true",
            When::Never => "false",
        }
    }
}

/// As text, so that a variable of the environment may say any of them.
impl Serialize for When {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<When, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = When;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("auto, true or false")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<When, E> {
                Ok(if value { When::Always } else { When::Never })
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<When, E> {
                match value {
                    "auto" => Ok(When::Auto),
                    "true" | "1" => Ok(When::Always),
                    "false" | "0" => Ok(When::Never),
                    _ => Err(E::custom(format!(
                        "`{value}` is neither auto nor true nor false"
                    ))),
                }
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for When {
    fn schema_name() -> Cow<'static, str> {
        "When".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ["auto", true, false, "true", "false"] })
    }
}

//! librdkafka: a shared library of its own, bundled in a Python or Node package, or linked into a program.
//!
//! Found by its functions; without symbols by a name in its assertions. Its version is the number that `rd_kafka_version`
//! returns: `mov eax, imm32; ret`.

mod callbacks;
mod calls;

pub use callbacks::callback;
pub(super) use calls::reports;

use crate::facts::Facts;
use crate::{Hook, HookPlan};

pub(super) const NAME: &str = "librdkafka";

pub(super) fn detect(facts: &Facts<'_>) -> Option<(&'static str, String)> {
    let found = facts
        .binary
        .functions(&["rd_kafka_new", "rd_kafka_version"]);
    let [Some(_), version] = found.as_slice() else {
        return facts.names_rdkafka().then(|| (NAME, String::new()));
    };
    let number = version.as_ref().and_then(|function| {
        let code = facts.binary.read(function.address, 16)?;
        match code
            .strip_prefix(&[0xf3, 0x0f, 0x1e, 0xfa])
            .unwrap_or(&code)
        {
            [0xb8, a, b, c, d, 0xc3, ..] => Some(u32::from_le_bytes([*a, *b, *c, *d])),
            _ => None,
        }
    });
    Some((NAME, number.map(text).unwrap_or_default()))
}

/// Every client begins with a call of it, before it connects.
pub(super) fn begins(facts: &Facts<'_>) -> Option<Hook> {
    let found = facts.binary.functions(&["rd_kafka_new"]);
    let function = found.into_iter().next().flatten()?;
    super::beginning(facts, "rd_kafka_new", &function)
}

/// What applications do with their messages. A Go program is hooked on its own side: a goroutine changes threads between two calls into C.
pub(super) fn calls(facts: &Facts<'_>, plan: &mut HookPlan) {
    if facts.go.is_none() {
        calls::plan(facts, plan);
    }
}

/// RD_KAFKA_VERSION: 0xMMmmrrpp, pp = 0xff for a release.
fn text(number: u32) -> String {
    let [pre, revision, minor, major] = number.to_le_bytes();
    match pre {
        0xff => format!("{major}.{minor}.{revision}"),
        pre => format!("{major}.{minor}.{revision}-pre{pre}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn version_number() {
        assert_eq!(super::text(0x0210_00ff), "2.16.0");
        assert_eq!(super::text(0x0200_02ff), "2.0.2");
        assert_eq!(super::text(0x020c_0103), "2.12.1-pre3");
    }
}

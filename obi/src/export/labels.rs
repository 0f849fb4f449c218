//! A label value. In: names as the core shares them; out: text for the exporters.
//!
//! A client may choose a client id of 32 KiB: what is kept of one value is bounded here.

use std::fmt;
use std::sync::Arc;

/// Bytes kept of a label value; what is longer is cut and ends with `...`.
pub const MAX_LABEL: usize = 256;

/// Each position of a metric's labels always uses one kind, so equality by kind is equality by text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Label {
    Text(Arc<str>),
    Word(&'static str),
    Number(i64),
    /// Not shown by OTLP; empty text for Prometheus, which means the same there.
    Absent,
}

impl Label {
    pub fn text(value: &Arc<str>) -> Label {
        if value.len() <= MAX_LABEL {
            return Label::Text(Arc::clone(value));
        }
        let cut = (0..=MAX_LABEL - 3)
            .rev()
            .find(|at| value.is_char_boundary(*at))
            .unwrap_or(0);
        Label::Text(format!("{}...", value.get(..cut).unwrap_or_default()).into())
    }

    /// Absent instead of empty.
    pub fn known(value: &Arc<str>) -> Label {
        if value.is_empty() {
            Label::Absent
        } else {
            Label::text(value)
        }
    }
}

impl From<i32> for Label {
    fn from(n: i32) -> Label {
        Label::Number(n.into())
    }
}

impl From<Option<&'static str>> for Label {
    fn from(word: Option<&'static str>) -> Label {
        word.map_or(Label::Absent, Label::Word)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Label::Text(text) => f.write_str(text),
            Label::Word(text) => f.write_str(text),
            Label::Number(n) => write!(f, "{n}"),
            Label::Absent => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_at_a_character() {
        let long: Arc<str> = "é".repeat(400).into();
        let Label::Text(cut) = Label::text(&long) else {
            panic!("text")
        };
        assert_eq!(cut.len(), 255);
        assert!(cut.ends_with("é..."));
        let fits: Arc<str> = "x".repeat(256).into();
        assert_eq!(Label::text(&fits), Label::Text(fits.clone()));
    }
}

//! A statement as it may be shown: literals are `?`, comments are gone, runs of white space are one space. In: its text, perhaps cut. Out: a
//! [`Statement`] of at most [`STATEMENT`](crate::call::STATEMENT) bytes. Lexical rules: PostgreSQL 17, section 4.1.
//!
//! Where the text can be read in two ways, the one that shows less is taken: `\'` in a plain string ends it or not, as the session's
//! `standard_conforming_strings` has it, so nothing is shown from there on.

use std::sync::Arc;

use super::verb;
use crate::call::STATEMENT;

#[derive(Debug, PartialEq, Eq)]
pub struct Statement {
    pub text: Arc<str>,
    pub operation: Option<String>,
    pub collection: Option<String>,
}

impl Statement {
    /// `whole`: nothing of the text was cut before it came here.
    pub fn of(sql: &[u8], whole: bool) -> Statement {
        let sql = String::from_utf8_lossy(sql);
        let (text, shown) = redacted(&sql);
        let operation = verb::operation(&text);
        let collection = operation
            .as_deref()
            .filter(|_| whole && shown)
            .and_then(|operation| verb::collection(&text, operation));
        Statement {
            operation,
            collection,
            text: text.into(),
        }
    }
}

/// The text, and whether it is all there.
fn redacted(sql: &str) -> (String, bool) {
    let mut out = String::new();
    let mut rest = sql;
    let mut space = false;
    while !rest.is_empty() {
        let (lexeme, len) = lexeme(rest);
        let shown = match lexeme {
            Lexeme::Space => {
                space = true;
                ""
            }
            Lexeme::Shown => rest.get(..len).unwrap_or_default(),
            Lexeme::Literal | Lexeme::Unclear => "?",
        };
        if !shown.is_empty() {
            let gap = if space && !out.is_empty() { " " } else { "" };
            if out.len() + gap.len() + shown.len() > STATEMENT {
                return (out, false);
            }
            out.push_str(gap);
            out.push_str(shown);
            space = false;
        }
        if let Lexeme::Unclear = lexeme {
            return (out, false);
        }
        // Never 0, so that this ends.
        rest = rest.get(len.max(1)..).unwrap_or_default();
    }
    (out, true)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lexeme {
    /// White space or a comment.
    Space,
    Shown,
    Literal,
    /// A literal whose end is not certain.
    Unclear,
}

/// The first lexeme and its length in bytes.
fn lexeme(text: &str) -> (Lexeme, usize) {
    let bytes = text.as_bytes();
    let at = |n: usize| bytes.get(n).copied().unwrap_or(0);
    match (at(0), at(1)) {
        (b'-', b'-') => {
            let end = bytes.iter().position(|b| matches!(b, b'\n' | b'\r'));
            (Lexeme::Space, end.unwrap_or(bytes.len()))
        }
        (b'/', b'*') => (Lexeme::Space, comment(bytes)),
        (b'\'', _) => string(bytes, 0, false),
        (b'e' | b'E', b'\'') => string(bytes, 1, true),
        (b'b' | b'B' | b'x' | b'X' | b'n' | b'N', b'\'') => string(bytes, 1, false),
        (b'u' | b'U', b'&') if at(2) == b'\'' => string(bytes, 2, false),
        (b'"', _) => match quoted(bytes) {
            Some(len) => (Lexeme::Shown, len),
            None => (Lexeme::Unclear, bytes.len()),
        },
        (b'$', _) => dollar(bytes),
        (b'0'..=b'9', _) | (b'.', b'0'..=b'9') => (Lexeme::Literal, number(bytes)),
        (b, _) if b.is_ascii_whitespace() => (Lexeme::Space, 1),
        (b, _) if begins_word(b) => {
            let end = bytes.iter().position(|b| !in_word(*b));
            (Lexeme::Shown, end.unwrap_or(bytes.len()))
        }
        _ => (Lexeme::Shown, 1),
    }
}

fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn in_word(byte: u8) -> bool {
    begins_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// Comments nest (4.1.5).
fn comment(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0u32);
    while let Some(pair) = bytes.get(at..at + 2) {
        match pair {
            b"/*" => {
                depth = depth.saturating_add(1);
                at += 2;
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A string whose opening quote is at `open`.
fn string(bytes: &[u8], open: usize, escapes: bool) -> (Lexeme, usize) {
    let mut at = open + 1;
    while let Some(byte) = bytes.get(at) {
        let next = bytes.get(at + 1);
        match (byte, next) {
            (b'\\', _) if escapes => at += 2,
            (b'\\', Some(b'\'')) => return (Lexeme::Unclear, bytes.len()),
            (b'\'', Some(b'\'')) => at += 2,
            (b'\'', _) => return (Lexeme::Literal, at + 1),
            _ => at += 1,
        }
    }
    (Lexeme::Unclear, bytes.len())
}

fn quoted(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (b'"', Some(b'"')) => at += 2,
            (b'"', _) => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// `$1`, or `$tag$ … $tag$` (4.1.2.4).
fn dollar(bytes: &[u8]) -> (Lexeme, usize) {
    let name = bytes
        .iter()
        .skip(1)
        .take_while(|b| in_word(**b) && **b != b'$');
    let len = 1 + name.count();
    let digits = bytes.get(1).is_some_and(u8::is_ascii_digit);
    if digits || bytes.get(len) != Some(&b'$') {
        return (Lexeme::Shown, len);
    }
    let (tag, body) = bytes.split_at_checked(len + 1).unwrap_or_default();
    match body.windows(tag.len()).position(|window| window == tag) {
        Some(at) => (Lexeme::Literal, len + 1 + at + tag.len()),
        None => (Lexeme::Unclear, bytes.len()),
    }
}

/// Also 0x1F, 1_000 and 1e-5 (4.1.2.6).
fn number(bytes: &[u8]) -> usize {
    let mut before = 0;
    let end = bytes.iter().position(|byte| {
        let sign = matches!(byte, b'+' | b'-') && matches!(before, b'e' | b'E');
        before = *byte;
        !(sign || in_word(*byte) || *byte == b'.')
    });
    end.unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_gone() {
        for (sql, want) in [
            ("SELECT 1", "SELECT ?"),
            (
                "select * from t1 where a=$1 and b = 'x''y'",
                "select * from t1 where a=$1 and b = ?",
            ),
            ("SELECT\n  a,\tb -- secret\nFROM t", "SELECT a, b FROM t"),
            ("/* a /* b */ c */SELECT /*x*/ a", "SELECT a"),
            ("SELECT E'a\\'b', c", "SELECT ?, c"),
            ("SELECT 'C:\\\\x', c", "SELECT ?, c"),
            ("SELECT 'a\\' OR secret", "SELECT ?"),
            (
                "SELECT B'01', x'1F', N'n', U&'d\\0061' FROM t",
                "SELECT ?, ?, ?, ? FROM t",
            ),
            ("SELECT $$it's$$, $q$a$$b$q$ FROM t", "SELECT ?, ? FROM t"),
            ("DO $$ BEGIN secret", "DO ?"),
            ("SELECT 'open secret", "SELECT ?"),
            ("SELECT \"open", "SELECT ?"),
            (
                "SELECT \"a\"\"b\", c2.d3 FROM \"T 1\"",
                "SELECT \"a\"\"b\", c2.d3 FROM \"T 1\"",
            ),
            (
                "VALUES (-1.5e-7, .5, 0xFF, 1_000, 1.)",
                "VALUES (-?, ?, ?, ?, ?)",
            ),
            (
                "SELECT a->>'k' FROM t WHERE d @> '{}'::jsonb AND e ?| array['x']",
                "SELECT a->>? FROM t WHERE d @> ?::jsonb AND e ?| array[?]",
            ),
            ("SELECT col1e5, e2 FROM café", "SELECT col1e5, e2 FROM café"),
            ("ALTER USER u PASSWORD 'secret'", "ALTER USER u PASSWORD ?"),
            ("SELECT $1::int, $23", "SELECT $1::int, $23"),
            ("", ""),
            ("  ;  ", ";"),
        ] {
            assert_eq!(redacted(sql).0, want, "{sql}");
        }
    }

    #[test]
    fn text_is_cut_at_its_cap() {
        let sql = format!("SELECT {}", "abc, ".repeat(STATEMENT));
        let (text, whole) = redacted(&sql);
        assert!(text.len() <= STATEMENT && text.len() > STATEMENT - 10 && !whole);
    }
}

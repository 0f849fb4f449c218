//! What a statement does, and to which table, where that is plain to tell. In: a redacted text. Out: its verb and one table name, or nothing:
//! this is no parser of SQL, and a wrong name is worse than none.

/// Longest table name, with its schema.
const NAME: usize = 128;

/// Verbs of the statement proper, behind `WITH`.
const AFTER_WITH: [&str; 6] = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES"];
/// Words that end a FROM clause.
const AFTER_FROM: [&str; 11] = [
    "WHERE",
    "GROUP",
    "HAVING",
    "WINDOW",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FETCH",
];

/// The verb in capitals.
pub fn operation(text: &str) -> Option<String> {
    let mut words = Words::of(text).filter(|(_, word)| *word != "(");
    let (_, first) = words.next()?;
    let verb = match upper(first)?.as_str() {
        "WITH" => Words::of(text)
            .filter(|(depth, _)| *depth == 0)
            .filter_map(|(_, word)| upper(word))
            .find(|word| AFTER_WITH.contains(&word.as_str())),
        verb => Some(verb.to_owned()),
    };
    verb.filter(|verb| verb.len() <= 24)
}

/// The one table that a single statement without `WITH` names.
pub fn collection(text: &str, operation: &str) -> Option<String> {
    let text = text.trim_end_matches([';', ' ']);
    if text.contains(';')
        || Words::of(text)
            .next()
            .is_some_and(|(_, word)| is(word, "WITH"))
    {
        return None;
    }
    let words: Vec<(u32, &str)> = Words::of(text).collect();
    let after = |word: &str| {
        let found = words
            .iter()
            .position(|(depth, at)| *depth == 0 && is(at, word));
        found.map(|at| at + 1)
    };
    let at = match operation {
        "INSERT" | "MERGE" => after("INTO")?,
        "UPDATE" | "COPY" => 1,
        "DELETE" => after("FROM")?,
        "TRUNCATE" => after("TABLE").unwrap_or(1),
        "SELECT" => selected_from(&words)?,
        _ => return None,
    };
    let only = words.get(at).is_some_and(|(_, word)| is(word, "ONLY"));
    let (_, name) = words.get(at + usize::from(only))?;
    table_name(name)
}

/// Where the table of a SELECT from one table stands.
fn selected_from(words: &[(u32, &str)]) -> Option<usize> {
    let count = |word: &str| words.iter().filter(|(_, at)| is(at, word)).count();
    if count("SELECT") != 1 || count("JOIN") != 0 {
        return None;
    }
    // `IS DISTINCT FROM` is no clause; `extract(year FROM x)` is deeper.
    let clause = words.iter().enumerate().position(|(at, (depth, word))| {
        let before = at.checked_sub(1).and_then(|at| words.get(at));
        *depth == 0 && is(word, "FROM") && !before.is_some_and(|(_, word)| is(word, "DISTINCT"))
    })?;
    let sources = words.get(clause + 1..)?;
    let end = sources
        .iter()
        .position(|(depth, word)| *depth == 0 && AFTER_FROM.iter().any(|end| is(word, end)));
    let sources = sources.get(..end.unwrap_or(sources.len()))?;
    let one = sources.iter().all(|(_, word)| !matches!(*word, "," | "("));
    one.then_some(clause + 1)
}

fn table_name(word: &str) -> Option<String> {
    let name = word.replace('"', "");
    let begins = |c: char| c.is_alphabetic() || c == '_';
    let good = word.starts_with('"') || word.starts_with(begins);
    (good && !name.is_empty() && name.len() <= NAME).then_some(name)
}

fn is(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

fn upper(word: &str) -> Option<String> {
    let plain = word.bytes().all(|b| b.is_ascii_alphabetic());
    plain.then(|| word.to_ascii_uppercase())
}

/// Words (names with their dots and quotes) and signs, each with how many parentheses it is in.
struct Words<'a> {
    rest: &'a str,
    depth: u32,
}

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Words<'a> {
        Words {
            rest: text,
            depth: 0,
        }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = (u32, &'a str);

    fn next(&mut self) -> Option<(u32, &'a str)> {
        let text = self.rest.trim_start();
        let first = text.chars().next()?;
        let mut quoted = false;
        let ends = |c: char| {
            quoted ^= c == '"';
            !(quoted || c == '"' || c.is_alphanumeric() || matches!(c, '_' | '$' | '.'))
        };
        let end = text.find(ends).unwrap_or(text.len());
        let len = end.max(first.len_utf8());
        let (word, rest) = text.split_at_checked(len)?;
        self.rest = rest;
        let depth = self.depth;
        match word {
            "(" => self.depth = self.depth.saturating_add(1),
            ")" => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        Some((depth, word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_and_tables() {
        for (text, verb, table) in [
            (
                "select * from orders where id = $1",
                Some("SELECT"),
                Some("orders"),
            ),
            (
                "SELECT a FROM public.\"Order Lines\" AS l ORDER BY b;",
                Some("SELECT"),
                Some("public.Order Lines"),
            ),
            (
                "SELECT extract(year FROM d) FROM t GROUP BY ?",
                Some("SELECT"),
                Some("t"),
            ),
            (
                "SELECT a IS DISTINCT FROM b FROM t",
                Some("SELECT"),
                Some("t"),
            ),
            ("SELECT ?", Some("SELECT"), None),
            ("SELECT * FROM a, b", Some("SELECT"), None),
            ("SELECT * FROM a JOIN b USING (c)", Some("SELECT"), None),
            (
                "SELECT * FROM a WHERE x IN (SELECT y FROM b)",
                Some("SELECT"),
                None,
            ),
            ("SELECT * FROM f(?)", Some("SELECT"), None),
            ("SELECT * FROM (VALUES (?)) v", Some("SELECT"), None),
            ("(SELECT a FROM t)", Some("SELECT"), None),
            (
                "SELECT a FROM t UNION SELECT b FROM u",
                Some("SELECT"),
                None,
            ),
            (
                "INSERT INTO orders (a, b) VALUES ($1, $2) RETURNING id",
                Some("INSERT"),
                Some("orders"),
            ),
            ("INSERT INTO a SELECT * FROM b", Some("INSERT"), Some("a")),
            (
                "update only stock set n = n - $1",
                Some("UPDATE"),
                Some("stock"),
            ),
            (
                "DELETE FROM t WHERE a IS DISTINCT FROM ?",
                Some("DELETE"),
                Some("t"),
            ),
            ("COPY t (a, b) FROM STDIN", Some("COPY"), Some("t")),
            ("COPY (SELECT ?) TO STDOUT", Some("COPY"), None),
            ("TRUNCATE TABLE t", Some("TRUNCATE"), Some("t")),
            ("MERGE INTO t USING s ON a = b", Some("MERGE"), Some("t")),
            (
                "WITH x AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM x",
                Some("INSERT"),
                None,
            ),
            ("BEGIN", Some("BEGIN"), None),
            ("SELECT a FROM t; DELETE FROM t", Some("SELECT"), None),
            ("CREATE TABLE t (a int)", Some("CREATE"), None),
            ("", None, None),
            (";", None, None),
            ("?", None, None),
        ] {
            let got = operation(text);
            assert_eq!(got.as_deref(), verb, "{text}");
            let got = got.and_then(|verb| collection(text, &verb));
            assert_eq!(got.as_deref(), table, "{text}");
        }
    }
}

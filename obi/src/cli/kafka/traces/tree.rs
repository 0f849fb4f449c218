//! Who called whom. In: the spans of a trace, by parent; out: rows from top to bottom, each with its place in the tree.
//!
//! Ids come from strangers' headers: a parent that is not here, two spans of one id, or a circle of parents still give each span one row.

use std::collections::{HashMap, HashSet};

use crate::store::traces::report::Span;

#[derive(Clone, Debug, PartialEq)]
pub enum Node<'a> {
    Span(&'a Span),
    /// A parent that is named, and not among the spans.
    Unseen(&'a str),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Row<'a> {
    pub node: Node<'a>,
    /// For each level below the root: does another one follow on it? The last is the row's own.
    pub follows: Vec<bool>,
}

struct Tree<'a> {
    spans: &'a [Span],
    /// By parent; taken away when they are told.
    children: HashMap<&'a str, Vec<usize>>,
    told: Vec<bool>,
    rows: Vec<Row<'a>>,
}

pub fn rows(spans: &[Span]) -> Vec<Row<'_>> {
    let ids: HashSet<&str> = spans.iter().map(|span| span.span_id.as_str()).collect();
    let mut children: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, span) in spans.iter().enumerate() {
        if let Some(parent) = &span.parent {
            children.entry(parent).or_default().push(at);
        }
    }
    let mut tree = Tree {
        spans,
        children,
        told: vec![false; spans.len()],
        rows: Vec::with_capacity(spans.len()),
    };
    for (at, span) in spans.iter().enumerate() {
        match span.parent.as_deref() {
            None => tree.tell(at, Vec::new()),
            Some(parent) if !ids.contains(parent) && !tree.is_told(at) => {
                tree.rows.push(Row {
                    node: Node::Unseen(parent),
                    follows: Vec::new(),
                });
                tree.tell_children(parent, &[]);
            }
            Some(_) => {}
        }
    }
    // In a circle nobody is first.
    for at in 0..spans.len() {
        tree.tell(at, Vec::new());
    }
    tree.rows
}

impl<'a> Tree<'a> {
    fn is_told(&self, at: usize) -> bool {
        self.told.get(at).copied().unwrap_or(true)
    }

    fn tell(&mut self, at: usize, follows: Vec<bool>) {
        let (Some(span), false) = (self.spans.get(at), self.is_told(at)) else {
            return;
        };
        if let Some(told) = self.told.get_mut(at) {
            *told = true;
        }
        self.rows.push(Row {
            node: Node::Span(span),
            follows: follows.clone(),
        });
        self.tell_children(&span.span_id, &follows);
    }

    fn tell_children(&mut self, parent: &'a str, above: &[bool]) {
        let mut children = self.children.remove(parent).unwrap_or_default();
        children.retain(|at| !self.is_told(*at));
        let last = children.len().saturating_sub(1);
        for (n, at) in children.into_iter().enumerate() {
            let mut follows = above.to_vec();
            follows.push(n < last);
            self.tell(at, follows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids and parents: one letter each, `-` for no parent.
    fn check(spans: &[&str], expected: &[&str]) {
        let spans: Vec<Span> = spans
            .iter()
            .map(|text| {
                let (id, parent) = text.split_at(1);
                Span {
                    span_id: id.to_owned(),
                    parent: (parent != "-").then(|| parent.to_owned()),
                    ..Span::default()
                }
            })
            .collect();
        let rows = rows(&spans);
        let shown = rows.iter().map(|row| {
            let follows = row.follows.iter().map(|it| if *it { '+' } else { '.' });
            let follows: String = follows.collect();
            match &row.node {
                Node::Span(span) => format!("{follows}{}", span.span_id),
                Node::Unseen(id) => format!("{follows}({id})"),
            }
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn each_span_has_one_row() {
        check(
            &["a-", "ba", "cb", "da", "ed"],
            &["a", "+b", "+.c", ".d", "..e"],
        );
        check(
            &["ax", "bx", "cb", "d-", "ey"],
            &["(x)", "+a", ".b", "..c", "d", "(y)", ".e"],
        );
        // Two of one id: children hang under the first. A circle, and one that is its own parent.
        check(&["a-", "a-", "ba"], &["a", ".b", "a"]);
        check(&["ab", "ba", "cc", "da"], &["a", "+b", ".d", "c"]);
        check(&[], &[]);
    }
}

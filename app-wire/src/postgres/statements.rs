//! Prepared statements and portals of one session, by name. In: Parse, Bind, Close. Out: what an Execute runs. Bounded: the least recently used
//! are forgotten first, and an Execute of a forgotten one has no text.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use super::statement::Statement;

/// As many as pgx prepares by itself (its statement cache), the largest default that we know.
const STATEMENTS: NonZeroUsize = NonZeroUsize::new(512).expect("not 0");
/// Bytes of names and texts of one session.
const BYTES: usize = 256 * 1024;
const PORTALS: NonZeroUsize = NonZeroUsize::new(64).expect("not 0");

#[derive(Debug)]
pub struct Statements {
    prepared: LruCache<Box<[u8]>, Arc<Statement>>,
    bytes: usize,
    portals: LruCache<Box<[u8]>, Option<Arc<Statement>>>,
}

impl Default for Statements {
    fn default() -> Statements {
        // `new` would allocate for the cap; most sessions prepare few.
        let mut made = Statements {
            prepared: LruCache::unbounded(),
            bytes: 0,
            portals: LruCache::unbounded(),
        };
        made.prepared.resize(STATEMENTS);
        made.portals.resize(PORTALS);
        made
    }
}

impl Statements {
    pub fn prepare(&mut self, name: &[u8], statement: Arc<Statement>) {
        self.bytes += cost(name, &statement);
        if let Some((name, old)) = self.prepared.push(name.into(), statement) {
            self.bytes -= cost(&name, &old);
        }
        while self.bytes > BYTES
            && let Some((name, old)) = self.prepared.pop_lru()
        {
            self.bytes -= cost(&name, &old);
        }
    }

    pub fn bind(&mut self, portal: &[u8], name: &[u8]) {
        let statement = self.prepared.get(name).cloned();
        self.portals.put(portal.into(), statement);
    }

    pub fn portal(&mut self, portal: &[u8]) -> Option<Arc<Statement>> {
        self.portals.get(portal).cloned().flatten()
    }

    /// `what`: the body of a Close message.
    pub fn close(&mut self, what: &[u8]) {
        match what.split_first() {
            Some((b'S', name)) => {
                if let Some(old) = self.prepared.pop(name) {
                    self.bytes -= cost(name, &old);
                }
            }
            Some((b'P', name)) => {
                self.portals.pop(name);
            }
            _ => {}
        }
    }
}

fn cost(name: &[u8], statement: &Statement) -> usize {
    name.len() + statement.text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_and_the_least_used_go_first() {
        let mut statements = Statements::default();
        let of = |n: usize| {
            Arc::new(Statement::of(
                format!("SELECT a{n} {}", "b".repeat(900)).as_bytes(),
                true,
            ))
        };
        for n in 0..1000usize {
            statements.prepare(&n.to_be_bytes(), of(n));
            statements.bind(&n.to_be_bytes(), &0usize.to_be_bytes());
        }
        let held: usize = statements
            .prepared
            .iter()
            .map(|(name, s)| cost(name, s))
            .sum();
        assert_eq!(statements.bytes, held);
        assert!(held <= BYTES && statements.portals.len() == PORTALS.get());
        assert_eq!(
            statements.portal(&999usize.to_be_bytes()),
            Some(of(0)),
            "used all the time"
        );
        assert!(
            !statements
                .prepared
                .contains(1usize.to_be_bytes().as_slice())
        );
        statements.prepare(&0usize.to_be_bytes(), of(1));
        statements.close(&[&b"S"[..], &0usize.to_be_bytes()].concat());
        let held: usize = statements
            .prepared
            .iter()
            .map(|(name, s)| cost(name, s))
            .sum();
        assert_eq!(statements.bytes, held);
    }
}

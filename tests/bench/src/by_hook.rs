//! What each hook costs a message. In: a load; the agent with `--cost-by-hook`. Out: hits and nanoseconds of each hook in a window.
//!
//! Hooks on each message are attached all the time here (no budget): what they cost is asked, not what the agent spends.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::load::Window;

/// As the control socket says it.
#[derive(Debug, Deserialize)]
struct Told {
    at_ns: u64,
    hooks: Vec<HookCost>,
}

#[derive(Debug, Deserialize)]
struct HookCost {
    hook: String,
    at: String,
    group: String,
    site: String,
    hits: u64,
    price_ns: u64,
    ran_ns: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub group: String,
    pub hook: String,
    pub at: String,
    /// The instruction. Not its price, which each agent measures anew.
    pub site: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    pub hits: u64,
    /// Hits by the price of the site, and the time within the program.
    pub ns: u64,
    /// Of it within the program.
    pub ran: u64,
}

/// Hits and nanoseconds a message.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PerMessage {
    pub hits: f64,
    pub ns: f64,
    pub ran: f64,
}

/// What the agent said at a time.
#[derive(Debug)]
pub struct Look {
    at_ns: u64,
    hooks: BTreeMap<Name, Spent>,
}

/// One library at one rate, once.
pub struct Figures {
    window: Window,
    /// Between two looks, and only hooks that were hit.
    seconds: f64,
    pub hooks: BTreeMap<Name, Spent>,
}

impl Figures {
    /// The agent looks once a second: what it counted is of another time than the window, so that rates are compared.
    pub fn new(window: Window, before: &Look, after: Look) -> Figures {
        let less = |(name, spent): (Name, Spent)| {
            let before = before.hooks.get(&name).copied().unwrap_or_default();
            let spent = Spent {
                hits: spent.hits.saturating_sub(before.hits),
                ns: spent.ns.saturating_sub(before.ns),
                ran: spent.ran.saturating_sub(before.ran),
            };
            (spent.hits > 0).then_some((name, spent))
        };
        Figures {
            window,
            seconds: after.at_ns.saturating_sub(before.at_ns) as f64 / 1e9,
            hooks: after.hooks.into_iter().filter_map(less).collect(),
        }
    }

    /// Messages a second.
    pub fn rate(&self) -> f64 {
        self.window.messages() / self.window.seconds
    }

    pub fn of(&self, name: &Name) -> PerMessage {
        self.per_message(self.hooks.get(name))
    }

    /// All hooks together.
    pub fn sum(&self) -> PerMessage {
        self.per_message(self.hooks.values())
    }

    fn per_message<'a>(&self, hooks: impl IntoIterator<Item = &'a Spent>) -> PerMessage {
        let messages = self.rate() * self.seconds;
        let mut sum = PerMessage::default();
        for spent in hooks {
            sum.hits += spent.hits as f64 / messages;
            sum.ns += spent.ns as f64 / messages;
            sum.ran += spent.ran as f64 / messages;
        }
        sum
    }
}

/// All hooks since the agent began.
pub fn ask(socket: &Path) -> Result<Look> {
    let mut stream = UnixStream::connect(socket).context("the agent does not answer")?;
    writeln!(stream, "{{\"command\":\"cost_by_hook\"}}")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    read(&line)
}

fn read(line: &str) -> Result<Look> {
    let told: Told =
        serde_json::from_str(line).with_context(|| format!("the agent said `{line}`"))?;
    let mut hooks: BTreeMap<Name, Spent> = BTreeMap::new();
    for cost in told.hooks {
        let spent = hooks.entry(cost.name()).or_default();
        spent.hits += cost.hits;
        spent.ns += cost.hits * cost.price_ns + cost.ran_ns;
        spent.ran += cost.ran_ns;
    }
    Ok(Look {
        at_ns: told.at_ns,
        hooks,
    })
}

impl HookCost {
    fn name(&self) -> Name {
        Name {
            group: self.group.clone(),
            hook: self.hook.clone(),
            at: self.at.clone(),
            site: self.site.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_costs_hits_by_price_and_its_program() {
        let look = |seconds: u64, hits: u64, ran: u64| {
            let hook = |name: &str, hits: u64, ran: u64| {
                serde_json::json!({"hook": name, "at": "entry", "group": "tls", "site": "a push", "hits": hits,
                    "price_ns": 700, "ran_ns": ran})
            };
            let hooks = [hook("SSL_read", hits, ran), hook("SSL_free", 5, 1)];
            let told = serde_json::json!({"at_ns": seconds * 1_000_000_000, "hooks": hooks});
            read(&told.to_string()).unwrap()
        };
        let window = Window {
            seconds: 4.0,
            offered: 400,
            acked: 400,
            consumed: 400,
            ack_micros: [0.0; 3],
            end_micros: [0.0; 3],
        };
        let figures = Figures::new(window, &look(1, 10, 100), look(3, 50, 4100));
        let (name, spent) = figures.hooks.first_key_value().unwrap();
        assert_eq!((figures.hooks.len(), name.hook.as_str()), (1, "SSL_read"));
        assert_eq!(
            *spent,
            Spent {
                hits: 40,
                ns: 32_000,
                ran: 4000
            }
        );
        // 100 messages a second, for 2 s.
        let expected = PerMessage {
            hits: 0.2,
            ns: 160.0,
            ran: 20.0,
        };
        assert_eq!(figures.of(name), expected);
        assert_eq!(figures.sum(), expected);
        assert!(read(r#"{"error":"unknown command"}"#).is_err());
    }
}

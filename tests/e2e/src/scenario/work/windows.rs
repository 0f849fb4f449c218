//! Which messages may be told of while hooks come and go. In: the windows that a recording holds, and the program's own truth; out: each message that was told of
//! though it did not lie within one window, and each that did and was not.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use super::compare::Told;
use crate::recording::Window;

/// Windows that show so many messages count.
const WORTH: usize = 100;
/// Their number, at least.
const SEVERAL: usize = 2;

/// Begin and end of each.
#[derive(Debug)]
pub struct Windows(Vec<(u64, u64)>);

/// What windows showed.
pub struct Shown {
    messages: usize,
    all: usize,
    /// Not told of, because a window began or ended meanwhile.
    cut: usize,
    windows: usize,
}

/// A goroutine or thread in a window.
type Within = (usize, Option<u64>, Option<u64>);

impl Windows {
    /// Who is told nothing of has all hooks.
    pub fn of(changes: &[Window]) -> Windows {
        let (mut windows, mut open) = (Vec::new(), Some(0));
        for change in changes {
            if change.window == "open" {
                open = open.or(Some(change.time));
            } else if let Some(began) = open.take() {
                windows.push((began, change.time));
            }
        }
        windows.extend(open.map(|began| (began, u64::MAX)));
        Windows(windows)
    }

    fn holds(&self, began: u64, ended: u64) -> Option<usize> {
        let holds = |(from, to): &(u64, u64)| *from <= began && ended <= *to;
        self.0.iter().position(holds)
    }

    /// A window tells of all that lies within it, but for what each task's first request gives where hooks are back: it may stand within another that
    /// nobody saw.
    pub fn judge(
        &self,
        truth: &[Told],
        shown: impl Fn(&Told) -> bool,
        wrong: &mut Vec<String>,
    ) -> Shown {
        let (mut messages, mut cut) = (BTreeMap::<usize, usize>::new(), 0);
        let mut within: BTreeMap<Within, Vec<&Told>> = BTreeMap::new();
        for own in truth {
            let may = self.holds(own.began, own.ended);
            if shown(own) {
                match may {
                    Some(window) => *messages.entry(window).or_default() += 1,
                    None => wrong.push(format!("told, and cut by a window: {own:?}")),
                }
            } else if may.is_none() && self.touch(own) {
                cut += 1;
            }
            if let Some(window) = self.holds(own.asked, own.settled) {
                let task = (window, own.goroutine, own.thread);
                within.entry(task).or_default().push(own);
            }
        }
        for ((window, ..), mut all) in within {
            all.sort_unstable_by_key(|own| own.began);
            let unclear = all.first().filter(|_| window > 0).map(|own| own.asked);
            let missing = all.iter().filter(|own| Some(own.asked) != unclear);
            let missing = missing.filter(|own| !shown(own));
            wrong.extend(missing.map(|own| format!("not told, within window {window}: {own:?}")));
        }
        let shown = Shown {
            messages: messages.values().sum(),
            all: truth.len(),
            cut,
            windows: messages.values().filter(|count| **count >= WORTH).count(),
        };
        if shown.windows < SEVERAL || shown.messages == shown.all {
            wrong.push(format!("by windows: {messages:?}, of {}", shown.all));
        }
        shown
    }

    fn touch(&self, own: &Told) -> bool {
        let touches = |(from, to): &(u64, u64)| *from <= own.settled && own.asked <= *to;
        self.0.iter().any(touches)
    }
}

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown {
            messages,
            all,
            cut,
            windows,
        } = self;
        write!(
            f,
            "{messages} of {all} shown in {windows} windows, {cut} cut by them"
        )
    }
}

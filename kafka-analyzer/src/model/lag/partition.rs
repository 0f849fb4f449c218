//! One partition: where its log ends, and where groups are in it. In: observations with their times; out: what changed.
//!
//! Observations may come late (they wait for labels), so each is kept only if it is not older than what is known.

use crate::capture::Nanos;
use crate::observation::LagBasis;

use super::marks::Marks;
use super::{Ends, GroupId};

/// A lower high watermark is believed when none as high was seen for so long: a follower that lags behind says less, too.
const LOWER_AFTER: Nanos = 5_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    pub offset: i64,
    pub time: Nanos,
}

#[derive(Debug, Default)]
pub(super) struct Partition {
    pub dirty: bool,
    pub marks: Marks,
    high_watermark: Option<Offset>,
    log_start: Option<i64>,
    news_of_ends: bool,
    /// Sorted by group, as are the others.
    committed: Vec<Of>,
    positions: Vec<Of>,
    delivered: Vec<Of>,
}

/// A reader's place that no commit tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// It fetches from here.
    Position,
    /// The application gets this next.
    Delivered,
}

#[derive(Clone, Copy, Debug)]
struct Of {
    group: GroupId,
    at: Offset,
    changed: bool,
}

/// A group's place, to be said.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    pub group: GroupId,
    pub basis: LagBasis,
    pub offset: i64,
    /// The place itself changed, or is said again.
    pub changed: bool,
    /// None: where the log ends is not known.
    pub behind: Option<Behind>,
}

/// How far a place is from the end of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behind {
    pub high_watermark: i64,
    pub messages: u64,
    /// Of the oldest record that is behind.
    pub oldest_timestamp_ms: Option<i64>,
    /// The older of both observations.
    pub observed: Nanos,
}

impl Partition {
    pub fn ends(&mut self, ends: Ends, time: Nanos) {
        if let Some(start) = ends.log_start
            && self.log_start != Some(start)
        {
            self.log_start = Some(start);
            self.news_of_ends = true;
        }
        let Some(offset) = ends.high_watermark else {
            return;
        };
        let told = Offset { offset, time };
        match &mut self.high_watermark {
            Some(known) if offset > known.offset => {
                *known = told;
                self.news_of_ends = true;
            }
            Some(known) if offset == known.offset => known.time = known.time.max(time),
            // Truncated, or made anew under the same name.
            Some(known) if time >= known.time.saturating_add(LOWER_AFTER) => {
                *known = told;
                self.news_of_ends = true;
                self.marks.clear();
                // Nobody can have committed what is not there.
                self.committed.retain(|known| known.at.offset <= offset);
                self.positions.retain(|known| known.at.offset <= offset);
                self.delivered.retain(|known| known.at.offset <= offset);
            }
            Some(_) => {}
            None => {
                self.high_watermark = Some(told);
                self.news_of_ends = true;
            }
        }
    }

    /// True: the end was told before `began`, so that it moved by `count`.
    pub fn appended(&mut self, count: i64, began: Nanos, time: Nanos) -> bool {
        let Some(end) = self.high_watermark.filter(|end| end.time < began) else {
            return false;
        };
        let ends = Ends {
            high_watermark: Some(end.offset.saturating_add(count)),
            log_start: None,
        };
        self.ends(ends, time);
        true
    }

    pub fn confirm(&mut self, time: Nanos) {
        if let Some(known) = &mut self.high_watermark {
            known.time = known.time.max(time);
        }
    }

    /// True: it changed.
    pub fn set(&mut self, which: Which, group: GroupId, at: Offset) -> bool {
        let table = match which {
            Which::Position => &mut self.positions,
            Which::Delivered => &mut self.delivered,
        };
        set(table, group, at)
    }

    pub fn forget_position(&mut self, group: GroupId) {
        self.positions.retain(|known| known.group != group);
        self.delivered.retain(|known| known.group != group);
    }

    /// Unless another process told of it since.
    pub fn forget_delivered(&mut self, group: GroupId, told: Nanos) {
        self.delivered
            .retain(|known| known.group != group || known.at.time > told);
    }

    pub fn set_committed(&mut self, group: GroupId, at: Offset) {
        set(&mut self.committed, group, at);
        // Only a group that has left the oldest mark behind may have been the last one to need it.
        if self.marks.is_passed(at.offset) {
            let least = self.committed.iter().map(|known| known.at.offset).min();
            self.marks.forget_below(least.unwrap_or(0));
        }
    }

    pub fn committed(&self, group: GroupId) -> Option<Offset> {
        let at = self
            .committed
            .binary_search_by_key(&group, |known| known.group);
        at.ok()
            .and_then(|at| self.committed.get(at))
            .map(|known| known.at)
    }

    pub fn has(&self, which: Which, group: GroupId) -> bool {
        let table = match which {
            Which::Position => &self.positions,
            Which::Delivered => &self.delivered,
        };
        let found = table.binary_search_by_key(&group, |known| known.group);
        found.is_ok()
    }

    /// Of all kinds.
    pub fn offsets_len(&self) -> usize {
        self.committed.len() + self.positions.len() + self.delivered.len()
    }

    pub fn forget_committed(&mut self, group: GroupId, time: Nanos) {
        self.committed
            .retain(|known| known.group != group || known.at.time > time);
    }

    /// Drops what nobody confirmed since `before`; false: nothing is left.
    pub fn expire(&mut self, before: Nanos, is_live: &dyn Fn(GroupId) -> bool) -> bool {
        let fresh = self
            .high_watermark
            .is_some_and(|known| known.time >= before);
        let keep = |known: &Of| known.at.time >= before || is_live(known.group);
        self.committed.retain(|known| fresh || keep(known));
        self.positions.retain(keep);
        self.delivered.retain(keep);
        fresh || self.offsets_len() > 0
    }

    pub fn groups(&self) -> impl Iterator<Item = GroupId> + '_ {
        let all = self.committed.iter().chain(&self.positions);
        let all = all.chain(&self.delivered);
        all.map(|known| known.group)
    }

    /// Groups have new places, in the same order.
    pub fn renumber(&mut self, places: &[GroupId]) {
        let all = self.committed.iter_mut().chain(&mut self.positions);
        for known in all.chain(&mut self.delivered) {
            if let Some(place) = places.get(known.group as usize) {
                known.group = *place;
            }
        }
    }

    /// All of it is to be said once more.
    pub fn again(&mut self) {
        self.news_of_ends = true;
        let all = self.committed.iter_mut().chain(&mut self.positions);
        let all = all.chain(&mut self.delivered);
        all.for_each(|known| known.changed = true);
    }

    pub fn take_news_of_ends(&mut self) -> Option<Ends> {
        std::mem::take(&mut self.news_of_ends).then(|| Ends {
            high_watermark: self.high_watermark.map(|known| known.offset),
            log_start: self.log_start,
        })
    }

    /// Every group's place: when the log's end moved, so did all lags.
    pub fn take_news(&mut self, say: &mut dyn FnMut(News)) {
        let (end, marks) = (self.high_watermark, &self.marks);
        let behind = |at: Offset| {
            let end = end?;
            let messages = end.offset.saturating_sub(at.offset);
            let messages = u64::try_from(messages).unwrap_or(0);
            Some(Behind {
                high_watermark: end.offset,
                messages,
                oldest_timestamp_ms: (messages > 0)
                    .then(|| marks.timestamp_ms(at.offset))
                    .flatten(),
                observed: end.time.min(at.time),
            })
        };
        for (table, basis) in [
            (&mut self.committed, LagBasis::Committed),
            (&mut self.positions, LagBasis::Position),
            (&mut self.delivered, LagBasis::Delivered),
        ] {
            for known in table {
                say(News {
                    group: known.group,
                    basis,
                    offset: known.at.offset,
                    changed: std::mem::take(&mut known.changed),
                    behind: behind(known.at),
                });
            }
        }
    }
}

fn set(table: &mut Vec<Of>, group: GroupId, at: Offset) -> bool {
    let new = Of {
        group,
        at,
        changed: true,
    };
    match table.binary_search_by_key(&group, |known| known.group) {
        Ok(found) => match table.get_mut(found) {
            Some(known) if known.at.time <= at.time => {
                let moved = known.at.offset != at.offset;
                *known = Of {
                    changed: moved || known.changed,
                    ..new
                };
                moved
            }
            _ => false,
        },
        Err(place) => {
            table.insert(place, new);
            true
        }
    }
}

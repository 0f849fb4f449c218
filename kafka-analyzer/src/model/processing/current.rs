//! Is the last hand-over that was told of a partition still the last one? In: hand-overs, commits, hooks that go; out: whether that is known.
//!
//! While hooks that run for each message are away a hand-over is not seen, so that what is said of it grows old. Of a partition whose hand-overs
//! were seen nevertheless (hooks on batches stay) it never does.

use crate::capture::Nanos;

/// Windows come this often to whoever saves up for them: what one told holds until the next.
const OLD: Nanos = 10_000_000_000;

/// How it is known that the application has a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// A hook that was there all the time.
    Window,
    /// A hook that is there, though those on each message are not.
    Batch,
    Commit,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Current {
    /// When a hand-over was told last.
    told: Option<Nanos>,
    /// From when on others may have come; `None`: they would have been seen.
    unsure: Option<Nanos>,
    /// Hooks that stay tell of it.
    stays: bool,
}

impl Current {
    /// Of a partition that is met while hooks are away, or not.
    pub fn new(away: Option<Nanos>) -> Current {
        Current {
            unsure: away,
            ..Current::default()
        }
    }

    /// Hooks on each message go.
    pub fn hides(&mut self, time: Nanos) {
        if !self.stays {
            self.unsure = self.unsure.or(Some(time));
        }
    }

    pub fn tells(&mut self, time: Nanos, by: By) {
        self.told = self.told.max(Some(time));
        self.stays |= by == By::Batch;
        self.unsure = Some(time).filter(|_| by == By::Commit && self.unsure.is_some());
    }

    /// Nothing was missed.
    pub fn is_sure(&self) -> bool {
        self.unsure.is_none()
    }

    /// When it was told last, once that has grown too old. Says so once.
    pub fn expires(&mut self, now: Nanos) -> Option<Nanos> {
        self.unsure
            .filter(|since| since.saturating_add(OLD) <= now)?;
        self.told.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_old_from_when_hooks_went_or_a_commit_on() {
        let mut current = Current::new(None);
        current.tells(5, By::Window);
        assert_eq!(
            (current.is_sure(), current.expires(Nanos::MAX)),
            (true, None)
        );
        current.hides(100);
        current.hides(200);
        assert_eq!(current.expires(100 + OLD - 1), None);
        current.tells(300, By::Commit);
        assert_eq!(current.expires(100 + OLD), None);
        assert_eq!(current.expires(300 + OLD), Some(300));
        assert_eq!(current.expires(Nanos::MAX), None, "once");
        current.tells(400 + OLD, By::Window);
        assert!(current.is_sure());
        current.tells(500 + OLD, By::Commit);
        assert!(current.is_sure(), "a commit says nothing new then");
    }

    #[test]
    fn what_hooks_that_stay_tell_does_not_grow_old() {
        let mut current = Current::new(Some(7));
        assert_eq!(current.expires(Nanos::MAX), None, "nothing was told");
        current.tells(9, By::Batch);
        current.hides(10);
        assert_eq!(
            (current.is_sure(), current.expires(Nanos::MAX)),
            (true, None)
        );
    }
}

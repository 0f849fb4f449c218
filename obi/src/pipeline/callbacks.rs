//! Functions of applications that client libraries call with messages. In: calls that name such a function, and whether it is followed; out: which of
//! these calls tell of messages that nobody sees.

use std::collections::HashMap;

use kafka_analyzer::capture::{ClientCall, Pid};

/// Functions remembered; calls that name others are passed on.
const MOST: usize = 4096;
/// Calls that wait for the answer to the first of them.
const HELD: usize = 64;

#[derive(Debug)]
enum State {
    /// Asked for.
    Asked(Vec<ClientCall>),
    Followed,
    NotFollowed,
}

/// What to do with a call that names a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// The first: whoever attaches hooks must be asked.
    Ask,
    Wait,
    /// Its messages are not seen.
    Pass,
    /// Each of its messages will be told of.
    Drop,
}

#[derive(Debug, Default)]
pub struct Callbacks {
    known: HashMap<(Pid, u64), State>,
}

impl Callbacks {
    pub fn call(&mut self, call: &ClientCall) -> Does {
        let key = (call.pid, call.client);
        let room = self.known.len() < MOST;
        match self.known.get_mut(&key) {
            Some(State::Followed) => Does::Drop,
            Some(State::Asked(held)) if held.len() < HELD => {
                held.push(call.clone());
                Does::Wait
            }
            None if call.client != 0 && room => {
                self.known.insert(key, State::Asked(vec![call.clone()]));
                Does::Ask
            }
            _ => Does::Pass,
        }
    }

    /// The answer: calls that told of messages which nobody saw.
    pub fn answered(&mut self, pid: Pid, address: u64, followed: bool) -> Vec<ClientCall> {
        let state = match followed {
            true => State::Followed,
            false => State::NotFollowed,
        };
        let room = self.known.len() < MOST;
        match self.known.get_mut(&(pid, address)) {
            Some(known) => match std::mem::replace(known, state) {
                State::Asked(held) if !followed => held,
                _ => Vec::new(),
            },
            // Word that its process runs another program came in between.
            None if room => {
                self.known.insert((pid, address), state);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// The process ended, or runs another program.
    pub fn forget(&mut self, pid: Pid) {
        self.known.retain(|(of, _), _| *of != pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_analyzer::capture::{Means, Task};

    fn call(client: u64, time: u64) -> ClientCall {
        ClientCall {
            client,
            ..ClientCall::new(Means::LosesSight, 7, Task::Thread(8), time)
        }
    }

    #[test]
    fn what_is_followed_is_no_loss() {
        let mut callbacks = Callbacks::default();
        assert_eq!(callbacks.call(&call(16, 1)), Does::Ask);
        assert_eq!(callbacks.call(&call(16, 2)), Does::Wait);
        assert_eq!(callbacks.answered(7, 16, true), []);
        assert_eq!(callbacks.call(&call(16, 3)), Does::Drop);
        callbacks.forget(7);
        assert_eq!(callbacks.call(&call(16, 4)), Does::Ask, "another program");
        assert_eq!(callbacks.answered(9, 16, true), []);
        let known = ClientCall {
            pid: 9,
            ..call(16, 5)
        };
        assert_eq!(callbacks.call(&known), Does::Drop, "before it was named");
    }

    #[test]
    fn what_is_not_followed_is_told_call_by_call() {
        let mut callbacks = Callbacks::default();
        assert_eq!(callbacks.call(&call(16, 1)), Does::Ask);
        assert_eq!(callbacks.call(&call(16, 2)), Does::Wait);
        let held = [call(16, 1), call(16, 2)];
        assert_eq!(callbacks.answered(7, 16, false), held);
        assert_eq!(callbacks.call(&call(16, 3)), Does::Pass);
        // Its hooks came to an end.
        assert_eq!(callbacks.answered(7, 16, true), []);
        assert_eq!(callbacks.call(&call(0, 4)), Does::Pass, "no function");
    }

    #[test]
    fn the_table_has_an_end_and_so_has_what_waits() {
        let mut callbacks = Callbacks::default();
        for at in 1..=MOST as u64 {
            assert_eq!(callbacks.call(&call(at, at)), Does::Ask);
        }
        assert_eq!(callbacks.call(&call(u64::MAX, 1)), Does::Pass);
        for _ in 1..HELD {
            assert_eq!(callbacks.call(&call(1, 1)), Does::Wait);
        }
        assert_eq!(callbacks.call(&call(1, 1)), Does::Pass);
    }
}

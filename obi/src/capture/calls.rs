//! A record of the ring `CALLS` to a call of a client library. In: the bytes of one record; out: an event, with names of topics shared.
//!
//! A name that Kafka would not take was read from memory that is something else: it is left out, and the model finds the topic by the wire.

use std::collections::HashSet;
use std::sync::Arc;

use kafka_analyzer::capture::{ClientCall, Means, Task};
use obi_abi::client::{TOPIC_LIMIT, call_flag};
use obi_abi::{RecordHeader, kind};
use zerocopy::FromBytes;

/// Names kept to be shared; a process that makes up more of them gets copies.
const NAMES: usize = 16_384;

#[derive(Debug, Default)]
pub struct Calls {
    names: HashSet<Arc<str>>,
}

impl Calls {
    /// `None`: this is no such record.
    pub fn call(&mut self, bytes: &[u8]) -> Option<ClientCall> {
        let (header, rest) = RecordHeader::read_from_prefix(bytes).ok()?;
        let payload = rest.get(..usize::try_from(header.len).ok()?)?;
        if header.kind != kind::CALL {
            return None;
        }
        let (call, topic) = obi_abi::ClientCall::read_from_prefix(payload).ok()?;
        let topic = topic.get(..usize::from(call.topic_len))?;
        let means = *Means::ALL.get(usize::from(call.means.checked_sub(1)?))?;
        Some(ClientCall {
            time: header.ended_ns,
            pid: header.pid,
            tid: header.tid,
            task: match header.task {
                0 => Task::Thread(header.tid),
                id => Task::Goroutine(id),
            },
            parent: Some(call.parent).filter(|id| *id != 0),
            means,
            client: call.client,
            message: call.message,
            named: call.flags & call_flag::NAMED != 0,
            topic: self.name(topic),
            partition: call.partition,
            first: call.first,
            last: call.last,
            count: call.count,
            key_len: u32::try_from(call.key_len).ok(),
            value_len: u32::try_from(call.value_len).ok(),
            complete: call.flags & call_flag::LAST != 0,
            truncated: call.flags & call_flag::TRUNCATED != 0,
            fault: call.flags & call_flag::FAULT != 0,
        })
    }

    fn name(&mut self, bytes: &[u8]) -> Arc<str> {
        let name = legal(bytes).unwrap_or_default();
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        if self.names.len() < NAMES {
            self.names.insert(Arc::clone(&name));
        }
        name
    }
}

/// org.apache.kafka.common.internals.Topic: letters, digits, `.`, `_` and `-`.
fn legal(bytes: &[u8]) -> Option<&str> {
    let is_legal = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if bytes.len() > TOPIC_LIMIT || !bytes.iter().all(is_legal) {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    fn bytes(task: u64, call: obi_abi::ClientCall, topic: &[u8]) -> Vec<u8> {
        let len = size_of::<obi_abi::ClientCall>() + topic.len();
        let header = RecordHeader {
            kind: kind::CALL,
            len: u32::try_from(len).unwrap(),
            began_ns: 5,
            ended_ns: 5,
            task,
            pid: 7,
            tid: 8,
            ..RecordHeader::default()
        };
        let call = obi_abi::ClientCall {
            topic_len: u16::try_from(topic.len()).unwrap(),
            ..call
        };
        [header.as_bytes(), call.as_bytes(), topic, b"room"].concat()
    }

    fn handed() -> obi_abi::ClientCall {
        obi_abi::ClientCall {
            means: obi_abi::client::means::HANDS_OVER,
            parent: 3,
            client: 10,
            message: 11,
            first: 12,
            last: 14,
            partition: 2,
            count: 3,
            key_len: -1,
            value_len: 100,
            flags: call_flag::LAST | call_flag::FAULT | call_flag::NAMED,
            ..obi_abi::ClientCall::default()
        }
    }

    #[test]
    fn a_record_becomes_a_call() {
        let mut calls = Calls::default();
        let call = calls.call(&bytes(42, handed(), b"orders")).unwrap();
        let expected = ClientCall {
            time: 5,
            pid: 7,
            tid: 8,
            task: Task::Goroutine(42),
            parent: Some(3),
            means: Means::HandsOver,
            client: 10,
            message: 11,
            named: true,
            topic: "orders".into(),
            partition: 2,
            first: 12,
            last: 14,
            count: 3,
            key_len: None,
            value_len: Some(100),
            complete: true,
            truncated: false,
            fault: true,
        };
        assert_eq!(call, expected);
        let again = calls.call(&bytes(0, handed(), b"orders")).unwrap();
        assert_eq!(again.task, Task::Thread(8));
        assert!(Arc::ptr_eq(&call.topic, &again.topic));
    }

    #[test]
    fn meanings_have_the_numbers_of_the_contract() {
        use obi_abi::client::means::*;
        let numbers = [
            (ASKS, Means::Asks),
            (HANDS_OVER, Means::HandsOver),
            (SETTLES, Means::Settles),
            (SETTLES_ALL, Means::SettlesAll),
            (FREES, Means::Frees),
            (SEEKS, Means::Seeks),
            (PRODUCES, Means::Produces),
            (PRODUCED, Means::Produced),
            (ACKNOWLEDGED, Means::Acknowledged),
            (CLOSES, Means::Closes),
            (CLAIM_ENDS, Means::ClaimEnds),
            (PANICS, Means::Panics),
            (TASK_ENDS, Means::TaskEnds),
            (BEGINS_TRANSACTION, Means::BeginsTransaction),
            (ENDS_TRANSACTION, Means::EndsTransaction),
            (RELEASES, Means::Releases),
            (REJECTS, Means::Rejects),
            (ASKS_ONLY, Means::AsksOnly),
            (LOSES_SIGHT, Means::LosesSight),
            (CALLS_BACK, Means::CallsBack),
            (CLAIM_BEGINS, Means::ClaimBegins),
            (FAILS, Means::Fails),
            (SERVES, Means::Serves),
            (REPORTS_TO, Means::ReportsTo),
        ];
        assert_eq!(numbers.len(), Means::ALL.len());
        for (number, means) in numbers {
            assert_eq!(Means::ALL[usize::from(number) - 1], means);
        }
    }

    #[test]
    fn what_is_no_name_or_no_record_is_a_value() {
        let mut calls = Calls::default();
        for text in [&b"a b"[..], b"\xff\xfe", b"x\0", &[b'x'; 250]] {
            assert_eq!(&*calls.call(&bytes(0, handed(), text)).unwrap().topic, "");
        }
        assert!(calls.call(b"").is_none());
        let whole = bytes(0, handed(), b"orders");
        assert!(calls.call(&whole[..100]).is_none());
        for means in [0, Means::ALL.len() as u8 + 1, 255] {
            let odd = obi_abi::ClientCall { means, ..handed() };
            assert!(calls.call(&bytes(0, odd, b"t")).is_none());
        }
        for n in 0..2 * NAMES {
            calls.call(&bytes(0, handed(), format!("t{n}").as_bytes()));
        }
        assert_eq!(calls.names.len(), NAMES);
    }
}

//! What became of messages: neighbours in a partition, each of which is told by the address that it was handed over with.

use super::*;
use obi_abi::client::ACKNOWLEDGEMENTS;

pub fn acknowledged(object: &[u8]) -> Result<()> {
    let says = |means| ClientShape { means, ..gives() };
    let entry = Some(keeping());
    let acknowledged = Some(says(means::ACKNOWLEDGED));
    let agent = agent_of(object, Function::Outer, entry, acknowledged, false, None)?;
    let topic = Topic::new("orders");
    let mut messages: Vec<Message> = (0..300).map(|n| message(&topic, 0, 10 + n)).collect();
    // Refused: it has no place.
    messages[1].error = 7;
    let pointers: Vec<u64> = messages.iter().map(address).collect();
    let array = pointers.as_ptr() as u64;
    outer(1, array, 3);
    let place = |call: &ClientCall| (call.message, call.first, call.last, call.count, call.flags);
    let seen: Vec<_> = calls(&agent)?.iter().map(|(call, _)| place(call)).collect();
    let expected = [
        (pointers[0], 10, 10, 1, 0),
        (pointers[1], -1, -1, 1, 0),
        (pointers[2], 12, 12, 1, LAST),
    ];
    ensure!(seen == expected, "{seen:x?}");
    outer(1, array, 300);
    let seen = calls(&agent)?;
    ensure!(
        seen.len() == ACKNOWLEDGEMENTS as usize,
        "{} told",
        seen.len()
    );
    let last = seen.last().map(|(call, _)| place(call));
    let end = ACKNOWLEDGEMENTS as usize - 1;
    let expected = (pointers[end], 10 + end as i64, 10 + end as i64, 1);
    let (message, first, offset, count) = expected;
    ensure!(
        last == Some((message, first, offset, count, LAST | TRUNCATED)),
        "{last:x?}"
    );
    Ok(())
}

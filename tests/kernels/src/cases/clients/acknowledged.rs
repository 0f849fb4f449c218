//! What became of messages: neighbours in a partition, each of which is told by the address that it was handed over with.

use super::*;
use obi_abi::client::ACKNOWLEDGEMENTS;
use obi_abi::client::call_flag::NAMED;

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

/// An event: of messages, of reports of what became of some, of something else.
pub fn reports(object: &[u8]) -> Result<()> {
    let says = ClientShape {
        guard: Place::word(base::KEPT, 0),
        expect: 2,
        reports: 1,
        known: 64,
        options: option::QUIET | option::KNOWN_BY_KEPT,
        ..gives()
    };
    let agent = agent_of(
        object,
        Function::Outer,
        Some(keeping()),
        Some(says),
        false,
        None,
    )?;
    let topic = Topic::new("orders");
    let mut messages: Vec<Message> = (0..3).map(|n| message(&topic, 0, 10 + n)).collect();
    for (message, opaque) in messages.iter_mut().zip([0xa, 0, 0xc]) {
        message.private = opaque;
    }
    let pointers: Vec<u64> = messages.iter().map(address).collect();
    for kind in [2u64, 1, 3] {
        let event = [kind];
        outer(event.as_ptr() as u64, pointers.as_ptr() as u64, 3);
        let seen: Vec<_> = calls(&agent)?
            .iter()
            .map(|(call, _)| (call.means, call.message, call.first, call.count, call.flags))
            .collect();
        let of_event = (means::HANDS_OVER, event.as_ptr() as u64, 10, 3, LAST);
        let expected = match kind {
            2 => vec![of_event],
            // One that nobody knows by anything is not told.
            1 => vec![
                (means::ACKNOWLEDGED, 0xa, 10, 1, NAMED),
                (means::ACKNOWLEDGED, 0xc, 12, 1, LAST | NAMED),
            ],
            _ => vec![],
        };
        ensure!(seen == expected, "{kind}: {seen:x?}");
    }
    Ok(())
}

/// The message is known by a word of the stack, also when that is 0.
pub fn numbered(object: &[u8]) -> Result<()> {
    let produces = ClientShape {
        means: means::PRODUCES,
        walk: walk::ONE,
        at: Place::register(SI),
        client: Place::word(base::STACK, 16),
        known: 8,
        options: option::KNOWN_ON_STACK,
        ..members()
    };
    let agent = agent_of(object, Function::Free, Some(produces), None, false, None)?;
    let topic = Topic::new("orders");
    let one = message(&topic, 3, 0);
    for number in [41, 0] {
        hooks::parts([
            address(&one),
            0,
            0,
            0,
            0,
            number,
            0x70,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ]);
        let seen = calls(&agent)?;
        let [(call, name)] = seen.as_slice() else {
            anyhow::bail!("{} records", seen.len())
        };
        let told = (call.message, call.client, call.partition, call.flags);
        ensure!(
            told == (number, 0x70, 3, LAST | NAMED) && name == "orders",
            "{call:?}"
        );
    }
    Ok(())
}

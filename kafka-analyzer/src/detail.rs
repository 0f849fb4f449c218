//! Messages about groups, offsets and transactions to what they say. In: the decoded request, then its answer; out: a [`Detail`].
//!
//! One file an area; a message that says nothing of the kind gives None. Text that clients choose is cut at [`TEXT_MOST`] bytes.

mod describe;
mod groups;
mod heartbeats;
mod offsets;
mod share;
mod transactions;

use std::sync::Arc;

use kafka_wire::api::Message;

use crate::fact::Detail;
use crate::fact::detail::KeyKind;
use crate::names::Names;

/// Longest text taken from a message that is not an identifier.
const TEXT_MOST: usize = 255;

/// What a request says.
pub(crate) fn asked(message: &Message<'_>, names: &mut Names) -> Option<Detail> {
    if let Message::FindCoordinatorRequest(request) = message {
        let kind = match request.key_type {
            0 => KeyKind::Group,
            1 => KeyKind::Transaction,
            2 => KeyKind::Share,
            _ => return None,
        };
        let keys = request.coordinator_keys.iter().map(|key| names.get(key));
        return Some(Detail::Coordinator {
            kind,
            keys: keys.collect(),
        });
    }
    groups::asked(message, names)
        .or_else(|| offsets::asked(message, names))
        .or_else(|| transactions::asked(message, names))
        .or_else(|| heartbeats::asked(message, names))
        .or_else(|| describe::asked(message, names))
        .or_else(|| share::asked(message, names))
}

/// The answer completes it.
pub(crate) fn answered(detail: &mut Detail, message: &Message<'_>, names: &mut Names) {
    groups::answered(detail, message, names);
    offsets::answered(detail, message, names);
    transactions::answered(detail, message, names);
    heartbeats::answered(detail, message, names);
    describe::answered(detail, message, names);
    share::answered(detail, message);
}

/// Free text, cut at a character.
fn text(text: &str, names: &mut Names) -> Arc<str> {
    let ends = text
        .char_indices()
        .map(|(at, character)| at + character.len_utf8());
    let end = ends.take_while(|end| *end <= TEXT_MOST).last().unwrap_or(0);
    names.get(text.get(..end).unwrap_or_default())
}

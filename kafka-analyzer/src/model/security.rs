//! Clients that were refused. In: authentication failures; out: events. Never a byte of a token.

use crate::fact::AuthenticationFailure;
use crate::model::Labels;
use crate::observation::{Event, EventKind};

pub(super) fn event(labels: Labels, failure: &AuthenticationFailure) -> Event {
    let from = failure
        .local
        .map_or_else(|| "an unknown address".to_owned(), |it| it.to_string());
    let by = failure
        .mechanism
        .as_deref()
        .unwrap_or("an unknown mechanism");
    let message = match failure.error {
        Some(error) => format!("a client at {from} did not authenticate by {by}: {error}"),
        None => format!("a client at {from} was disconnected while it authenticated by {by}"),
    };
    Event {
        origin: labels.origin,
        pid: labels.pid,
        cluster: labels.cluster,
        event: EventKind::AuthenticationFailure,
        client_id: labels.client_id,
        group: "".into(),
        transactional_id: "".into(),
        server: labels.server,
        error: failure.error,
        reason: None,
        message,
        span: None,
    }
}

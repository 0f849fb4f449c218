//! Clients that authenticate, again and again, or in vain.

mod conversation;

use conversation::messages::{
    Named, metadata_request, metadata_response, produce_request, produce_response, text,
};
use conversation::transactions::events;
use conversation::*;
use kafka_analyzer::capture::ConnectionId;
use kafka_analyzer::observation::{Event, EventKind, Observation, Origin};
use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::records::Compression;

const REFUSED: i16 = 58;
const UNSUPPORTED: i16 = 33;
const TOKEN: &[u8] = b"\0alice\0hunter2-hunter2";

fn handshake(talk: &mut Talk, version: i16, id: i32, mechanism: &'static str, error: i16) {
    let mut request = SaslHandshakeRequest::default();
    request.mechanism = text(mechanism);
    let mut answer = SaslHandshakeResponse::default();
    answer.error_code = error;
    talk.exchange(17, version, id, &request, &answer);
}

fn token() -> SaslAuthenticateRequest {
    let mut token = SaslAuthenticateRequest::default();
    token.auth_bytes = bytes::Bytes::from_static(TOKEN);
    token
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

fn expected(event: &Event, error: Option<&'static str>, message: &str) -> Event {
    Event {
        origin: Origin {
            connection: ConnectionId(1),
            ..event.origin
        },
        pid: 100,
        cluster: "unknown".into(),
        event: EventKind::AuthenticationFailure,
        client_id: "app".into(),
        group: "".into(),
        transactional_id: "".into(),
        server: BROKER.parse().ok(),
        error,
        reason: None,
        message: message.to_owned(),
        span: None,
    }
}

fn only_event(observations: &[Observation]) -> &Event {
    assert!(!format!("{observations:?}").contains("hunter2"));
    let events = events(observations);
    assert_eq!(events.len(), 1, "{events:?}");
    events[0]
}

#[test]
fn a_password_is_refused() {
    let mut talk = Talk::new(1);
    handshake(&mut talk, 1, 1, "PLAIN", 0);
    let mut answer = SaslAuthenticateResponse::default();
    answer.error_code = REFUSED;
    answer.error_message = Some(text("Authentication failed: hunter2"));
    talk.exchange(36, 2, 2, &token(), &answer);
    talk.close();
    let observations = run(&talk.events);
    let event = only_event(&observations);
    let message =
        "a client at 10.0.0.5:40001 did not authenticate by PLAIN: SASL_AUTHENTICATION_FAILED";
    assert_eq!(
        *event,
        expected(event, Some("SASL_AUTHENTICATION_FAILED"), message)
    );
}

#[test]
fn a_mechanism_is_not_enabled() {
    let mut talk = Talk::new(1);
    handshake(&mut talk, 1, 1, "SCRAM-SHA-256", UNSUPPORTED);
    talk.close();
    let observations = run(&talk.events);
    let event = only_event(&observations);
    let message = "a client at 10.0.0.5:40001 did not authenticate by SCRAM-SHA-256: UNSUPPORTED_SASL_MECHANISM";
    assert_eq!(
        *event,
        expected(event, Some("UNSUPPORTED_SASL_MECHANISM"), message)
    );
}

#[test]
fn a_connection_is_closed_instead_of_an_answer() {
    let mut talk = Talk::new(1);
    handshake(&mut talk, 0, 1, "PLAIN", 0);
    talk.write(framed(TOKEN));
    talk.close();
    let observations = run(&talk.events);
    let event = only_event(&observations);
    let message = "a client at 10.0.0.5:40001 was disconnected while it authenticated by PLAIN";
    assert_eq!(*event, expected(event, None, message));

    let mut talk = Talk::new(1);
    handshake(&mut talk, 1, 1, "PLAIN", 0);
    talk.ask(36, 2, 2, &token());
    talk.close();
    let observations = run(&talk.events);
    let event = only_event(&observations);
    assert_eq!(event.error, Some("CONNECTION_CLOSED"));
}

#[test]
fn who_got_through_did_not_fail() {
    let mut talk = Talk::new(1);
    handshake(&mut talk, 0, 1, "PLAIN", 0);
    talk.write(framed(TOKEN));
    talk.read(framed(b""));
    let mut closed = talk.clone();
    closed.close();
    assert_eq!(events(&run(&closed.events)).len(), 0, "closed after it");
    talk.greet();
    talk.ask(3, 12, 9, &metadata_request());
    talk.close();
    assert_eq!(events(&run(&talk.events)).len(), 0);
}

/// KIP-368: answers to what was sent before come in between.
#[test]
fn authenticating_again_in_mid_stream_disturbs_nothing() {
    let orders = Named::Name("orders");
    let request = |n: i64| {
        produce_request(
            -1,
            &[(orders, &[(0, batch(&records(0, n), Compression::None))])],
        )
    };
    let answer = produce_response(&[(orders, &[(0, 0, 0)])]);
    let mut talk = Talk::new(1);
    talk.greet();
    let mut plain = SaslHandshakeRequest::default();
    plain.mechanism = text("PLAIN");
    for (round, first) in [(0, 10), (1, 20), (2, 30)] {
        let reserved = 0x7fff_fff8 + 2 * round;
        talk.ask(0, 9, first, &request(1));
        talk.ask(0, 9, first + 1, &request(2));
        talk.ask(17, 1, reserved, &plain);
        talk.tell(9, first, &answer);
        talk.tell(9, first + 1, &answer);
        talk.tell(1, reserved, &SaslHandshakeResponse::default());
        talk.ask(36, 2, reserved + 1, &token());
        talk.tell(2, reserved + 1, &SaslAuthenticateResponse::default());
        talk.ask(0, 9, first + 2, &request(4));
        talk.tell(9, first + 2, &answer);
    }
    talk.exchange(3, 12, 40, &metadata_request(), &metadata_response(&[]));
    let observations = run(&talk.events);
    let seen: Vec<_> = exchanges(&observations)
        .iter()
        .map(|exchange| {
            (
                exchange.api.to_string(),
                exchange.correlation_id,
                exchange.error,
            )
        })
        .collect();
    let mut wanted = vec![
        ("ApiVersions".to_owned(), 1, None),
        ("Metadata".to_owned(), 2, None),
    ];
    for (round, first) in [(0, 10), (1, 20), (2, 30)] {
        let reserved = 0x7fff_fff8 + 2 * round;
        wanted.push(("Produce".to_owned(), first, None));
        wanted.push(("Produce".to_owned(), first + 1, None));
        wanted.push(("SaslHandshake".to_owned(), reserved, None));
        wanted.push(("SaslAuthenticate".to_owned(), reserved + 1, None));
        wanted.push(("Produce".to_owned(), first + 2, None));
    }
    wanted.push(("Metadata".to_owned(), 40, None));
    assert_eq!(seen, wanted);
    let records: u64 = produced(&observations).iter().map(|it| it.3).sum();
    assert_eq!(records, 3 * 7);
    assert_eq!(
        (unsupported(&observations), events(&observations)),
        (vec![], vec![])
    );
    assert!(!format!("{observations:?}").contains("hunter2"));
}

#[test]
fn a_second_authentication_that_fails_is_told_with_its_cluster() {
    let mut talk = Talk::new(1);
    handshake(&mut talk, 1, 1, "PLAIN", 0);
    talk.exchange(36, 2, 2, &token(), &SaslAuthenticateResponse::default());
    talk.greet();
    handshake(&mut talk, 1, 0x7fff_fff8, "PLAIN", 0);
    let mut answer = SaslAuthenticateResponse::default();
    answer.error_code = REFUSED;
    talk.exchange(36, 2, 0x7fff_fff9, &token(), &answer);
    let observations = run(&talk.events);
    let event = only_event(&observations);
    assert_eq!(
        (&*event.cluster, event.error),
        (CLUSTER, Some("SASL_AUTHENTICATION_FAILED"))
    );
}

//! One connection. In: its two directions as pieces; out: facts and the verdict what to copy.
//!
//! Holds what both directions share: who the client is, which requests wait for an answer, what each fetch asked for. The written
//! direction is in `requests`, the read one in `answers`, the question whether this is Kafka at all in `classify`.

use std::net::SocketAddr;
use std::sync::Arc;

use kafka_wire::api;
use kafka_wire::body::Limits;

use crate::answers::Answers;
use crate::app::{App, First};
use crate::capture::{ConnectionId, Copy, Direction, Nanos, Pid, Protocol, Source, Verdict};
use crate::classify::Sniffed;
use crate::exchange::{Request, RequestBody};
use crate::fact::{self, Fact, Says};
use crate::fetch_session::FetchSession;
use crate::losses::Losses;
use crate::names::Names;
use crate::observation::Origin;
use crate::passing::Allowance;
use crate::pending::Pending;
use crate::records::{Keeping, Samplers};
use crate::requests::Requests;
use crate::settings::Settings;

/// An answer to these may take as long as a group needs to rebalance (`max.poll.interval.ms`, 5 min by default) and more.
const PATIENT: [i16; 2] = [11, 14];
/// Longest name of a mechanism that is told; Kafka's own have 5 to 13 letters.
const MECHANISM_MOST: usize = 64;
/// Bodies gathered at once in a stage; one is at most 4 MiB.
const GATHERED_MOST: usize = 32 << 20;
const TIMEOUT: Nanos = 300_000_000_000;
const TIMEOUT_PATIENT: Nanos = 1_800_000_000_000;

/// What all connections of a stage share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub settings: Settings,
    pub names: Names,
    /// Bytes of keys, headers and compressed bodies that wait.
    pub kept: usize,
    /// What may be opened as it passes.
    pub allowance: Allowance,
    /// Bytes of answers whose request was not captured yet.
    pub parked: usize,
    /// Requests that wait for an answer, and their partitions.
    pub pending: usize,
    /// Bytes of bodies that are decoded once they are whole.
    pub gathered: usize,
    pub losses: Losses,
}

impl Shared {
    /// A decoder held `before` and now holds `after` bytes. True: that is too much for the stage, and this one must let go.
    pub fn gather(&mut self, before: usize, after: usize) -> bool {
        self.gathered = self.gathered.saturating_sub(before).saturating_add(after);
        let too_much = after > before && self.gathered > GATHERED_MOST;
        self.losses.add("gathered_too_much", u64::from(too_much));
        too_much
    }

    pub fn limits(&self) -> Limits {
        Limits {
            keep: self.settings.keep(),
            ..Limits::default()
        }
    }
}

/// Why nothing more comes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Closed,
    /// Its process ended, or nothing was heard of it for long.
    Abandoned,
}

/// Where a call's results go.
pub(crate) struct Out<'a> {
    pub shared: &'a mut Shared,
    pub facts: &'a mut Vec<Fact>,
    pub verdicts: &'a mut Vec<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Undecided,
    /// The end that writes requests.
    Client,
    /// Another protocol that is read for the trace.
    App,
    /// A broker's end, or not Kafka: nobody reads it.
    Ignored,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub id: ConnectionId,
    pub pid: Pid,
    pub source: Source,
    pub server: Option<SocketAddr>,
    /// This end's address.
    pub local: Option<SocketAddr>,
    pub role: Role,
    pub sniffed: Sniffed,
    /// Until it is known that this is no other protocol.
    pub first: Option<Box<First>>,
    pub app: Option<Box<App>>,
    /// A request only a client would send, or an answer that matched: not a chance likeness.
    pub proven: bool,
    pub client: ClientFacts,
    pub requests: Requests,
    pub answers: Answers,
    pub pending: Pending,
    pub session: FetchSession,
    /// One for each direction, so that their interleaving does not matter.
    pub write_samplers: Samplers,
    pub read_samplers: Samplers,
    pub last_event: Nanos,
}

/// What is known of the client, and whether the model knows it.
#[derive(Debug, Default)]
pub(crate) struct ClientFacts {
    pub client_id: Option<Arc<str>>,
    software: Option<(String, String)>,
    mechanism: Option<String>,
    told: bool,
}

impl Connection {
    pub fn new(id: ConnectionId, pid: Pid, source: Source, settings: &Settings) -> Connection {
        Connection {
            id,
            pid,
            source,
            server: None,
            local: None,
            role: Role::Undecided,
            sniffed: Sniffed::default(),
            first: settings.reads_app().then(Box::default),
            app: None,
            proven: false,
            client: ClientFacts::default(),
            requests: Requests::new(),
            answers: Answers::new(),
            pending: Pending::default(),
            session: FetchSession::default(),
            write_samplers: Samplers::new(settings),
            read_samplers: Samplers::new(settings),
            last_event: 0,
        }
    }

    /// The bodies of record batches are not captured in this direction for now.
    pub fn leaves_bodies(&mut self, direction: Direction) {
        match direction {
            Direction::Write => self.write_samplers.bodies = false,
            Direction::Read => self.read_samplers.bodies = false,
        }
    }

    /// Nobody reads this connection any more.
    pub fn ignore(&mut self, protocol: Protocol, out: &mut Out<'_>) {
        self.drop_state(out.shared);
        self.role = Role::Ignored;
        out.verdicts.push(Verdict {
            connection: self.id,
            protocol,
            copy: Copy::None,
        });
    }

    /// Gives back what it holds.
    pub fn drop_state(&mut self, shared: &mut Shared) {
        (self.first, self.app) = (None, None);
        while let Some(request) = self.pending.pop(shared) {
            shared.kept = shared.kept.saturating_sub(request.held());
        }
        if let Some(request) = std::mem::replace(&mut self.requests, Requests::new())
            .in_progress(&mut self.write_samplers, shared)
        {
            shared.kept = shared.kept.saturating_sub(request.held());
        }
        if let Some(request) = std::mem::replace(&mut self.answers, Answers::new())
            .in_progress(&mut self.read_samplers, shared)
        {
            shared.kept = shared.kept.saturating_sub(request.held());
        }
    }

    pub fn emit(&self, time: Nanos, offset: u64, says: Says, facts: &mut Vec<Fact>) {
        let origin = Origin {
            time,
            connection: self.id,
            offset,
        };
        facts.push(Fact {
            known: time,
            origin,
            pid: self.pid,
            says,
        });
    }

    /// A request was read to its end.
    pub fn requested(&mut self, request: Request, out: &mut Out<'_>) {
        if matches!(request.body, RequestBody::Token) {
            self.push_pending(request, out);
            self.resume(out);
            return;
        }
        if !self.proven && !self.weigh(request.api_key, &request.client_id, out) {
            out.shared.kept = out.shared.kept.saturating_sub(request.held());
            return;
        }
        if self.client.client_id.as_ref() != Some(&request.client_id) {
            self.client.client_id = Some(Arc::clone(&request.client_id));
        }
        if request.expects_answer() {
            self.push_pending(request, out);
            self.resume(out);
            return;
        }
        out.shared.kept = out.shared.kept.saturating_sub(request.held());
        if !self.proven {
            return;
        }
        self.say_unsupported(&request, request.written, out);
        let (ended, offset) = (request.written, request.offset);
        let says = request.unanswered(ended, None, self.server);
        self.emit(ended, offset, says, out.facts);
    }

    fn push_pending(&mut self, request: Request, out: &mut Out<'_>) {
        self.pending.push(request, out.shared);
        while self.pending.is_full(out.shared) {
            if let Some(oldest) = self.pending.pop(out.shared) {
                out.shared.losses.add("pending_table_full", 1);
                self.forget(oldest, out);
            }
        }
    }

    /// No answer will be matched any more, and what became of the request is not known.
    pub fn forget(&mut self, request: Request, out: &mut Out<'_>) {
        out.shared.kept = out.shared.kept.saturating_sub(request.held());
        if !matches!(request.body, RequestBody::Token) && self.proven {
            let (time, api_key, api_version) =
                (request.written, request.api_key, request.api_version);
            let says = Says::Unsupported {
                api_key,
                api_version,
                reason: "unanswered",
            };
            self.emit(time, request.offset, says, out.facts);
        }
    }

    fn say_unsupported(&self, request: &Request, time: Nanos, out: &mut Out<'_>) {
        if let Some(reason) = request.undecodable {
            let (api_key, api_version) = (request.api_key, request.api_version);
            self.emit(
                time,
                request.offset,
                Says::Unsupported {
                    api_key,
                    api_version,
                    reason,
                },
                out.facts,
            );
        }
    }

    /// An exchange ended well: learns who the client is. The model is told before the exchange itself.
    pub fn learn(
        &mut self,
        body: &RequestBody,
        refused: bool,
        time: Nanos,
        offset: u64,
        facts: &mut Vec<Fact>,
    ) {
        let mut news = !self.client.told;
        match body {
            RequestBody::ApiVersions {
                software: Some(software),
                ..
            } if self.client.software.as_ref() != Some(software) => {
                self.client.software = Some(software.clone());
                news = true;
            }
            RequestBody::Handshake(Some(mechanism))
                if !refused && self.client.mechanism.as_ref() != Some(mechanism) =>
            {
                self.client.mechanism = Some(mechanism.clone());
                news = true;
            }
            _ => {}
        }
        if news {
            self.client.told = true;
            self.emit(time, offset, self.client_fact(false), facts);
        }
    }

    /// `mechanism`: the one that was refused, if that is why.
    pub fn authentication_failed(
        &self,
        mechanism: Option<&str>,
        error: Option<&'static str>,
    ) -> Says {
        let mechanism = mechanism.or(self.client.mechanism.as_deref());
        Says::AuthenticationFailed(Box::new(fact::AuthenticationFailure {
            client_id: self.client.client_id.clone().unwrap_or_default(),
            mechanism: mechanism.map(|name| {
                let letters = name.chars().filter(char::is_ascii_graphic);
                letters.take(MECHANISM_MOST).collect::<String>().into()
            }),
            error,
            local: self.local,
            server: self.server,
        }))
    }

    fn client_fact(&self, closed: bool) -> Says {
        Says::Client(fact::Client {
            client_id: self.client.client_id.clone().unwrap_or_default(),
            software: self.client.software.clone(),
            mechanism: self.client.mechanism.clone(),
            server: self.server,
            source: self.source.as_str(),
            closed,
        })
    }

    /// The socket's other end became known.
    pub fn bind(&mut self, peer: Option<SocketAddr>, time: Nanos, facts: &mut Vec<Fact>) {
        if peer.is_some() && self.server != peer {
            self.server = peer;
            if self.client.told {
                self.emit(time, 0, self.client_fact(false), facts);
            }
        }
    }

    /// The connection ended: what waits for an answer will not get one.
    pub fn close(&mut self, ending: Ending, time: Nanos, out: &mut Out<'_>) {
        if self.role == Role::Client && self.proven {
            let answering = std::mem::replace(&mut self.answers, Answers::new())
                .in_progress(&mut self.read_samplers, out.shared);
            let requesting = std::mem::replace(&mut self.requests, Requests::new())
                .in_progress(&mut self.write_samplers, out.shared);
            let mut outstanding: Vec<Request> = answering.into_iter().collect();
            while let Some(request) = self.pending.pop(out.shared) {
                outstanding.push(request);
            }
            outstanding.extend(requesting);
            // Brokers close the connection of a client that they do not believe, those of old without a word.
            if ending == Ending::Closed
                && let Some(unanswered) = outstanding.iter().find(|it| it.is_authentication())
            {
                let error =
                    (unanswered.api_key == api::SASL_AUTHENTICATE).then_some("CONNECTION_CLOSED");
                let failed = self.authentication_failed(None, error);
                self.emit(time, unanswered.offset, failed, out.facts);
            }
            for request in outstanding {
                self.fail(request, time, "CONNECTION_CLOSED", out);
            }
        }
        if ending == Ending::Closed {
            self.close_app(time, out);
        }
        if self.client.told {
            self.emit(time, 0, self.client_fact(true), out.facts);
        }
        self.drop_state(out.shared);
    }

    fn fail(&self, request: Request, time: Nanos, error: &'static str, out: &mut Out<'_>) {
        out.shared.kept = out.shared.kept.saturating_sub(request.held());
        if !matches!(request.body, RequestBody::Token) {
            self.say_unsupported(&request, time, out);
            let offset = request.offset;
            let says = request.unanswered(time, Some(error), self.server);
            self.emit(time, offset, says, out.facts);
        }
    }

    /// Bytes held of its streams, parked ones and those of records aside.
    pub fn held(&self) -> usize {
        let first = self.first.as_ref().map_or(0, |first| first.held());
        self.requests.held() + self.answers.held() + first
    }

    /// When something of this connection has to be given up, at the earliest.
    pub fn deadline(&self) -> Option<Nanos> {
        // Brokers answer in order: what waits behind the first cannot be due before it.
        let pending = self.pending.front().map(due);
        let parked = self.answers.deadline();
        pending.into_iter().chain(parked).min()
    }

    /// Gives up what was due at `deadline`, the earliest that [`Connection::deadline`] tells.
    pub fn expire(&mut self, deadline: Nanos, out: &mut Out<'_>) {
        if self.answers.deadline() == Some(deadline) {
            self.give_up_parked(out);
        } else if let Some(request) = self.pending.pop(out.shared) {
            if self.proven {
                self.fail(request, deadline, "TIMEOUT", out);
            } else {
                self.forget(request, out);
            }
        }
    }
}

/// What a decoder's events are read with; `began` is when the message began.
pub(crate) fn keeping<'a>(
    samplers: &'a mut Samplers,
    began: Nanos,
    shared: &'a mut Shared,
) -> (Keeping<'a>, &'a mut Names) {
    let keeping = Keeping {
        spans: shared.settings.spans,
        samplers,
        time: began,
        kept: &mut shared.kept,
        keep: shared.settings.keep(),
        allowance: &mut shared.allowance,
        losses: &mut shared.losses,
    };
    (keeping, &mut shared.names)
}

fn due(request: &Request) -> Nanos {
    let patience = if PATIENT.contains(&request.api_key) {
        TIMEOUT_PATIENT
    } else {
        TIMEOUT
    };
    request.written.saturating_add(patience)
}

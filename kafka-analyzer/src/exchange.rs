//! A request and its answer. In: body events of both; out: the facts of the exchange.
//!
//! Everything a fact says is taken from the two messages and their own times, so it does not matter which was captured first.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use kafka_wire::Uuid;
use kafka_wire::api::n03_metadata::MetadataResponse;
use kafka_wire::api::{self, Message};
use kafka_wire::body::Event;

use crate::capture::{Nanos, Task};
use crate::detail;
use crate::error::error_name;
use crate::fact::{self, Detail, Says};
use crate::fetch::FetchAnswer;
use crate::fetch_session::{FetchAsked, FetchSession};
use crate::names::Names;
use crate::produce::ProduceRequest;
use crate::records::Keeping;
use crate::share::ShareAnswer;

/// Topics taken from one Metadata answer.
const TOPICS_MOST: usize = 32_768;

/// A request that was seen, wholly or as far as it came.
#[derive(Debug)]
pub(crate) struct Request {
    /// Stream offset of its size word.
    pub offset: u64,
    pub began: Nanos,
    /// The call that wrote its last byte returned.
    pub written: Nanos,
    /// Who wrote its last byte.
    pub task: Option<Task>,
    /// On the wire, size word included.
    pub bytes: u64,
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Arc<str>,
    pub body: RequestBody,
    pub undecodable: Option<&'static str>,
    /// Of its client; whoever answers without error agrees.
    pub cluster: Option<MeantCluster>,
}

/// The cluster that a client means, or a broker belongs to, and the addresses of it that the request names.
#[derive(Debug)]
pub(crate) struct MeantCluster {
    id: Arc<str>,
    brokers: Vec<SocketAddr>,
}

#[derive(Debug)]
pub(crate) enum RequestBody {
    Other,
    Produce(Box<ProduceRequest>),
    /// None: its body could not be read.
    Fetch(Option<FetchAsked>),
    Handshake(Option<String>),
    ApiVersions {
        software: Option<(String, String)>,
    },
    /// An API about groups, offsets or transactions.
    Detail(Box<Detail>),
    /// A SASL token without a Kafka header (after SaslHandshake v0).
    Token,
}

impl RequestBody {
    pub fn new(api_key: i16) -> RequestBody {
        match api_key {
            api::PRODUCE => RequestBody::Produce(Box::default()),
            api::FETCH => RequestBody::Fetch(None),
            api::SASL_HANDSHAKE => RequestBody::Handshake(None),
            api::API_VERSIONS => RequestBody::ApiVersions { software: None },
            _ => RequestBody::Other,
        }
    }
}

impl Request {
    pub fn event(
        &mut self,
        event: Event<'_>,
        names: &mut Names,
        session: &mut FetchSession,
        keeping: &mut Keeping<'_>,
    ) {
        if let Event::Undecodable { reason } = &event {
            self.undecodable = Some(reason);
        }
        if let Event::End { complete: false } = &event {
            self.undecodable = self.undecodable.or(Some("gap"));
        }
        if let Event::Message(message) = &event {
            self.cluster = meant_cluster(message, names);
        }
        match (&mut self.body, &event) {
            (RequestBody::Produce(produce), event) => produce.event(event, names, keeping),
            (RequestBody::Fetch(asked), Event::Message(Message::FetchRequest(request))) => {
                let mut forgot = 0;
                *asked = Some(session.request(request, self.began, names, &mut forgot));
                keeping.losses.add("fetch_session_full", forgot);
            }
            (
                RequestBody::Handshake(mechanism),
                Event::Message(Message::SaslHandshakeRequest(request)),
            ) => {
                *mechanism = Some(request.mechanism.to_owned());
            }
            (
                RequestBody::ApiVersions { software },
                Event::Message(Message::ApiVersionsRequest(request)),
            ) => {
                let named = (
                    request.client_software_name,
                    request.client_software_version,
                );
                if let (Some(name), Some(version)) = named {
                    *software = Some((name.to_owned(), version.to_owned()));
                }
            }
            (body @ RequestBody::Other, Event::Message(message)) => {
                if let Some(detail) = detail::asked(message, names) {
                    *body = RequestBody::Detail(Box::new(detail));
                }
            }
            _ => {}
        }
    }

    /// It carries a SASL token.
    pub fn is_authentication(&self) -> bool {
        self.api_key == api::SASL_AUTHENTICATE || matches!(self.body, RequestBody::Token)
    }

    /// False: the broker sends no answer (Produce with acks=0).
    pub fn expects_answer(&self) -> bool {
        !matches!(&self.body, RequestBody::Produce(produce) if produce.acks == Some(0))
    }

    /// Memory that keys, headers and compressed bodies take.
    pub fn held(&self) -> usize {
        match &self.body {
            RequestBody::Produce(produce) => {
                produce.partitions.iter().map(fact::Partition::held).sum()
            }
            _ => 0,
        }
    }

    /// The fact of an exchange without an answer: acks=0, closed or timed out.
    pub fn unanswered(
        self,
        ended: Nanos,
        error: Option<&'static str>,
        server: Option<SocketAddr>,
    ) -> Says {
        let mut exchange = self.exchange(ended, server);
        exchange.error = error;
        match self.body {
            RequestBody::Produce(mut produce) => {
                if let Some(error) = error {
                    produce.failed(error);
                }
                exchange.produced = produce.partitions;
            }
            RequestBody::Detail(detail) => exchange.detail = Some(detail),
            _ => {}
        }
        Says::Exchange(Box::new(exchange))
    }

    fn exchange(&self, ended: Nanos, server: Option<SocketAddr>) -> fact::Exchange {
        fact::Exchange {
            client_id: Arc::clone(&self.client_id),
            task: self.task,
            api_key: self.api_key,
            api_version: self.api_version,
            correlation_id: self.correlation_id,
            began: self.began,
            ended,
            request_bytes: self.bytes,
            response_bytes: None,
            error: None,
            throttle_ms: None,
            server,
            produced: Vec::new(),
            fetched: Vec::new(),
            replica: false,
            decoded: self.undecodable.is_none(),
            acks_all: matches!(&self.body, RequestBody::Produce(produce) if produce.acks == Some(-1)),
            transactional_id: match &self.body {
                RequestBody::Produce(produce) => produce.transactional_id.clone(),
                _ => None,
            },
            read_committed: false,
            asked: None,
            detail: None,
        }
    }
}

/// An answer while it comes in, with its request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub request: Request,
    /// On the wire, size word included.
    pub bytes: u64,
    fetch: Option<FetchAnswer>,
    share: Option<ShareAnswer>,
    pub error: Option<&'static str>,
    throttle_ms: Option<u32>,
    /// The Produce answer was read.
    acknowledged: bool,
    topics: Vec<(Uuid, Arc<str>)>,
    counts: Vec<(Arc<str>, u32)>,
    cluster: Option<(Arc<str>, Vec<SocketAddr>)>,
    undecodable: Option<&'static str>,
}

/// What a request says of its cluster: a client's first one may (KIP-1242), and those of brokers to their controllers do.
fn meant_cluster(message: &Message<'_>, names: &mut Names) -> Option<MeantCluster> {
    let (id, brokers) = match message {
        Message::ApiVersionsRequest(request) => (request.cluster_id?, Vec::new()),
        Message::FetchRequest(request) => (request.cluster_id?, Vec::new()),
        Message::BrokerRegistrationRequest(request) => {
            let listeners = request.listeners.iter();
            let addresses = listeners.flat_map(|it| addresses(it.host, i32::from(it.port)));
            (request.cluster_id, addresses.collect())
        }
        _ => return None,
    };
    (!id.is_empty()).then(|| MeantCluster {
        id: names.get(id),
        brokers,
    })
}

impl Answer {
    pub fn new(mut request: Request, session: &FetchSession, bytes: u64) -> Answer {
        let fetch = match &mut request.body {
            RequestBody::Fetch(asked) => {
                let asked = asked.take();
                asked.map(|asked| FetchAnswer::new(asked, session))
            }
            _ => None,
        };
        let share = (request.api_key == api::SHARE_FETCH).then(ShareAnswer::default);
        Answer {
            request,
            bytes,
            fetch,
            share,
            error: None,
            throttle_ms: None,
            acknowledged: false,
            topics: Vec::new(),
            counts: Vec::new(),
            cluster: None,
            undecodable: None,
        }
    }

    pub fn event(&mut self, event: Event<'_>, names: &mut Names, keeping: &mut Keeping<'_>) {
        match &event {
            Event::Undecodable { reason } => self.undecodable = Some(reason),
            Event::End { complete: false } => self.undecodable = self.undecodable.or(Some("gap")),
            Event::Message(message) => self.message(message, names, keeping),
            _ => {}
        }
        if let Some(fetch) = &mut self.fetch {
            fetch.event(&event, names, keeping);
        }
        if let Some(share) = &mut self.share {
            share.event(&event, names, keeping);
        }
    }

    fn message(&mut self, message: &Message<'_>, names: &mut Names, keeping: &mut Keeping<'_>) {
        // A large Metadata answer comes as several messages: the first has the throttle time, any may have an error.
        self.error = self
            .error
            .or_else(|| message.first_error().and_then(error_name));
        self.throttle_ms = self.throttle_ms.or_else(|| {
            message
                .throttle_time_ms()
                .and_then(|ms| u32::try_from(ms).ok())
        });
        match (message, &mut self.request.body) {
            (Message::ProduceResponse(answer), RequestBody::Produce(produce)) => {
                let held = |produce: &ProduceRequest| {
                    produce
                        .partitions
                        .iter()
                        .map(fact::Partition::held)
                        .sum::<usize>()
                };
                let before = held(produce);
                keeping
                    .losses
                    .add("partition_not_answered", produce.answered(answer, names));
                *keeping.kept = keeping
                    .kept
                    .saturating_sub(before.saturating_sub(held(produce)));
                self.acknowledged = true;
            }
            (Message::MetadataResponse(answer), _) => self.metadata(answer, names, keeping),
            (message, RequestBody::Detail(detail)) => detail::answered(detail, message, names),
            _ => {}
        }
    }

    fn metadata(
        &mut self,
        answer: &MetadataResponse<'_>,
        names: &mut Names,
        keeping: &mut Keeping<'_>,
    ) {
        for topic in &answer.topics {
            let Some(name) = topic.name.filter(|_| topic.error_code == 0) else {
                continue;
            };
            if self.counts.len() >= TOPICS_MOST {
                keeping.losses.add("topic_table_full", 1);
                continue;
            }
            let name = names.get(name);
            if topic.topic_id != Uuid::ZERO {
                self.topics.push((topic.topic_id, Arc::clone(&name)));
            }
            let count = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
            self.counts.push((name, count));
        }
        if let Some(id) = answer.cluster_id.filter(|id| !id.is_empty()) {
            let brokers = answer
                .brokers
                .iter()
                .flat_map(|broker| addresses(broker.host, broker.port))
                .collect();
            self.cluster = Some((names.get(id), brokers));
        }
    }

    /// What stays accounted in `Keeping::kept` of the answer itself is given back by the caller ([`Says::held`]).
    pub fn finish(
        mut self,
        ended: Nanos,
        server: Option<SocketAddr>,
        session: &mut FetchSession,
        keeping: &mut Keeping<'_>,
    ) -> Vec<Says> {
        let mut says = Vec::new();
        let mut exchange = self.request.exchange(ended, server);
        let undecodable = self.request.undecodable.or(self.undecodable);
        exchange.decoded = undecodable.is_none();
        exchange.response_bytes = Some(self.bytes);
        exchange.error = self.error;
        exchange.throttle_ms = self.throttle_ms;
        if let Some(fetch) = self.fetch.take() {
            exchange.error = exchange.error.or(fetch.error);
            exchange.throttle_ms = fetch.throttle_ms.and_then(|ms| u32::try_from(ms).ok());
            let asked;
            (exchange.fetched, asked) = fetch.finish(session, keeping);
            (exchange.replica, exchange.read_committed) = (asked.replica, asked.read_committed);
            exchange.asked = asked.share.then_some(asked.offsets);
        }
        if let Some(share) = self.share.take() {
            exchange.error = exchange.error.or(share.error);
            exchange.throttle_ms = share.throttle_ms.and_then(|ms| u32::try_from(ms).ok());
            let acknowledged = match &mut self.request.body {
                RequestBody::Detail(detail) => match &mut **detail {
                    Detail::Share { acknowledged, .. } => Some(acknowledged),
                    _ => None,
                },
                _ => None,
            };
            exchange.fetched = share.finish(acknowledged, keeping);
        }
        let claimed = self.request.cluster.filter(|_| exchange.error.is_none());
        match self.request.body {
            // Without the answer nobody knows what became of the records.
            RequestBody::Produce(produce) if self.acknowledged => {
                exchange.produced = produce.partitions
            }
            RequestBody::Produce(produce) => {
                let held: usize = produce.partitions.iter().map(fact::Partition::held).sum();
                *keeping.kept = keeping.kept.saturating_sub(held);
            }
            RequestBody::Detail(detail) => exchange.detail = Some(detail),
            _ => {}
        }
        if !self.topics.is_empty() {
            says.push(Says::Topics(std::mem::take(&mut self.topics)));
        }
        let claimed = claimed.map(|meant| (meant.id, meant.brokers));
        if let Some((id, brokers)) = self.cluster.take().or(claimed) {
            says.push(Says::Cluster {
                id,
                client_id: Arc::clone(&exchange.client_id),
                server,
                brokers,
            });
        }
        // After the cluster, which is told by the same answer.
        if !self.counts.is_empty() {
            says.push(Says::PartitionCounts {
                client_id: Arc::clone(&exchange.client_id),
                server,
                topics: std::mem::take(&mut self.counts),
            });
        }
        if let Some(reason) = undecodable {
            says.push(Says::Unsupported {
                api_key: exchange.api_key,
                api_version: exchange.api_version,
                reason,
            });
        }
        says.push(Says::Exchange(Box::new(exchange)));
        says
    }

    /// The connection ended inside the answer.
    pub fn give_up(mut self, keeping: &mut Keeping<'_>) -> Request {
        if let Some(fetch) = self.fetch.take() {
            fetch.give_up(keeping);
        }
        if let Some(share) = self.share.take() {
            share.give_up(keeping);
        }
        self.request
    }
}

/// Socket addresses that a listed broker surely has. Host names are not looked up.
fn addresses(host: &str, port: i32) -> Vec<SocketAddr> {
    let Ok(port) = u16::try_from(port) else {
        return Vec::new();
    };
    let address = |ip: IpAddr| SocketAddr::new(ip, port);
    match host.parse::<IpAddr>() {
        Ok(ip) => vec![address(ip)],
        Err(_) if host.eq_ignore_ascii_case("localhost") => {
            vec![
                address(IpAddr::from([127, 0, 0, 1])),
                address(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])),
            ]
        }
        Err(_) => Vec::new(),
    }
}

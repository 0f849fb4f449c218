//! A connection of another protocol: HTTP that is served, PostgreSQL that is asked. In: its pieces from the first on; out: facts, and the verdict
//! that nothing is to be copied any more.
//!
//! Until a connection is known, its first bytes are held, a few kilobytes at most; if they do not suffice, its parser begins in the middle.
//! One whose first bytes were no beginning (a session that was joined while it logged in, or within an answer) is heard on for as long as it
//! may be Kafka's: that a server of PostgreSQL is ready, and is then asked, shows at any place.

use app_wire::{Event, Kind, Losses, Stamp, classify, http1, http2, postgres};
use kafka_wire::Segment;

use crate::capture::{Copy, Direction, Nanos, Protocol, Source, Task, Verdict};
use crate::classify::is_http;
use crate::connection::{Connection, Out, Role};
use crate::fact::{Begun, Queried, Says, Served};
use crate::reassembly::{OwnedPiece, Piece};

/// Bytes of each direction by which a protocol is told.
const FIRST: usize = 512;
/// Bytes held of a connection that is not known yet, and their pieces.
const HELD_MOST: usize = 2048;
const PIECES_MOST: usize = 16;

/// The first bytes of a connection that may be of another protocol.
#[derive(Debug, Default)]
pub(crate) struct First {
    read: Prefix,
    written: Prefix,
    held: Vec<(Direction, OwnedPiece)>,
    bytes: usize,
    /// Some of it was let go.
    cut: bool,
    /// The beginning told nothing: waits for a query.
    joins: Option<Box<postgres::Client>>,
}

#[derive(Debug, Default)]
struct Prefix {
    bytes: Vec<u8>,
    ended: bool,
}

impl Prefix {
    fn add(&mut self, segment: Segment<'_>) {
        match segment {
            Segment::Bytes(bytes) if !self.ended => {
                let room = FIRST.saturating_sub(self.bytes.len());
                self.bytes.extend(bytes.iter().take(room));
                self.ended = self.bytes.len() >= FIRST;
            }
            _ => self.ended = true,
        }
    }
}

impl First {
    pub fn held(&self) -> usize {
        self.bytes + self.read.bytes.len() + self.written.bytes.len()
    }

    fn add(&mut self, direction: Direction, segment: Segment<'_>) -> Kind {
        match direction {
            Direction::Read => self.read.add(segment),
            Direction::Write => self.written.add(segment),
        }
        match classify(&self.read.bytes, &self.written.bytes) {
            Kind::NeedMore if self.read.ended && self.written.ended => Kind::Unknown,
            kind => kind,
        }
    }

    fn hold(&mut self, direction: Direction, piece: Piece<'_>) {
        let length = usize::try_from(piece.len()).unwrap_or(usize::MAX);
        let room = length <= HELD_MOST.saturating_sub(self.bytes);
        if self.cut || !room || self.held.len() >= PIECES_MOST {
            (self.held, self.bytes, self.cut) = (Vec::new(), 0, true);
            return;
        }
        self.bytes += length;
        let last = self.held.last_mut().filter(|(last, _)| *last == direction);
        if !last.is_some_and(|(_, held)| held.join(piece)) {
            self.held.push((direction, OwnedPiece::from(piece)));
        }
    }

    /// The beginning told nothing: what was held of it may end with the server's word that it is ready.
    fn hear_on(&mut self) {
        let mut client = postgres::Client::joined();
        for (direction, held) in &self.held {
            feed(&mut client, *direction, held.piece());
        }
        *self = First {
            joins: Some(Box::new(client)),
            ..First::default()
        };
    }

    /// The session, once a statement began.
    fn join(&mut self, direction: Direction, piece: Piece<'_>) -> Option<Parser> {
        let mut client = self.joins.take()?;
        feed(&mut client, direction, piece);
        if client.reads() {
            return Some(Parser::Postgres(*client));
        }
        self.joins = Some(client);
        None
    }

    /// `now`: where the piece that decided it goes.
    fn parser(&self, kind: Kind, now: Direction) -> Option<Parser> {
        let first = self.held.first().map_or(now, |(direction, _)| *direction);
        Some(match kind {
            Kind::Http1Server if first == Direction::Read && !self.cut => {
                Parser::Http1(http1::Server::default())
            }
            Kind::Http1Server => Parser::Http1(http1::Server::joined()),
            Kind::Http2Server => Parser::Http2(http2::Server::default()),
            // A session begins with a message without a type, of less than 16 MiB.
            Kind::PostgresClient if self.written.bytes.first() == Some(&0) && !self.cut => {
                Parser::Postgres(postgres::Client::default())
            }
            Kind::PostgresClient => Parser::Postgres(postgres::Client::joined()),
            Kind::Unknown | Kind::NeedMore => return None,
        })
    }
}

/// A conversation that is read.
#[derive(Debug)]
pub(crate) struct App {
    parser: Parser,
    queries: u64,
    /// The goroutine that read last: HTTP/1 is served by one for each connection, also where it is not known who read.
    reader: Option<u64>,
}

#[derive(Debug)]
enum Parser {
    Http1(http1::Server),
    Http2(http2::Server),
    Postgres(postgres::Client),
}

impl App {
    /// net/http waits for the next request with a goroutine of its own, which takes one byte and leaves the request to the one that serves the connection.
    fn read_by<'a>(&mut self, direction: Direction, piece: Piece<'a>) -> Piece<'a> {
        if direction != Direction::Read || !matches!(self.parser, Parser::Http1(_)) {
            return piece;
        }
        if let Some(Task::Goroutine(id)) = piece.task {
            self.reader = Some(id);
        }
        Piece {
            task: self.reader.map(Task::Goroutine).or(piece.task),
            ..piece
        }
    }
}

impl Parser {
    fn feed(&mut self, direction: Direction, piece: Piece<'_>, events: &mut Vec<Event>) {
        let stamp = stamp(&piece);
        let bytes = bytes(&piece);
        match (self, direction) {
            (Parser::Http1(server), Direction::Read) => server.read(bytes, stamp, events),
            (Parser::Http1(server), Direction::Write) => server.written(bytes, stamp, events),
            (Parser::Http2(server), Direction::Read) => server.read(bytes, stamp, events),
            (Parser::Http2(server), Direction::Write) => server.written(bytes, stamp, events),
            (Parser::Postgres(client), Direction::Read) => client.read(bytes, stamp, events),
            (Parser::Postgres(client), Direction::Write) => client.written(bytes, stamp),
        }
    }

    fn closed(&mut self, events: &mut Vec<Event>) {
        match self {
            Parser::Http1(server) => server.closed(events),
            Parser::Http2(server) => server.closed(events),
            Parser::Postgres(client) => client.closed(),
        }
    }

    fn is_done(&self) -> bool {
        match self {
            Parser::Http1(server) => server.left().is_some(),
            Parser::Http2(server) => server.left().is_some(),
            Parser::Postgres(client) => client.left().is_some(),
        }
    }

    /// Bodies of HTTP/1 follow the head that begins a call. Frames and messages begin anywhere, and each is found by the one before.
    fn copy(&self) -> Copy {
        match self {
            Parser::Http1(_) => Copy::Heads,
            Parser::Http2(_) | Parser::Postgres(_) => Copy::Whole,
        }
    }

    fn losses(&mut self) -> Losses {
        std::mem::take(match self {
            Parser::Http1(server) => server.losses(),
            Parser::Http2(server) => server.losses(),
            Parser::Postgres(client) => client.losses(),
        })
    }

    fn database(&self) -> Option<&str> {
        match self {
            Parser::Postgres(client) => client.database(),
            _ => None,
        }
    }
}

/// Nothing comes of it before a statement is read.
fn feed(client: &mut postgres::Client, direction: Direction, piece: Piece<'_>) {
    let stamp = stamp(&piece);
    let bytes = bytes(&piece);
    match direction {
        Direction::Read => client.read(bytes, stamp, &mut Vec::new()),
        Direction::Write => client.written(bytes, stamp),
    }
}

fn bytes<'a>(piece: &Piece<'a>) -> app_wire::Piece<'a> {
    match piece.segment {
        Segment::Bytes(bytes) => app_wire::Piece::Bytes(bytes),
        Segment::Elided(n) => app_wire::Piece::Gap(n),
    }
}

fn stamp(piece: &Piece<'_>) -> Stamp {
    let (tid, task) = match piece.task {
        Some(Task::Thread(tid)) => (tid, 0),
        Some(Task::Goroutine(id)) => (0, id),
        None => (0, 0),
    };
    Stamp {
        began: piece.began,
        ended: piece.ended,
        tid,
        task,
    }
}

/// Who made the call of a stamp of ours.
fn task(stamp: Stamp) -> Option<Task> {
    match (stamp.tid, stamp.task) {
        (0, 0) => None,
        (tid, 0) => Some(Task::Thread(tid)),
        (_, id) => Some(Task::Goroutine(id)),
    }
}

impl Connection {
    /// One more piece of a connection that may be of another protocol. True: it is.
    pub fn recognise(&mut self, direction: Direction, piece: Piece<'_>, out: &mut Out<'_>) -> bool {
        let Some(first) = &mut self.first else {
            return false;
        };
        if first.joins.is_some() {
            let parser = first.join(direction, piece);
            return parser.is_some_and(|parser| self.follow(parser, out));
        }
        let kind = first.add(direction, piece.segment);
        if kind == Kind::NeedMore {
            first.hold(direction, piece);
            return false;
        }
        let Some(parser) = first.parser(kind, direction) else {
            if is_http(&first.read.bytes) {
                self.ignore(Protocol::Unknown, out);
                return false;
            }
            first.hear_on();
            let parser = first.join(direction, piece);
            return parser.is_some_and(|parser| self.follow(parser, out));
        };
        let held = std::mem::take(&mut first.held);
        self.follow(parser, out);
        for (direction, held) in &held {
            self.converse(*direction, held.piece(), out);
        }
        self.converse(direction, piece, out);
        true
    }

    fn follow(&mut self, parser: Parser, out: &mut Out<'_>) -> bool {
        self.first = None;
        let copy = parser.copy();
        self.role = Role::App;
        self.app = Some(Box::new(App {
            parser,
            queries: 0,
            reader: None,
        }));
        out.verdicts.push(Verdict {
            connection: self.id,
            protocol: Protocol::App,
            copy,
        });
        true
    }

    /// The next piece of a conversation.
    pub fn converse(&mut self, direction: Direction, piece: Piece<'_>, out: &mut Out<'_>) {
        let ended = piece.ended;
        let Some(app) = &mut self.app else {
            return;
        };
        let mut events = Vec::new();
        let piece = app.read_by(direction, piece);
        app.parser.feed(direction, piece, &mut events);
        self.say_app(events, ended, out);
        if self.app.as_ref().is_some_and(|app| app.parser.is_done()) {
            self.ignore(Protocol::Unknown, out);
        }
    }

    /// Both directions are at their end.
    pub fn close_app(&mut self, time: Nanos, out: &mut Out<'_>) {
        if let Some(app) = &mut self.app {
            let mut events = Vec::new();
            app.parser.closed(&mut events);
            self.say_app(events, time, out);
        }
    }

    /// `now`: of the piece that showed it. Facts are numbered where others have an offset: how a stream was cut must not show.
    fn say_app(&mut self, events: Vec<Event>, now: Nanos, out: &mut Out<'_>) {
        let Some(app) = &mut self.app else {
            return;
        };
        count(app.parser.losses(), out);
        let mut queries = app.queries;
        let database = app.parser.database().map(Into::into);
        let encrypted = self.source != Source::Socket;
        let (local, peer) = (self.local, self.server);
        for event in events {
            let (time, number, says) = match event {
                Event::Begun(request) => {
                    let task = task(request.head.last);
                    let (time, number) = (request.head.last.ended, request.number);
                    let begun = Begun { request, task };
                    (time, number, Says::Begun(Box::new(begun)))
                }
                Event::Served(call) => {
                    let time = call.answered.map_or(now, |answered| answered.last.ended);
                    let served = Served {
                        task: task(call.request.head.last),
                        ended: if call.fault.is_some() { now } else { time },
                        call,
                        encrypted,
                        local,
                        peer,
                    };
                    let number = served.call.request.number;
                    (served.ended, number, Says::Served(Box::new(served)))
                }
                Event::Queried(call) => {
                    let queried = Queried {
                        task: task(call.asked.first),
                        call,
                        database: Clone::clone(&database),
                        server: peer,
                    };
                    queries += 1;
                    let time = queried.call.answered.last.ended;
                    (time, queries, Says::Queried(Box::new(queried)))
                }
            };
            self.emit(time, number, says, out.facts);
        }
        if let Some(app) = &mut self.app {
            app.queries = queries;
        }
    }
}

fn count(losses: Losses, out: &mut Out<'_>) {
    for (reason, n) in [
        ("app_gap", losses.gaps),
        ("app_oversized", losses.oversized),
        ("app_malformed", losses.malformed),
        ("app_unpaired", losses.unpaired),
        ("app_unanswered", losses.unanswered),
        ("app_unknown_statement", losses.unknown_statements),
    ] {
        out.shared.losses.add(reason, n);
    }
}

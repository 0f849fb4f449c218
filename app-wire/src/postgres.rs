//! PostgreSQL at the asking end (protocol 3.0 and 3.2; PostgreSQL 18, chapter 54): libpq, pgx, lib/pq, JDBC. In: what the client wrote and
//! read. Out: one [`DbCall`] for each simple query and each Execute, and for a Parse that is refused.
//!
//! What the client asks waits in a queue, which the answers shorten in order, so that pipelines and batches come out right. After a gap over a
//! message's head nothing is known until the server says ReadyForQuery as its last word and the client then begins a call with a query: a
//! client that keeps asking without waiting is not understood until it waits.

mod message;
mod statement;
mod statements;
mod verb;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::head::{number, text};
use crate::{DbCall, Event, Extent, Left, Losses, Piece, Stamp};
use message::{Fail, Message, Messages, STARTUP, Side, plausible};
use statement::Statement;
use statements::Statements;

/// Longest name (NAMEDATALEN of most builds).
const NAME: usize = 63;
/// Messages that a client may send ahead of their answers.
const AHEAD: usize = 4096;

/// Request codes of startup packets (54.2.10 and after, 54.7 StartupMessage).
const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSSENC: u32 = 80_877_104;

#[derive(Debug)]
pub struct Client {
    state: State,
    writing: Messages,
    reading: Messages,
    /// SSLRequest or GSSENCRequest: one byte answers it.
    encryption_asked: bool,
    /// The session's first ReadyForQuery, which answers no query, was read.
    ready: bool,
    asked: VecDeque<Asked>,
    /// The server refused something and skips what comes before the next Sync.
    skipping: bool,
    /// The first message written since the last Execute.
    began: Option<Stamp>,
    statements: Statements,
    database: Option<String>,
    last_written: Stamp,
    losses: Losses,
}

#[derive(Debug)]
enum State {
    Live,
    /// The last bytes that were read.
    Lost {
        tail: Vec<u8>,
    },
    Left(Left),
}

/// What the client asked and the server has not answered to the end.
#[derive(Debug)]
struct Asked {
    kind: Ask,
    statement: Option<Arc<Statement>>,
    asked: Extent,
    answered: Option<Extent>,
    rows: Option<u64>,
    results: u32,
    sqlstate: Option<String>,
    verb: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Parse,
    Execute,
    Query,
    Function,
    Sync,
    /// CopyDone or CopyFail.
    CopyEnd,
}

impl Default for Client {
    fn default() -> Client {
        Client {
            state: State::Live,
            writing: Messages::new(Side::Frontend, true),
            reading: Messages::new(Side::Backend, false),
            encryption_asked: false,
            ready: false,
            asked: VecDeque::new(),
            skipping: false,
            began: None,
            statements: Statements::default(),
            database: None,
            last_written: Stamp::default(),
            losses: Losses::default(),
        }
    }
}

impl Client {
    /// A session whose beginning was not seen: begins with a query after the next ReadyForQuery.
    pub fn joined() -> Client {
        Client {
            state: State::Lost { tail: Vec::new() },
            ..Client::default()
        }
    }

    /// What the client wrote: statements.
    pub fn written(&mut self, piece: Piece, stamp: Stamp) {
        let begins_call = stamp != self.last_written;
        self.last_written = stamp;
        if let (State::Lost { tail }, true, Piece::Bytes(bytes)) = (&self.state, begins_call, piece)
            && says_ready(tail)
            && begins_query(bytes) == Some(true)
        {
            self.restart();
        }
        let mut piece = piece;
        while matches!(self.state, State::Live) {
            match self.writing.next(&mut piece, stamp) {
                Ok(Some(message)) => self.frontend(&message),
                Ok(None) => return,
                Err(fail) => return self.fail(fail),
            }
        }
    }

    /// What the client read: results.
    pub fn read(&mut self, piece: Piece, stamp: Stamp, out: &mut Vec<Event>) {
        if let State::Lost { tail } = &mut self.state {
            return follow(tail, piece);
        }
        let mut piece = piece;
        while matches!(self.state, State::Live) {
            if self.encryption_asked {
                match piece {
                    Piece::Bytes([answer, rest @ ..]) => {
                        self.encryption_asked = false;
                        match answer {
                            b'N' => piece = Piece::Bytes(rest),
                            b'S' | b'G' => return self.leave(Left::Encrypted),
                            _ => return self.fail(Fail::Malformed),
                        }
                    }
                    Piece::Bytes([]) | Piece::Gap(0) => return,
                    Piece::Gap(_) => return self.fail(Fail::Gap),
                }
            }
            match self.reading.next(&mut piece, stamp) {
                Ok(Some(message)) => {
                    if let Err(fail) = self.backend(&message, out) {
                        return self.fail(fail);
                    }
                }
                Ok(None) => return,
                Err(fail) => return self.fail(fail),
            }
        }
    }

    /// Both directions are at their end: what was asked stays unanswered.
    pub fn closed(&mut self) {
        self.leave(Left::Finished);
    }

    /// The session's database, if its first message was seen.
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// Its messages are read: it was not joined in the middle, or the next query was found.
    pub fn reads(&self) -> bool {
        matches!(self.state, State::Live)
    }

    /// Why there is no more to learn from this connection.
    pub fn left(&self) -> Option<Left> {
        match self.state {
            State::Left(left) => Some(left),
            _ => None,
        }
    }

    pub fn losses(&mut self) -> &mut Losses {
        &mut self.losses
    }

    fn frontend(&mut self, message: &Message) {
        let first = message.extent.first;
        match message.kind {
            STARTUP => self.startup(message),
            b'Q' => {
                let text = message.bytes();
                let text = text.strip_suffix(b"\0").unwrap_or(text);
                let statement = Arc::new(Statement::of(text, !message.cut));
                self.began = None;
                self.ask(Ask::Query, Some(statement), message.extent);
            }
            b'P' => {
                self.began.get_or_insert(first);
                let mut strings = message.bytes().split(|b| *b == 0);
                let name = strings.next().unwrap_or_default();
                let text = strings.next().unwrap_or_default();
                let statement = Arc::new(Statement::of(text, !message.cut));
                self.statements.prepare(name, statement.clone());
                self.ask(Ask::Parse, Some(statement), message.extent);
            }
            b'B' => {
                self.began.get_or_insert(first);
                let mut strings = message.bytes().split(|b| *b == 0);
                let portal = strings.next().unwrap_or_default();
                match strings.next() {
                    Some(name) if !message.cut => self.statements.bind(portal, name),
                    _ => self.statements.bind(portal, b"\0"),
                }
            }
            b'E' => {
                let portal = message.bytes();
                let portal = portal.strip_suffix(b"\0").unwrap_or(portal);
                let statement = self.statements.portal(portal);
                let asked = Extent {
                    first: self.began.take().unwrap_or(first),
                    last: message.extent.last,
                };
                self.ask(Ask::Execute, statement, asked);
            }
            b'C' => {
                let what = message.bytes();
                self.statements
                    .close(what.strip_suffix(b"\0").unwrap_or(what));
            }
            b'S' => {
                self.began = None;
                self.skipping = false;
                self.ask(Ask::Sync, None, message.extent);
            }
            b'F' => self.ask(Ask::Function, None, message.extent),
            b'c' | b'f' if !self.asked.is_empty() => self.ask(Ask::CopyEnd, None, message.extent),
            b'X' => self.leave(Left::Finished),
            _ => {}
        }
    }

    fn startup(&mut self, message: &Message) {
        let (code, parameters) = message
            .bytes()
            .split_first_chunk()
            .unwrap_or((&[0; 4], &[]));
        match u32::from_be_bytes(*code) {
            SSL | GSSENC => self.encryption_asked = true,
            CANCEL => self.leave(Left::Finished),
            version if version >> 16 == 3 => {
                self.writing.untyped = false;
                if !message.cut {
                    self.database = database(parameters);
                }
            }
            _ => self.fail(Fail::Malformed),
        }
    }

    fn ask(&mut self, kind: Ask, statement: Option<Arc<Statement>>, asked: Extent) {
        if self.skipping {
            return;
        }
        if self.asked.len() >= AHEAD {
            self.losses.oversized += 1;
            return self.lose();
        }
        self.asked.push_back(Asked {
            kind,
            statement,
            asked,
            answered: None,
            rows: None,
            results: 0,
            sqlstate: None,
            verb: None,
        });
    }

    fn backend(&mut self, message: &Message, out: &mut Vec<Event>) -> Result<(), Fail> {
        // Notices, notifications and parameters come at any time (54.2.7); authentication comes before anything is asked.
        if matches!(message.kind, b'N' | b'A' | b'S' | b'R' | b'K' | b'v') {
            return Ok(());
        }
        if message.cut && matches!(message.kind, b'C' | b'E' | b'Z') {
            return Err(Fail::Gap);
        }
        if message.kind == b'Z' {
            return self.ready(out);
        }
        let kind = self.asked.front().map(|front| front.kind);
        if let Some(front) = self.asked.front_mut() {
            let extent = message.extent;
            front.answered.get_or_insert(extent).last = extent.last;
        }
        match (message.kind, kind) {
            (b'1', Some(Ask::Parse)) => self.pop(),
            (b'C' | b'I' | b's', Some(Ask::Query | Ask::Execute)) => self.result(message, out),
            (b'1' | b'C' | b'I' | b's', _) => return Err(Fail::Malformed),
            (b'E', _) => self.refused(message, out),
            // In the extended protocol the server skips the Sync that was sent along with the Execute (54.2.6).
            (b'G', Some(Ask::Execute)) => {
                let end = self.asked.iter().position(|ask| ask.kind == Ask::CopyEnd);
                let mut at = 0;
                self.asked.retain(|ask| {
                    let skipped = ask.kind == Ask::Sync && end.is_none_or(|end| at < end);
                    at += 1;
                    !skipped
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn result(&mut self, message: &Message, out: &mut Vec<Event>) {
        let Some(front) = self.asked.front_mut() else {
            return;
        };
        if message.kind != b'I' {
            front.results += 1;
        }
        if message.kind == b'C' {
            // `INSERT 0 5`, `SELECT 3`, `CREATE TABLE`.
            let tag = message.bytes();
            let mut words = tag.strip_suffix(b"\0").unwrap_or(tag).split(|b| *b == b' ');
            let verb = words.next().unwrap_or_default();
            if front.verb.is_none() && verb.iter().all(u8::is_ascii_uppercase) {
                front.verb = String::from_utf8(verb.to_vec()).ok();
            }
            if let Some(rows) = words.next_back().and_then(number) {
                front.rows = Some(front.rows.unwrap_or(0) + u64::from(rows));
            }
        }
        if front.kind == Ask::Execute {
            self.emit(out);
        }
    }

    /// ErrorResponse: the rest up to the next Sync is skipped (54.2.3).
    fn refused(&mut self, message: &Message, out: &mut Vec<Event>) {
        let code = message
            .bytes()
            .split(|b| *b == 0)
            .find_map(|field| field.strip_prefix(b"C"))
            .and_then(|code| String::from_utf8(code.to_vec()).ok());
        let Some(front) = self.asked.front_mut() else {
            return;
        };
        front.sqlstate = code;
        let ask = front.kind;
        match ask {
            Ask::Query | Ask::Function => return,
            Ask::Parse | Ask::Execute => self.emit_refused(out),
            Ask::Sync | Ask::CopyEnd => {}
        }
        while let Some(front) = self.asked.front()
            && front.kind != Ask::Sync
        {
            self.asked.pop_front();
        }
        self.skipping = self.asked.is_empty();
    }

    /// A refused Parse whose statement was to be executed at once is that Execute.
    fn emit_refused(&mut self, out: &mut Vec<Event>) {
        if let [first, second, ..] = self.asked.make_contiguous()
            && first.kind == Ask::Parse
            && second.kind == Ask::Execute
            && let (Some(parsed), Some(executed)) = (&first.statement, &second.statement)
            && Arc::ptr_eq(parsed, executed)
        {
            first.asked = second.asked;
        }
        self.emit(out);
    }

    fn ready(&mut self, out: &mut Vec<Event>) -> Result<(), Fail> {
        if !self.ready {
            self.ready = true;
            return Ok(());
        }
        while let Some(front) = self.asked.front() {
            match front.kind {
                Ask::Query => {
                    self.emit(out);
                    return Ok(());
                }
                Ask::Sync | Ask::Function => {
                    self.pop();
                    return Ok(());
                }
                Ask::Execute => {
                    self.losses.unanswered += 1;
                    self.asked.pop_front();
                }
                Ask::Parse | Ask::CopyEnd => {
                    self.asked.pop_front();
                }
            }
        }
        // It answers nothing that we saw.
        Err(Fail::Malformed)
    }

    fn emit(&mut self, out: &mut Vec<Event>) {
        let Some(front) = self.asked.front() else {
            return;
        };
        if front.statement.is_none() {
            self.losses.unknown_statements += 1;
        }
        let said = front.statement.as_deref();
        let operation = said.and_then(|said| said.operation.clone());
        out.push(Event::Queried(DbCall {
            statement: said.map(|said| said.text.clone()),
            operation: operation.or_else(|| front.verb.clone()),
            collection: said.and_then(|said| said.collection.clone()),
            sqlstate: front.sqlstate.clone(),
            rows: front.rows,
            results: front.results,
            asked: front.asked,
            answered: front.answered.unwrap_or_default(),
        }));
        self.pop();
    }

    fn pop(&mut self) {
        self.asked.pop_front();
        while let Some(front) = self.asked.front()
            && front.kind == Ask::CopyEnd
        {
            self.asked.pop_front();
        }
    }

    fn fail(&mut self, fail: Fail) {
        match fail {
            Fail::Gap => self.losses.gaps += 1,
            Fail::Malformed => {
                self.losses.malformed += 1;
                // Not even a session began.
                if !self.ready {
                    return self.leave(Left::Foreign);
                }
            }
        }
        self.lose();
    }

    fn lose(&mut self) {
        self.forget();
        self.state = State::Lost { tail: Vec::new() };
    }

    fn leave(&mut self, left: Left) {
        self.forget();
        self.statements = Statements::default();
        self.state = State::Left(left);
    }

    /// What is open is given up; statements keep their names.
    fn forget(&mut self) {
        let calls = self.asked.iter();
        let calls = calls.filter(|ask| matches!(ask.kind, Ask::Query | Ask::Execute));
        self.losses.unanswered += calls.count() as u64;
        self.asked = VecDeque::new();
        self.encryption_asked = false;
        self.skipping = false;
        self.began = None;
    }

    fn restart(&mut self) {
        self.state = State::Live;
        self.writing = Messages::new(Side::Frontend, false);
        self.reading = Messages::new(Side::Backend, false);
        self.ready = true;
    }
}

/// Of a startup packet; without one, the server takes the user's name.
fn database(parameters: &[u8]) -> Option<String> {
    let strings: Vec<&[u8]> = parameters.split(|b| *b == 0).collect();
    let value = |wanted: &[u8]| {
        let mut pairs = strings.chunks_exact(2);
        pairs.find_map(|pair| match pair {
            [name, value] if *name == wanted => Some(*value),
            _ => None,
        })
    };
    let name = value(b"database").or_else(|| value(b"user"))?;
    Some(text(name, NAME)).filter(|name| !name.is_empty())
}

const READY: usize = 6;

/// Keeps the last bytes of what is read, across pieces.
fn follow(tail: &mut Vec<u8>, piece: Piece) {
    match piece {
        Piece::Gap(0) => {}
        Piece::Gap(_) => tail.clear(),
        Piece::Bytes(bytes) => {
            let last = bytes.len().saturating_sub(READY);
            tail.extend_from_slice(bytes.get(last..).unwrap_or_default());
            tail.drain(..tail.len().saturating_sub(READY));
        }
    }
}

fn says_ready(tail: &[u8]) -> bool {
    matches!(tail, [b'Z', 0, 0, 0, 5, b'I' | b'T' | b'E'])
}

/// Does a call begin here with Query, Parse or Bind? `None`: too short to tell.
fn begins_query(bytes: &[u8]) -> Option<bool> {
    let (kind, rest) = bytes.split_first()?;
    if !b"QPB".contains(kind) {
        return Some(false);
    }
    let (len, body) = rest.split_first_chunk()?;
    let len = u32::from_be_bytes(*len);
    let texts = |body: &[u8]| {
        body.iter()
            .all(|b| *b >= b' ' || matches!(b, 0 | 9 | 10 | 13))
    };
    // A Bind's parameters may be anything.
    let text = *kind == b'B' || texts(body.get(..body.len().min(16)).unwrap_or_default());
    Some(plausible(Side::Frontend, *kind, len) && len > 5 && text)
}

/// Is a client of PostgreSQL at this end? From the connection's beginning, or joined in the middle. `None`: it may be.
pub fn is_client(read: &[u8], written: &[u8]) -> Option<bool> {
    let Some((len, rest)) = written.split_first_chunk() else {
        return if written
            .first()
            .is_none_or(|b| *b == 0 || b"QPB".contains(b))
        {
            None
        } else {
            Some(false)
        };
    };
    if plausible(Side::Frontend, STARTUP, u32::from_be_bytes(*len)) {
        let (code, parameters) = rest.split_first_chunk()?;
        return match u32::from_be_bytes(*code) {
            SSL | GSSENC | CANCEL => Some(true),
            // Kafka's Metadata request, version 0, begins alike: it goes on with a number, this with a parameter's name.
            code if code >> 16 == 3 => parameters.first().map(u8::is_ascii_lowercase),
            _ => Some(false),
        };
    }
    if begins_query(written) == Some(false) {
        return Some(false);
    }
    let (len, _) = read.get(1..)?.split_first_chunk()?;
    let kind = read.first().copied().unwrap_or_default();
    let answers = b"12TCEINnst".contains(&kind);
    Some(answers && plausible(Side::Backend, kind, u32::from_be_bytes(*len)))
}

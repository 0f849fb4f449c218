//! A session with PostgreSQL, as bytes.

use super::Talk;

/// A message with its type.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[kind], &length[..], body].concat()
}

fn startup() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0shop\0database\0orders\0application_name\0app\0\0";
    [&(body.len() as u32 + 4).to_be_bytes()[..], body].concat()
}

pub fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

/// A session up to its first ReadyForQuery.
pub fn session(connection: u64) -> Talk {
    let mut talk = Talk::new(connection);
    talk.write(startup());
    talk.read([message(b'R', &[0; 4]), ready()].concat());
    talk
}

pub fn insert(talk: &mut Talk) {
    talk.write(message(b'Q', b"INSERT INTO orders VALUES (7, 'secret')\0"));
    talk.read([message(b'C', b"INSERT 0 1\0"), ready()].concat());
}

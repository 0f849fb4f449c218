//! Request and response headers. In: the bytes after a size word, perhaps only the first of them; out: the header, or how many bytes are missing.
//!
//! Requests describe themselves (key and version). A response carries only the correlation id: which request it answers, and so
//! whether its header is flexible, is known by the caller. Also here: is this the start of a request at all (for streams joined mid-way).

use crate::api;
use crate::reader::{Read, Reader, Stop};

/// Size words above this are not Kafka's: brokers refuse requests over `socket.request.max.bytes` (100 MiB by default).
pub const MAX_FRAME: u32 = 100 << 20;
/// Tag buffers of headers above this are refused; no version defines a header tag yet.
const MAX_TAGS: usize = 4096;

/// Answer of a parser that may be given only the start of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parse<T> {
    /// The value, and how many bytes it took.
    Done(T, usize),
    /// At least this many bytes, counted from the start of the input, are needed.
    Need(usize),
    Bad(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    /// None: null on the wire, or ControlledShutdown v0, which has none.
    pub client_id: Option<&'a str>,
}

impl<'a> RequestHeader<'a> {
    /// Parses the header of a frame of `size` bytes (its size word); `bytes` begins after the size word. The body of a request of an
    /// unknown key or version begins at an unknown place: there the taken bytes end with the client id.
    pub fn parse(size: u32, bytes: &'a [u8]) -> Parse<RequestHeader<'a>> {
        within(size, bytes, request_header)
    }
}

fn request_header<'a>(reader: &mut Reader<'a>) -> Read<RequestHeader<'a>> {
    let (api_key, api_version, correlation_id) = (reader.i16()?, reader.i16()?, reader.i32()?);
    let mut header = RequestHeader {
        api_key,
        api_version,
        correlation_id,
        client_id: None,
    };
    if (api_key, api_version) != (api::CONTROLLED_SHUTDOWN, 0) {
        // Old-style also in flexible versions, so that any broker can read it.
        header.client_id = reader.nullable_string()?;
    }
    if api::is_flexible(api_key, api_version) {
        skip_tags(reader)?;
    }
    Ok(header)
}

/// Parses the header of a response of `size` bytes to a request of this key and version: its correlation id.
pub fn parse_response(size: u32, bytes: &[u8], api_key: i16, api_version: i16) -> Parse<i32> {
    within(size, bytes, |reader| {
        let correlation_id = reader.i32()?;
        if response_header_is_flexible(api_key, api_version) {
            skip_tags(reader)?;
        }
        Ok(correlation_id)
    })
}

/// True where the response header has a tag buffer. ApiVersions never has one: its client does not know the broker's versions yet.
pub fn response_header_is_flexible(api_key: i16, api_version: i16) -> bool {
    api_key != api::API_VERSIONS && api::is_flexible(api_key, api_version)
}

fn within<'a, T>(
    size: u32,
    bytes: &'a [u8],
    parse: impl FnOnce(&mut Reader<'a>) -> Read<T>,
) -> Parse<T> {
    let size = size as usize;
    let mut reader = Reader::new(bytes.get(..size).unwrap_or(bytes), false);
    match parse(&mut reader) {
        Ok(value) => Parse::Done(value, reader.position()),
        Err(Stop::Need(n)) if n > size => Parse::Bad("truncated"),
        Err(Stop::Need(n)) => Parse::Need(n),
        Err(Stop::Bad(reason)) => Parse::Bad(reason),
    }
}

fn skip_tags(reader: &mut Reader<'_>) -> Read<()> {
    let start = reader.position();
    for _ in 0..reader.uvarint()? {
        reader.uvarint()?;
        let size = reader.uvarint()? as usize;
        if reader.position() - start + size > MAX_TAGS {
            return Err(Stop::Bad("header_tags"));
        }
        reader.take(size)?;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plausible {
    Yes,
    No,
    NeedMore,
}

/// Could a request begin here, at its size word? For streams that are joined mid-way: known key, a version that is known or at most two
/// newer, a size that holds at least a header and at most 100 MiB, a client id of printable characters that fits the frame.
pub fn plausible_request(bytes: &[u8]) -> Plausible {
    match plausible(&mut Reader::new(bytes, false)) {
        Ok(true) => Plausible::Yes,
        Err(Stop::Need(_)) => Plausible::NeedMore,
        Ok(false) | Err(Stop::Bad(_)) => Plausible::No,
    }
}

const MIN_HEADER: u32 = 10;
const NEWER_VERSIONS: i16 = 2;
const LONGEST_CLIENT_ID: i16 = 1024;

fn plausible(reader: &mut Reader<'_>) -> Read<bool> {
    let size = reader.u32()?;
    if !(MIN_HEADER..=MAX_FRAME).contains(&size) {
        return Ok(false);
    }
    let Some(api) = api::find(reader.i16()?) else {
        return Ok(false);
    };
    let version = reader.i16()?;
    if version < 0 || version > api.max_version.saturating_add(NEWER_VERSIONS) {
        return Ok(false);
    }
    reader.i32()?;
    let client_id = reader.i16()?;
    if client_id == -1 {
        return Ok(true);
    }
    if !(0..=LONGEST_CLIENT_ID).contains(&client_id) || client_id as u32 > size - MIN_HEADER {
        return Ok(false);
    }
    let known = reader
        .rest()
        .get(..client_id as usize)
        .unwrap_or(reader.rest());
    if known.iter().any(|byte| byte.is_ascii_control()) {
        return Ok(false);
    }
    let text = std::str::from_utf8(reader.take(client_id as usize)?);
    Ok(text.is_ok())
}

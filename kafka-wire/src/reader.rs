//! A checked cursor over bytes from the wire. In: a slice; out: Kafka's primitive types, or why not.
//!
//! The same cursor serves whole messages and the streaming decoders: when bytes are missing it says how many would be needed, so
//! that a caller with more to come can wait for exactly that many. It never reads past its slice, allocates or panics.

use crate::{TopicRef, Uuid};

/// Why a read stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The slice ends too early; at least this many bytes, counted from its start, are needed.
    Need(usize),
    /// No continuation can make sense of it.
    Bad(&'static str),
}

impl Stop {
    /// The reason when no more bytes will come.
    pub fn reason(self) -> &'static str {
        match self {
            Stop::Need(_) => "truncated",
            Stop::Bad(reason) => reason,
        }
    }
}

pub type Read<T> = Result<T, Stop>;

/// See the module.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    flexible: bool,
    longest: usize,
    room: usize,
}

impl<'a> Reader<'a> {
    /// `flexible` chooses compact strings and arrays, and tag buffers (KIP-482).
    pub fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Reader {
            bytes,
            at: 0,
            flexible,
            longest: usize::MAX,
            room: usize::MAX,
        }
    }

    /// Refuses strings and byte fields above `bytes` instead of waiting for them.
    pub fn with_longest(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// Refuses arrays that take more than `bytes` of memory in all: an element of two bytes may become one of fifty.
    pub fn with_room(mut self, bytes: usize) -> Self {
        self.room = bytes;
        self
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub fn is_flexible(&self) -> bool {
        self.flexible
    }

    /// The next `n` bytes.
    #[inline]
    pub fn take(&mut self, n: usize) -> Read<&'a [u8]> {
        let end = self.at.checked_add(n).ok_or(Stop::Bad("length"))?;
        let taken = self.bytes.get(self.at..end).ok_or(Stop::Need(end))?;
        self.at = end;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let end = self.at + N;
        let array = self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.first_chunk::<N>())
            .ok_or(Stop::Need(end))?;
        self.at = end;
        Ok(*array)
    }

    #[inline]
    pub fn i8(&mut self) -> Read<i8> {
        self.array().map(i8::from_be_bytes)
    }

    #[inline]
    pub fn i16(&mut self) -> Read<i16> {
        self.array().map(i16::from_be_bytes)
    }

    #[inline]
    pub fn i32(&mut self) -> Read<i32> {
        self.array().map(i32::from_be_bytes)
    }

    #[inline]
    pub fn u32(&mut self) -> Read<u32> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub fn i64(&mut self) -> Read<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub fn bool(&mut self) -> Read<bool> {
        self.i8().map(|byte| byte != 0)
    }

    pub fn uuid(&mut self) -> Read<Uuid> {
        self.array().map(Uuid)
    }

    /// A varint of one or two bytes, as nearly all are.
    #[inline]
    fn short_varint(&mut self) -> Option<u32> {
        match *self.rest() {
            [one, ..] if one < 0x80 => {
                self.at += 1;
                Some(u32::from(one))
            }
            [one, two, ..] if two < 0x80 => {
                self.at += 2;
                Some(u32::from(one & 0x7f) | u32::from(two) << 7)
            }
            _ => None,
        }
    }

    /// An unsigned varint of at most 5 bytes and 32 bits.
    #[inline]
    pub fn uvarint(&mut self) -> Read<u32> {
        match self.short_varint() {
            Some(value) => Ok(value),
            None => self.long_uvarint(),
        }
    }

    fn long_uvarint(&mut self) -> Read<u32> {
        let mut value = 0u64;
        for i in 0..5 {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                return u32::try_from(value).map_err(|_| Stop::Bad("varint"));
            }
        }
        Err(Stop::Bad("varint"))
    }

    /// A zigzag varint of at most 5 bytes.
    #[inline]
    pub fn varint(&mut self) -> Read<i32> {
        self.uvarint().map(|n| (n >> 1) as i32 ^ -((n & 1) as i32))
    }

    /// A zigzag varint of at most 10 bytes.
    #[inline]
    pub fn varlong(&mut self) -> Read<i64> {
        match self.short_varint() {
            Some(n) => Ok(i64::from(n >> 1) ^ -i64::from(n & 1)),
            None => self.long_varlong(),
        }
    }

    fn long_varlong(&mut self) -> Read<i64> {
        let mut value = 0u64;
        for i in 0..10 {
            let [byte] = self.array()?;
            if i == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(Stop::Bad("varint"))
    }

    /// A length that may be null: i16 or uvarint(n + 1) for strings.
    fn string_length(&mut self) -> Read<Option<usize>> {
        let length = if self.flexible {
            i64::from(self.uvarint()?) - 1
        } else {
            i64::from(self.i16()?)
        };
        self.checked_length(length)
    }

    /// A length that may be null: i32 or uvarint(n + 1), of a byte field, a record set or an array.
    pub fn length(&mut self) -> Read<Option<usize>> {
        let length = if self.flexible {
            i64::from(self.uvarint()?) - 1
        } else {
            i64::from(self.i32()?)
        };
        self.checked_length(length)
    }

    fn checked_length(&self, length: i64) -> Read<Option<usize>> {
        match length {
            -1 => Ok(None),
            n => usize::try_from(n)
                .map(Some)
                .map_err(|_| Stop::Bad("length")),
        }
    }

    pub fn nullable_string(&mut self) -> Read<Option<&'a str>> {
        let Some(length) = self.string_length()? else {
            return Ok(None);
        };
        if length > self.longest {
            return Err(Stop::Bad("string_too_long"));
        }
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes)
            .map(Some)
            .map_err(|_| Stop::Bad("utf8"))
    }

    pub fn string(&mut self) -> Read<&'a str> {
        self.nullable_string()?.ok_or(Stop::Bad("null_string"))
    }

    /// A nullable string of which nothing but its length is told. For what applications write: not every client sees to it that it is UTF-8.
    pub fn skip_string(&mut self) -> Read<Option<usize>> {
        let Some(length) = self.string_length()? else {
            return Ok(None);
        };
        if length > self.longest {
            return Err(Stop::Bad("string_too_long"));
        }
        self.take(length)?;
        Ok(Some(length))
    }

    /// A nullable byte field; the bytes are stepped over and only their number is returned.
    pub fn skip_bytes(&mut self) -> Read<Option<usize>> {
        let Some(length) = self.length()? else {
            return Ok(None);
        };
        self.take(length)?;
        Ok(Some(length))
    }

    /// A byte field; null is empty.
    pub fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = self.length()?.unwrap_or(0);
        if length > self.longest {
            return Err(Stop::Bad("bytes_too_long"));
        }
        self.take(length)
    }

    /// A topic: its id in versions that have ids, else its name.
    pub fn topic(&mut self, ids: bool) -> Read<TopicRef<'a>> {
        if ids {
            self.uuid().map(TopicRef::Id)
        } else {
            self.string().map(TopicRef::Name)
        }
    }

    /// Reads an array, each element with `element`; null is None. Every element must take at least a byte: the array grows with the bytes at
    /// hand, never by the count.
    pub fn nullable_array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Read<T>,
    ) -> Read<Option<Vec<T>>> {
        let Some(count) = self.length()? else {
            return Ok(None);
        };
        let mut elements = Vec::new();
        for _ in 0..count {
            let read = element(self)?;
            let room = self.room.checked_sub(size_of::<T>());
            self.room = room.ok_or(Stop::Bad("too_large"))?;
            elements.push(read);
        }
        Ok(Some(elements))
    }

    /// Like [`Reader::nullable_array`]; null is empty.
    pub fn elements<T>(&mut self, element: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        self.nullable_array(element).map(Option::unwrap_or_default)
    }

    /// A struct that may be null: a byte below 0 for null, else the struct follows.
    pub fn nullable_struct<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Read<T>,
    ) -> Read<Option<T>> {
        if self.i8()? < 0 {
            return Ok(None);
        }
        read(self).map(Some)
    }

    /// Steps over an array of elements of `size` bytes each; returns their number (null: 0).
    pub fn skip_array(&mut self, size: usize) -> Read<usize> {
        let count = self.length()?.unwrap_or(0);
        self.take(count.checked_mul(size).ok_or(Stop::Bad("length"))?)?;
        Ok(count)
    }

    /// Steps over a tag buffer, if the version has them.
    pub fn tags(&mut self) -> Read<()> {
        self.tags_with(|_, _| Ok(()))
    }

    /// Reads a tag buffer, if the version has them; `field` is given each tag with a cursor over exactly its bytes.
    pub fn tags_with(
        &mut self,
        mut field: impl FnMut(u32, &mut Reader<'a>) -> Read<()>,
    ) -> Read<()> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.uvarint()? {
            let tag = self.uvarint()?;
            let size = self.uvarint()? as usize;
            let bytes = self.take(size)?;
            let mut inner = Reader::new(bytes, true).with_longest(self.longest);
            field(tag, &mut inner).map_err(|stop| Stop::Bad(stop.reason()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_5_bytes_and_32_bits_at_most() {
        for (bytes, expected) in [
            (&[0][..], Ok(0)),
            (&[0x7f], Ok(127)),
            (&[0x80, 0x01], Ok(128)),
            (&[0xff, 0xff, 0xff, 0xff, 0x0f], Ok(u32::MAX)),
            (&[0xff, 0xff, 0xff, 0xff, 0x1f], Err(Stop::Bad("varint"))),
            (
                &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
                Err(Stop::Bad("varint")),
            ),
            (&[], Err(Stop::Need(1))),
            (&[0x80, 0x80], Err(Stop::Need(3))),
        ] {
            assert_eq!(
                Reader::new(bytes, false).uvarint(),
                expected,
                "{bytes:02x?}"
            );
        }
        for (bytes, expected) in [
            (&[1][..], -1),
            (&[2], 1),
            (&[0xff, 0xff, 0xff, 0xff, 0x0f], i32::MIN),
        ] {
            assert_eq!(Reader::new(bytes, false).varint(), Ok(expected));
        }
    }

    #[test]
    fn varlongs_have_10_bytes_and_64_bits_at_most() {
        let mut longest = [0xff; 10];
        longest[9] = 1;
        assert_eq!(Reader::new(&longest, false).varlong(), Ok(i64::MIN));
        longest[9] = 2;
        assert_eq!(
            Reader::new(&longest, false).varlong(),
            Err(Stop::Bad("varint"))
        );
        assert_eq!(
            Reader::new(&[0xff; 11], false).varlong(),
            Err(Stop::Bad("varint"))
        );
        assert_eq!(Reader::new(&[0x01], false).varlong(), Ok(-1));
        assert_eq!(Reader::new(&[0xff; 4], false).varlong(), Err(Stop::Need(5)));
    }

    #[test]
    fn lengths_below_null_are_bad() {
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff], false).length(),
            Ok(None)
        );
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xfe], false).length(),
            Err(Stop::Bad("length"))
        );
        assert_eq!(Reader::new(&[0], true).length(), Ok(None));
        assert_eq!(Reader::new(&[1], true).length(), Ok(Some(0)));
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f], true).length(),
            Ok(Some(u32::MAX as usize - 1))
        );
    }

    #[test]
    fn strings_say_how_many_bytes_they_need() {
        assert_eq!(
            Reader::new(b"\x00\x03ab", false).string(),
            Err(Stop::Need(5))
        );
        assert_eq!(Reader::new(b"\x00\x02ab", false).string(), Ok("ab"));
        assert_eq!(Reader::new(b"\x03ab", true).string(), Ok("ab"));
        assert_eq!(
            Reader::new(b"\xff\xff", false).string(),
            Err(Stop::Bad("null_string"))
        );
        assert_eq!(
            Reader::new(b"\x00\x01\xff", false).string(),
            Err(Stop::Bad("utf8"))
        );
        assert_eq!(
            Reader::new(b"\x00\x09", false).with_longest(8).string(),
            Err(Stop::Bad("string_too_long"))
        );
    }

    #[test]
    fn strings_that_are_stepped_over_need_not_be_text() {
        let reader = |bytes| Reader::new(bytes, false).with_longest(8);
        assert_eq!(reader(b"\x00\x02\xff\xfe").skip_string(), Ok(Some(2)));
        assert_eq!(reader(b"\xff\xff").skip_string(), Ok(None));
        assert_eq!(reader(b"\x00\x02\xff").skip_string(), Err(Stop::Need(4)));
        let long = reader(b"\x00\x09").skip_string();
        assert_eq!(long, Err(Stop::Bad("string_too_long")));
    }

    #[test]
    fn a_string_that_is_stepped_over_need_not_be_text() {
        let mut reader = Reader::new(b"\x00\x02\xff\xfe\xff\xff\x00\x01", false);
        assert_eq!(reader.skip_string(), Ok(Some(2)));
        assert_eq!(reader.skip_string(), Ok(None));
        assert_eq!(reader.skip_string(), Err(Stop::Need(9)));
    }

    #[test]
    fn byte_fields_are_borrowed_and_null_is_empty() {
        for (bytes, flexible, expected) in [
            (&b"\x00\x00\x00\x02abc"[..], false, Ok(&b"ab"[..])),
            (b"\x03abc", true, Ok(b"ab")),
            (b"\xff\xff\xff\xff", false, Ok(b"")),
            (b"\x00", true, Ok(b"")),
            (b"\x04ab", true, Err(Stop::Need(4))),
            (b"\x0aab", true, Err(Stop::Bad("bytes_too_long"))),
        ] {
            let mut reader = Reader::new(bytes, flexible).with_longest(8);
            assert_eq!(reader.bytes(), expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn a_tag_cannot_read_past_its_size() {
        let tags = [1, 0, 2, 0xaa, 0xbb, 0xcc];
        let mut reader = Reader::new(&tags, true);
        assert_eq!(
            reader.tags_with(|_, field| field.i32().map(|_| ())),
            Err(Stop::Bad("truncated"))
        );
        let mut reader = Reader::new(&tags, true);
        assert_eq!(reader.tags(), Ok(()));
        assert_eq!(reader.rest(), [0xcc]);
        let mut plain = Reader::new(&tags, false);
        assert_eq!((plain.tags(), plain.position()), (Ok(()), 0));
    }
}

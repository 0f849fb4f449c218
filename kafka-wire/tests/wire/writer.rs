//! Writes Kafka's primitive types. In: values; out: bytes, in the flexible or the old form.

#[derive(Clone, Debug, Default)]
pub struct Writer {
    pub out: Vec<u8>,
    pub flexible: bool,
}

impl Writer {
    pub fn new(flexible: bool) -> Writer {
        Writer {
            out: Vec::new(),
            flexible,
        }
    }

    pub fn i8(&mut self, n: i8) -> &mut Self {
        self.raw(&n.to_be_bytes())
    }
    pub fn i16(&mut self, n: i16) -> &mut Self {
        self.raw(&n.to_be_bytes())
    }
    pub fn i32(&mut self, n: i32) -> &mut Self {
        self.raw(&n.to_be_bytes())
    }
    pub fn i64(&mut self, n: i64) -> &mut Self {
        self.raw(&n.to_be_bytes())
    }
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    pub fn uvarint(&mut self, mut n: u64) -> &mut Self {
        while n >= 0x80 {
            self.out.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.out.push(n as u8);
        self
    }

    pub fn varint(&mut self, n: i64) -> &mut Self {
        self.uvarint((n << 1) as u64 ^ (n >> 63) as u64)
    }

    pub fn string(&mut self, text: Option<&str>) -> &mut Self {
        match (self.flexible, text) {
            (true, None) => self.uvarint(0),
            (true, Some(text)) => self.uvarint(text.len() as u64 + 1),
            (false, None) => self.i16(-1),
            (false, Some(text)) => self.i16(text.len() as i16),
        };
        self.raw(text.unwrap_or_default().as_bytes())
    }

    /// Length of an array, byte field or record set.
    pub fn length(&mut self, length: Option<usize>) -> &mut Self {
        match (self.flexible, length) {
            (true, None) => self.uvarint(0),
            (true, Some(n)) => self.uvarint(n as u64 + 1),
            (false, None) => self.i32(-1),
            (false, Some(n)) => self.i32(n as i32),
        }
    }

    /// A tag buffer, if flexible.
    pub fn tags(&mut self, fields: &[(u32, Vec<u8>)]) -> &mut Self {
        if self.flexible {
            self.uvarint(fields.len() as u64);
            for (tag, bytes) in fields {
                self.uvarint(u64::from(*tag))
                    .uvarint(bytes.len() as u64)
                    .raw(bytes);
            }
        }
        self
    }
}

//! A secret in the middle of a body that is kept: its bytes are erased, what is around it and its length stay.
//!
//! The answer to SaslAuthenticate. Versions 0 and 1: error int16, message nullable string, token bytes (int32 length), from v1 lifetime int64.
//! Version 2 has compact lengths (KIP-482). And PushTelemetry, version 0 (KIP-714): instance id uuid, subscription int32, terminating bool,
//! compression int8, metrics compact bytes.

use super::{Fate, Runs};

/// What stands before the metrics.
const TELEMETRY_HEAD: u64 = 22;

/// Where in the body the next byte is.
#[derive(Debug)]
pub struct Token {
    flexible: bool,
    at: At,
    number: u64,
    digits: u32,
}

#[derive(Debug)]
enum At {
    Error,
    MessageLength,
    /// Of PushTelemetry its head.
    Message(u64),
    TokenLength,
    Token(u64),
    Rest,
}

impl Token {
    pub fn of_authentication(version: i16) -> Token {
        Token {
            flexible: version >= 2,
            at: At::Error,
            number: 0,
            digits: 0,
        }
    }

    pub fn of_telemetry() -> Token {
        Token {
            flexible: true,
            at: At::Message(TELEMETRY_HEAD),
            number: 0,
            digits: 0,
        }
    }

    pub fn bytes(&mut self, bytes: &[u8], runs: &mut Runs) {
        for byte in bytes {
            self.byte(*byte, runs);
        }
    }

    fn byte(&mut self, byte: u8, runs: &mut Runs) {
        let erase = matches!(self.at, At::Token(_));
        match &mut self.at {
            At::Error => {
                self.digits += 1;
                if self.digits == 2 {
                    self.expect(At::MessageLength);
                }
            }
            At::MessageLength => {
                if let Some(n) = self.length(byte, 2) {
                    self.expect(if n > 0 {
                        At::Message(n)
                    } else {
                        At::TokenLength
                    });
                }
            }
            At::Message(1) => self.expect(At::TokenLength),
            At::TokenLength => {
                if let Some(n) = self.length(byte, 4) {
                    self.expect(if n > 0 { At::Token(n) } else { At::Rest });
                }
            }
            At::Token(1) => self.at = At::Rest,
            At::Message(n) | At::Token(n) => *n -= 1,
            At::Rest => {}
        }
        runs.push(if erase { Fate::Erase } else { Fate::Keep }, 1);
    }

    fn expect(&mut self, at: At) {
        (self.at, self.number, self.digits) = (at, 0, 0);
    }

    /// A length once its last byte came; null is 0.
    fn length(&mut self, byte: u8, width: u32) -> Option<u64> {
        if self.flexible {
            self.number |= u64::from(byte & 0x7f) << (7 * self.digits).min(56);
            self.digits += 1;
            return (byte & 0x80 == 0 || self.digits >= 5).then(|| self.number.saturating_sub(1));
        }
        self.number = self.number << 8 | u64::from(byte);
        self.digits += 1;
        let negative = 1u64 << (8 * width - 1);
        (self.digits == width).then_some(if self.number & negative != 0 {
            0
        } else {
            self.number
        })
    }
}

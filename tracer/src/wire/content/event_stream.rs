//! The messages of AWS event streams (`application/vnd.amazon.eventstream`): a prelude of 12 bytes with the lengths of the
//! whole message and of its headers, headers, a payload of JSON, and a checksum of 4 bytes.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Part;

const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: u64 = 4;

/// Messages are of 16 MiB at most (AWS's own limit): what is longer is none.
const MESSAGE_BYTES: u64 = 16 << 20;

/// How the payload of Bedrock's `invoke` begins that wraps a text of JSON in Base64.
const WRAPPED: &[u8] = b"{\"bytes\":\"";

/// Reads one message after the other.
#[derive(Debug, Default)]
pub struct Messages {
    prelude: Vec<u8>,
    /// Bytes of the message that is open: of its headers, its payload and its checksum.
    headers_left: u64,
    payload_left: u64,
    checksum_left: u64,
    wrapping: Wrapping,
    /// It is none, or a part was missing.
    is_lost: bool,
}

#[derive(Debug)]
enum Wrapping {
    /// So many bytes are as those of a wrapped payload.
    Beginning(usize),
    None,
    /// Characters that do not make whole bytes yet.
    Base64(Vec<u8>),
    /// What comes belongs to the wrapping.
    Over,
}

impl Default for Wrapping {
    fn default() -> Self {
        Wrapping::Beginning(0)
    }
}

impl Messages {
    /// A part is missing, and with it where messages begin.
    pub fn lose(&mut self) {
        self.is_lost = true;
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Part<'_>)) {
        while !bytes.is_empty() && !self.is_lost {
            bytes = if self.headers_left > 0 {
                let (_, rest) = split(bytes, &mut self.headers_left);
                rest
            } else if self.payload_left > 0 {
                let (payload, rest) = split(bytes, &mut self.payload_left);
                self.unwrap(payload, &mut each);
                rest
            } else if self.checksum_left > 0 {
                let (_, rest) = split(bytes, &mut self.checksum_left);
                rest
            } else {
                let (first, rest) = bytes.split_at(1);
                self.prelude.extend(first);
                if self.prelude.len() == PRELUDE_BYTES {
                    self.begin();
                    each(Part::Begin);
                }
                rest
            };
        }
    }

    fn begin(&mut self) {
        let word = |at: usize| {
            let bytes = self.prelude.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, |bytes| u64::from(u32::from_be_bytes(bytes)))
        };
        let (all, headers) = (word(0), word(4));
        let rest = all.checked_sub(PRELUDE_BYTES as u64 + CHECKSUM_BYTES);
        match rest.and_then(|rest| rest.checked_sub(headers)).filter(|_| all <= MESSAGE_BYTES) {
            Some(payload) => {
                self.headers_left = headers;
                self.payload_left = payload;
                self.checksum_left = CHECKSUM_BYTES;
                self.wrapping = Wrapping::default();
                self.prelude.clear();
            }
            None => self.is_lost = true,
        }
    }

    fn unwrap(&mut self, mut payload: &[u8], each: &mut impl FnMut(Part<'_>)) {
        if let Wrapping::Beginning(matched) = &mut self.wrapping {
            let same =
                WRAPPED[*matched..].iter().zip(payload).take_while(|(wanted, byte)| wanted == byte).count();
            let before = *matched;
            *matched += same;
            payload = &payload[same..];
            if *matched == WRAPPED.len() {
                self.wrapping = Wrapping::Base64(Vec::new());
            } else if !payload.is_empty() {
                self.wrapping = Wrapping::None;
                each(Part::Text(&WRAPPED[..before + same]));
            }
        }
        match &mut self.wrapping {
            Wrapping::Beginning(_) | Wrapping::Over => {}
            Wrapping::None => each(Part::Text(payload)),
            Wrapping::Base64(held) => {
                let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
                let digits = payload.iter().position(|byte| !is_digit(byte)).unwrap_or(payload.len());
                held.extend(&payload[..digits]);
                let whole = held.len() - held.len() % 4;
                if let Ok(decoded) = STANDARD.decode(&held[..whole]) {
                    each(Part::Text(&decoded));
                }
                held.drain(..whole);
                if digits < payload.len() {
                    self.wrapping = Wrapping::Over;
                }
            }
        }
    }
}

/// The first `left` bytes, and the rest.
fn split<'a>(bytes: &'a [u8], left: &mut u64) -> (&'a [u8], &'a [u8]) {
    let count = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *left -= count as u64;
    bytes.split_at(count)
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message with one header, and checksums that nobody reads.
    pub fn message(payload: &[u8]) -> Vec<u8> {
        let headers = b"\x0b:event-type\x07\x00\x05chunk";
        let all = (PRELUDE_BYTES + headers.len() + payload.len() + 4) as u32;
        let lengths = [all.to_be_bytes(), (headers.len() as u32).to_be_bytes(), [0; 4]].concat();
        [&lengths[..], headers, payload, &[0; 4]].concat()
    }

    pub fn wrapped(payload: &[u8]) -> Vec<u8> {
        [WRAPPED, STANDARD.encode(payload).as_bytes(), b"\",\"p\":\"abcd\"}"].concat()
    }

    fn payloads(pieces: &[&[u8]]) -> Vec<String> {
        let mut messages = Messages::default();
        let mut all: Vec<String> = Vec::new();
        for piece in pieces {
            messages.push(piece, |part| match part {
                Part::Begin => all.push(String::new()),
                Part::Text(bytes) => {
                    if let Some(last) = all.last_mut() {
                        last.push_str(&String::from_utf8_lossy(bytes));
                    }
                }
            });
        }
        all
    }

    fn stream() -> Vec<u8> {
        let plain = br#"{"bites":1}"#;
        [message(plain), message(&wrapped(br#"{"text":"Hi!"}"#)), message(b""), message(b"{}")].concat()
    }

    const PAYLOADS: [&str; 4] = [r#"{"bites":1}"#, r#"{"text":"Hi!"}"#, "", "{}"];

    #[test]
    fn what_is_no_message_is_given_up() {
        assert_eq!(payloads(&[&[0xff; 40]]), [""]);
        assert_eq!(payloads(&[&[0; 12], &stream()]), [""]);
    }

    proptest! {
        #[test]
        fn pieces_change_nothing(cut in 0..200_usize, then in 0..200_usize) {
            let stream = stream();
            let (first, rest) = stream.split_at(cut.min(stream.len()));
            let (second, third) = rest.split_at(then.min(rest.len()));
            prop_assert_eq!(payloads(&[first, second, third]), PAYLOADS);
        }

        #[test]
        fn takes_anything(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            payloads(&[&bytes]);
            payloads(&[&message(&[WRAPPED, &bytes].concat()), &bytes]);
        }
    }
}

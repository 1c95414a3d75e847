//! What the fuzz targets share: how their bytes are read, and what must hold of the result.

use tracer::event::{Direction, Mark};

/// Transfers, each with a head of three bytes: the direction in the lowest bit, behind it whether some was not copied, and
/// how many bytes were.
pub struct Transfers<'a> {
    rest: &'a [u8],
}

impl<'a> Transfers<'a> {
    pub fn new(rest: &'a [u8]) -> Transfers<'a> {
        Transfers { rest }
    }
}

/// Direction, length, and the copied bytes.
impl<'a> Iterator for Transfers<'a> {
    type Item = (Direction, u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[kind, low, high], rest) = self.rest.split_first_chunk::<3>()?;
        let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (copied, rest) = rest.split_at(length);
        self.rest = rest;
        let direction = if kind & 1 == 0 { Direction::Sent } else { Direction::Received };
        let hidden = if kind & 2 == 0 { 0 } else { u64::from(kind) << (kind >> 3) };
        Some((direction, length as u64 + hidden, copied))
    }
}

/// The longest text that is kept of anything (RFC 1035: 253 bytes of a name, and their dots).
const TEXT_BYTES: usize = 1_024;

/// What is found in bytes is no more than they can hold, and no text of it is long.
pub fn check(marks: &[Mark], copied: &[u8]) {
    assert!(marks.len() <= copied.len() + 8, "{} marks of {} bytes", marks.len(), copied.len());
    for mark in marks {
        let texts = match mark {
            Mark::ClientHello { sni, alpn } => vec![sni.as_ref(), alpn.as_ref()],
            Mark::RequestHead { head, .. } => vec![Some(&head.method), Some(&head.path), head.host.as_ref()],
            Mark::ResponseHead { head, .. } => vec![head.vendor_request_id.as_ref()],
            Mark::DnsQuery { name, .. } | Mark::DnsAnswer { name, .. } => vec![Some(name)],
            Mark::Asked(asked) => vec![asked.model.as_ref()],
            Mark::Told(told) => vec![told.model.as_ref()],
            _ => Vec::new(),
        };
        assert!(texts.into_iter().flatten().all(|text| text.len() <= TEXT_BYTES), "{mark:?}");
    }
}

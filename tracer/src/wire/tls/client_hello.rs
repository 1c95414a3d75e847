//! The ClientHello (RFC 8446, section 4.1.2), put together out of handshake records.

use tls_parser::{TlsExtension, parse_tls_client_hello_extensions, parse_tls_handshake_client_hello};

use crate::event::Mark;

/// Bytes of a ClientHello that are kept until it is complete: RFC 8446 records hold as many.
const HELLO_BYTES: usize = 16 << 10;

/// Bytes of a name that are kept (RFC 1035: 253).
const NAME_BYTES: usize = 256;

/// Handshake header: message type, and a length of three bytes.
const HEADER_BYTES: usize = 4;
const CLIENT_HELLO: u8 = 1;

/// A ClientHello that is coming in.
#[derive(Debug, Default)]
pub struct ClientHello {
    bytes: Vec<u8>,
    done: bool,
    /// It offers HTTP/2 and nothing else, as clients of gRPC do.
    is_http2: bool,
}

impl ClientHello {
    /// One that is not waited for.
    pub fn missed() -> Self {
        Self { done: true, ..Self::default() }
    }

    /// Adds the body of a handshake record, `length` bytes of which `copied` were. Gives the mark when the message
    /// is complete, or when no more of it can be had.
    pub fn push(&mut self, length: u64, copied: &[u8]) -> Option<Mark> {
        if self.done {
            return None;
        }
        self.bytes.extend(copied);
        let hidden = (copied.len() as u64) < length || self.bytes.len() > HELLO_BYTES;
        let whole = match self.bytes.first_chunk::<HEADER_BYTES>() {
            Some(&[CLIENT_HELLO, a, b, c]) => {
                let length = u32::from_be_bytes([0, a, b, c]) as usize;
                self.bytes.len() >= HEADER_BYTES + length
            }
            Some(_) => true,
            None => false,
        };
        if !whole && !hidden {
            return None;
        }
        self.done = true;
        let (sni, protocols) = names(&std::mem::take(&mut self.bytes));
        self.is_http2 = protocols == ["h2"];
        Some(Mark::ClientHello { sni, alpn: protocols.into_iter().next() })
    }

    pub fn is_http2(&self) -> bool {
        self.is_http2
    }
}

/// Server name and offered protocols, as far as they are there.
fn names(message: &[u8]) -> (Option<String>, Vec<String>) {
    let [CLIENT_HELLO, _, _, _, body @ ..] = message else { return Default::default() };
    let Ok((rest, hello)) = parse_tls_handshake_client_hello(body) else { return Default::default() };
    // Cut off within the extensions, these stand behind their length: those that are whole can be read.
    let extensions = hello.ext.or(rest.get(2..)).unwrap_or_default();
    let Ok((_, extensions)) = parse_tls_client_hello_extensions(extensions) else {
        return Default::default();
    };
    let (mut sni, mut alpn) = (None, Vec::new());
    for extension in extensions {
        match extension {
            TlsExtension::SNI(names) => sni = names.first().and_then(|(_, name)| text(name)),
            TlsExtension::ALPN(protocols) => alpn = protocols.iter().filter_map(|name| text(name)).collect(),
            _ => {}
        }
    }
    (sni, alpn)
}

fn text(name: &[u8]) -> Option<String> {
    let printable = !name.is_empty() && name.len() <= NAME_BYTES && name.iter().all(u8::is_ascii_graphic);
    printable.then(|| name.iter().map(|&byte| char::from(byte.to_ascii_lowercase())).collect())
}

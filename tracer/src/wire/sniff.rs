//! What protocol the first bytes of a stream belong to.

/// The longest beginning that [`sniff`] needs: the HTTP/2 preface without its line ends.
pub const SNIFF_BYTES: usize = HTTP2_PREFACE.len();

/// RFC 9113, section 3.4.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// RFC 9110, section 9.3, and RFC 5789.
const METHODS: [&[u8]; 9] =
    [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE "];

/// RFC 8446, section 5.1: record types, and the major version of every TLS and SSL 3 record.
const HANDSHAKE: u8 = 0x16;
const APPLICATION_DATA: u8 = 0x17;
const MAJOR_VERSION: u8 = 0x03;

/// RFC 8446, section 4: the handshake messages that a side begins with.
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniffed {
    /// An HTTP/1 request.
    Request,
    /// A TLS handshake; `from_server` when it is plain that the ClientHello was missed.
    Handshake {
        from_server: bool,
    },
    /// A TLS connection whose handshake is over.
    Ciphertext,
    Http2,
    /// Too few bytes to tell.
    More,
    Other,
}

/// Tells the protocol from the first bytes of a stream, or of a transfer in its middle.
pub fn sniff(bytes: &[u8]) -> Sniffed {
    if METHODS.iter().any(|method| bytes.starts_with(method)) {
        return Sniffed::Request;
    }
    if bytes.starts_with(HTTP2_PREFACE) {
        return Sniffed::Http2;
    }
    match *bytes {
        [HANDSHAKE, MAJOR_VERSION, _, _, _, CLIENT_HELLO, ..] => {
            return Sniffed::Handshake { from_server: false };
        }
        [HANDSHAKE, MAJOR_VERSION, _, _, _, SERVER_HELLO, ..] => {
            return Sniffed::Handshake { from_server: true };
        }
        [HANDSHAKE, MAJOR_VERSION, _, _, _, _, ..] => return Sniffed::Other,
        [HANDSHAKE, MAJOR_VERSION, ..] => return Sniffed::Handshake { from_server: false },
        [APPLICATION_DATA, MAJOR_VERSION, ..] => return Sniffed::Ciphertext,
        _ => {}
    }
    let begins = |whole: &[u8]| whole.starts_with(bytes);
    if METHODS.iter().any(|method| begins(method))
        || begins(HTTP2_PREFACE)
        || begins(&[HANDSHAKE, MAJOR_VERSION])
        || begins(&[APPLICATION_DATA, MAJOR_VERSION])
    {
        Sniffed::More
    } else {
        Sniffed::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_protocols_by_their_first_bytes() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], Sniffed::Request),
            (b"CONNECT a:443 HTTP/1.1\r\n", Sniffed::Request),
            (b"GE", Sniffed::More),
            (b"", Sniffed::More),
            (b"get key\r\n", Sniffed::Other),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Sniffed::Http2),
            (b"PRI * HTTP", Sniffed::More),
            (b"\x16\x03\x01\x02\x00\x01", Sniffed::Handshake { from_server: false }),
            (b"\x16\x03\x01\x02\x00", Sniffed::Handshake { from_server: false }),
            (b"\x16\x03\x03\x00\x7a\x02", Sniffed::Handshake { from_server: true }),
            (b"\x17\x03\x03\x00\x20", Sniffed::Ciphertext),
            (b"\x16\x03\x03\x00\x7a\x63", Sniffed::Other),
            (b"\x16", Sniffed::More),
            (b"\x00", Sniffed::Other),
            (b"HTTP/1.1 200 OK\r\n", Sniffed::Other),
        ] {
            assert_eq!(sniff(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}

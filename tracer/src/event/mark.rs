//! What bytes meant: all that is kept of them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What a transfer meant on the wire. `at` is the offset of its first byte within the transfer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Mark {
    /// A TLS ClientHello is complete.
    ClientHello {
        sni: Option<String>,
        alpn: Option<String>,
    },
    /// The client's last handshake flight went out: what follows is application data.
    HandshakeDone,
    /// TLS application data of the application's own, session tickets left out.
    Ciphertext {
        at: u64,
    },
    /// Encrypted records from the server that look like TLS 1.3 session tickets: few, small, of one size, and
    /// before any application data. Where no [`Mark::Ciphertext`] follows, they were a small answer.
    Ticket {
        at: u64,
    },
    /// A proxy granted the tunnel it was asked for. The `CONNECT` request has no other mark, and an answer that
    /// refuses it is a response without a request.
    Tunnel {
        host: String,
        port: u16,
    },
    RequestHead {
        at: u64,
        head: RequestHead,
    },
    /// The request that was open is whole: its last byte is in this transfer. Missing where the end lay beyond
    /// the copied bytes; then the response shows that it was whole.
    RequestEnd,
    ResponseHead {
        at: u64,
        head: ResponseHead,
    },
    /// The response that was open is whole.
    ResponseEnd,
    /// Body bytes of the open request or response.
    Body {
        at: u64,
    },
    /// The connection changed protocol (101): it is one request until it is closed.
    Upgraded,
    DnsQuery {
        id: u16,
        name: String,
    },
    DnsAnswer {
        id: u16,
        name: String,
        addresses: Vec<IpAddr>,
    },
    /// The bytes are no protocol we know, or we lost the thread of it: the exchange that is open is incomplete. A
    /// later [`Mark::RequestHead`] starts afresh.
    Unparsed,
    /// What the open request asks a model for, as far as it is known by now.
    Asked(Asked),
    /// What the open answer tells of itself, as far as it is known by now.
    Told(Told),
    /// Output of a model: of this transfer, the first.
    Content,
    /// Of the head of the open answer.
    Limits(Limits),
    /// Encrypted records from the server that are no answer: alerts, frames of control.
    Control,
    /// A connection of HTTP/2 begins: each of its requests is a stream.
    Http2,
    /// What follows, up to the next of these, is of one stream of HTTP/2.
    Stream {
        id: u32,
        /// So much of the transfer is of it.
        bytes: u64,
    },
    /// The stream ends before its answer.
    StreamReset,
}

/// What a request asks a model for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub model: Option<String>,
    /// Whether the answer shall be streamed.
    pub stream: Option<bool>,
    /// How many attempts there were before, as the client counts them.
    pub retries: Option<u32>,
}

/// What an answer of a model tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub model: Option<String>,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    /// The model was done.
    pub is_ended: bool,
    /// There is an error in it.
    pub is_failed: bool,
}

/// What an answer says of the limits of the caller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// When to try again.
    pub retry_after_ns: Option<u64>,
    pub requests_left: Option<u64>,
    pub tokens_left: Option<u64>,
}

/// Metadata of an HTTP request head: all that is ever kept of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestHead {
    pub method: String,
    /// Without query string.
    pub path: String,
    /// Without port, in lower case.
    pub host: Option<String>,
    pub traceparent: Option<String>,
}

/// Metadata of an HTTP response head.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResponseHead {
    pub status: u16,
    /// `text/event-stream` or another streaming type.
    pub stream: bool,
    /// The vendor's own name for the request, from the headers that the vendor table lists.
    pub vendor_request_id: Option<String>,
    /// The vendor's own figure of its time.
    pub vendor_reported_ns: Option<u64>,
}

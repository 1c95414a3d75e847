//! TLS without its keys: where the handshake ends and when application data pass, by record types and lengths.

mod client_hello;
mod record;
mod ticket;

#[cfg(test)]
mod tests;

use self::client_hello::ClientHello;
use self::record::{APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, Piece, Records};
use self::ticket::Tickets;
use super::cursor::Cursor;
use crate::event::{Direction, Mark};

/// A TLS 1.2 Finished is 12 bytes behind a header of 4 (RFC 5246, section 7.4.9); encrypted, the record holds 96
/// bytes at most (AES-CBC with SHA-384). A second ClientHello, after a HelloRetryRequest, is never so small.
const FINISHED_BYTES: u16 = 96;

/// An alert in TLS 1.3: 2 bytes, the inner record type, and an AEAD tag of 16 (RFC 8446, section 5.2). Servers
/// and clients close with one, long after the last data.
const ALERT_BYTES: u16 = 19;

/// Records of HTTP/2 that are as short hold frames of control alone: acknowledgements, pings, windows (RFC 9113, section 6:
/// 9, 17 and 13 bytes, a few at once), ends of streams. A request to a model and its output are longer.
const CONTROL_BYTES: u16 = 64 + 17;

/// The first record of an HTTP/2 client: its preface and settings.
const PREFACE_BYTES: u16 = 160;

/// Both directions of a TLS connection.
#[derive(Debug)]
pub struct Tls {
    /// Direction of the client's bytes.
    client: Direction,
    from_client: Side,
    from_server: Side,
    hello: ClientHello,
    /// The client announced its new keys.
    client_changed_cipher: bool,
    /// The client has sent application data.
    client_began: bool,
    stage: Stage,
    tickets: Tickets,
}

#[derive(Debug, Default)]
struct Side {
    records: Records,
    /// What the last record is.
    content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Handshake,
    /// The client's last flight went out, in the older versions or in 1.3.
    Tls12,
    Tls13,
    /// The handshake was not seen.
    Unseen,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Content {
    #[default]
    Protocol,
    Ticket,
    Data,
}

/// Marks that are made once per transfer.
#[derive(Default)]
struct Said {
    ticket: bool,
    data: bool,
    control: bool,
}

impl Tls {
    /// A connection that begins with its handshake; `hello_missed` when the ClientHello went by unseen.
    pub fn handshake(client: Direction, hello_missed: bool) -> Self {
        Self {
            client,
            from_client: Side::default(),
            from_server: Side::default(),
            hello: if hello_missed { ClientHello::missed() } else { ClientHello::default() },
            client_changed_cipher: false,
            client_began: false,
            stage: Stage::Handshake,
            tickets: Tickets::default(),
        }
    }

    /// A connection first seen after its handshake.
    pub fn established(client: Direction) -> Self {
        Self { stage: Stage::Unseen, ..Self::handshake(client, true) }
    }

    /// Adds to `marks` what the rest of a transfer means.
    pub fn reduce(&mut self, direction: Direction, cursor: &mut Cursor<'_>, marks: &mut Vec<Mark>) {
        let is_client = direction == self.client;
        if is_client && self.from_client.records.is_lost() {
            // The record that ended the handshake may be among those that were lost.
            self.finish_handshake(Stage::Unseen, marks);
        }
        let mut said = Said::default();
        loop {
            let side = if is_client { &mut self.from_client } else { &mut self.from_server };
            let Some(piece) = side.records.next(cursor) else {
                if said.control && !said.data && !said.ticket {
                    marks.push(Mark::Control);
                }
                return;
            };
            let (at, content) = match piece {
                Piece::Record { at, kind, length } => {
                    let content = if is_client {
                        self.client_record(kind, length, marks)
                    } else {
                        self.server_record(kind, length)
                    };
                    let side = if is_client { &mut self.from_client } else { &mut self.from_server };
                    side.content = content;
                    (at, content)
                }
                Piece::Body { at, length, copied } => {
                    let content = side.content;
                    // Before the handshake ends, the client's own protocol records are its ClientHello.
                    if is_client && content == Content::Protocol && self.stage == Stage::Handshake {
                        marks.extend(self.hello.push(length, copied));
                    }
                    (at, content)
                }
                Piece::Lost { at } if self.stage == Stage::Handshake => (at, Content::Protocol),
                Piece::Lost { at } => {
                    if !is_client {
                        self.tickets.end();
                    }
                    (at, Content::Data)
                }
            };
            match content {
                Content::Protocol if !is_client && self.stage != Stage::Handshake => said.control = true,
                Content::Ticket if !said.ticket => {
                    said.ticket = true;
                    marks.push(Mark::Ticket { at });
                }
                Content::Data if !said.data => {
                    said.data = true;
                    marks.push(Mark::Ciphertext { at });
                }
                _ => {}
            }
        }
    }

    fn client_record(&mut self, kind: u8, length: u16, marks: &mut Vec<Mark>) -> Content {
        match (self.stage, kind) {
            (Stage::Handshake, CHANGE_CIPHER_SPEC) => self.client_changed_cipher = true,
            (Stage::Handshake, HANDSHAKE) if self.client_changed_cipher && length <= FINISHED_BYTES => {
                self.finish_handshake(Stage::Tls12, marks);
            }
            // Version 1.3 hides its Finished as application data.
            (Stage::Handshake, APPLICATION_DATA) => self.finish_handshake(Stage::Tls13, marks),
            (_, APPLICATION_DATA) if !self.is_alert(length) => {
                let is_preface = !self.client_began && length < PREFACE_BYTES;
                self.client_began = true;
                let is_control = self.hello.is_http2() && (is_preface || length < CONTROL_BYTES);
                return if is_control { Content::Protocol } else { Content::Data };
            }
            _ => {}
        }
        Content::Protocol
    }

    fn server_record(&mut self, kind: u8, length: u16) -> Content {
        match (self.stage, kind) {
            (Stage::Handshake, _) => Content::Protocol,
            (_, APPLICATION_DATA) if self.is_alert(length) => Content::Protocol,
            (Stage::Tls13, APPLICATION_DATA) if self.tickets.take(length) => Content::Ticket,
            (_, APPLICATION_DATA) if self.hello.is_http2() && length < CONTROL_BYTES => Content::Protocol,
            (_, APPLICATION_DATA) => Content::Data,
            _ => Content::Protocol,
        }
    }

    fn is_alert(&self, length: u16) -> bool {
        length == ALERT_BYTES && self.stage != Stage::Tls12
    }

    fn finish_handshake(&mut self, stage: Stage, marks: &mut Vec<Mark>) {
        if self.stage == Stage::Handshake {
            self.stage = stage;
            marks.push(Mark::HandshakeDone);
        }
    }
}

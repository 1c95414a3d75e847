//! One connection: finds out its protocol, then hands its transfers to the parser of that protocol.

use super::cursor::Cursor;
use super::dns;
use super::http1::{Http1, Outcome};
use super::sniff::{SNIFF_BYTES, Sniffed, sniff};
use super::tls::Tls;
use crate::event::{Direction, Mark, Role, Transport};
use crate::wire::Shared;

/// RFC 1035, section 4.2.
const DNS_PORT: u16 = 53;

/// Transfers of a connection first seen in the middle that may pass before one begins with a head. A keep-alive
/// connection shows one after the message that was under way, here up to 256 transfers long.
const TRANSFERS_UNTIL_HEAD: u16 = 256;

/// The state of one connection.
#[derive(Debug)]
pub struct State {
    role: Role,
    protocol: Protocol,
}

#[derive(Debug)]
enum Protocol {
    Sniffing(Sniffing),
    Http1(Box<Http1>),
    Tls(Box<Tls>),
    Dns,
    /// [`Mark::Unparsed`] was said; nothing more is.
    Ignored,
    /// Not a stream we read; [`Mark::Unparsed`] is to be said.
    Foreign,
}

/// A stream whose protocol is not known yet.
#[derive(Debug, Default)]
struct Sniffing {
    /// Beginnings that were too short to tell, by direction.
    received: Vec<u8>,
    sent: Vec<u8>,
    transfers: u16,
}

impl Sniffing {
    fn held(&mut self, direction: Direction) -> &mut Vec<u8> {
        match direction {
            Direction::Received => &mut self.received,
            Direction::Sent => &mut self.sent,
        }
    }
}

impl State {
    pub fn new(role: Role, transport: Transport, local_port: Option<u16>, remote_port: Option<u16>) -> Self {
        let protocol = match transport {
            Transport::Tcp | Transport::Unix => Protocol::Sniffing(Sniffing::default()),
            Transport::Udp if [local_port, remote_port].contains(&Some(DNS_PORT)) => Protocol::Dns,
            Transport::Udp | Transport::Other => Protocol::Foreign,
        };
        Self { role, protocol }
    }

    /// Adds what one transfer means to `marks`.
    pub fn reduce(
        &mut self,
        direction: Direction,
        mut cursor: Cursor<'_>,
        shared: &Shared,
        marks: &mut Vec<Mark>,
    ) {
        while !cursor.is_done() {
            match &mut self.protocol {
                Protocol::Sniffing(_) => {
                    if !self.sniff(direction, &cursor, shared, marks) {
                        return;
                    }
                }
                Protocol::Http1(http1) => match http1.reduce(direction, &mut cursor, shared, marks) {
                    Outcome::More => return,
                    Outcome::Tunnel => {
                        // Inside the tunnel the roles are those of the connection itself, from the beginning.
                        if self.role == Role::Unknown {
                            self.role = http1.role();
                        }
                        self.protocol = Protocol::Sniffing(Sniffing::default());
                    }
                    Outcome::Malformed => return self.give_up(marks),
                },
                Protocol::Tls(tls) => return tls.reduce(direction, &mut cursor, marks),
                Protocol::Dns => return marks.push(dns::reduce(cursor.visible()).unwrap_or(Mark::Unparsed)),
                Protocol::Foreign => return self.give_up(marks),
                Protocol::Ignored => return,
            }
        }
    }

    /// Says that the connection cannot be read; the only time it does.
    fn give_up(&mut self, marks: &mut Vec<Mark>) {
        marks.push(Mark::Unparsed);
        self.protocol = Protocol::Ignored;
    }

    /// Whether the protocol is decided, so that the transfer can be parsed; without, the transfer is done with.
    fn sniff(
        &mut self,
        direction: Direction,
        cursor: &Cursor<'_>,
        shared: &Shared,
        marks: &mut Vec<Mark>,
    ) -> bool {
        let Protocol::Sniffing(sniffing) = &mut self.protocol else { return true };
        sniffing.transfers = sniffing.transfers.saturating_add(1);
        let middle = self.role == Role::Unknown;
        let exhausted = !middle || sniffing.transfers >= TRANSFERS_UNTIL_HEAD;
        let visible = cursor.visible();
        let held = std::mem::take(sniffing.held(direction));
        let joined: Vec<u8> = held.iter().chain(visible.iter().take(SNIFF_BYTES)).copied().collect();
        let (sniffed, held) = match sniff(&joined) {
            // What was held was the end of something else.
            Sniffed::Other if middle => (sniff(visible), Vec::new()),
            sniffed => (sniffed, held),
        };
        let protocol = match sniffed {
            Sniffed::Request => Protocol::Http1(Box::new(Http1::new(direction))),
            Sniffed::Handshake { from_server } => Protocol::Tls(Box::new(Tls::handshake(
                client_direction(self.role, direction, from_server),
                from_server,
            ))),
            // No connection begins so: the events of its beginning were lost.
            Sniffed::Ciphertext => {
                Protocol::Tls(Box::new(Tls::established(client_direction(self.role, direction, false))))
            }
            Sniffed::More if cursor.left() == visible.len() as u64 => {
                *sniffing.held(direction) = [&held, visible].concat();
                return false;
            }
            Sniffed::Http2 => Protocol::Foreign,
            Sniffed::More | Sniffed::Other if exhausted => Protocol::Foreign,
            Sniffed::More | Sniffed::Other => return false,
        };
        self.protocol = protocol;
        self.reduce(direction, Cursor::new(held.len() as u64, &held), shared, marks);
        true
    }
}

/// Which direction the TLS client's bytes go, when `direction` brought the first record.
fn client_direction(role: Role, direction: Direction, from_server: bool) -> Direction {
    match role {
        Role::Connected => Direction::Sent,
        Role::Accepted => Direction::Received,
        Role::Unknown if from_server => opposite(direction),
        Role::Unknown => direction,
    }
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Received => Direction::Sent,
        Direction::Sent => Direction::Received,
    }
}

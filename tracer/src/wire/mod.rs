//! From copied bytes of socket transfers to [`Mark`]s: what each transfer meant on the wire.
//!
//! Of a transfer only the beginning is copied ([`tracer_ebpf::limits`]), so the parsers skip by length what
//! they need not read, and say [`Mark::Unparsed`] rather than guess where a message ends.

mod connection;
mod content;
mod cursor;
mod dns;
mod fields;
mod http1;
mod http2;
mod sniff;
mod text;
mod tls;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use tracer_ebpf::limits;

use crate::event::{Asked, Connection, ConnectionId, Direction, Mark, Role, Transport};
use crate::vendor::VendorTable;
use crate::wire::http1::Http1;
use crate::wire::http2::Http2;
use crate::wire::sniff::{Sniffed, sniff};

/// The protocol state of all connections. At [`limits::SOCKETS`] of them the least recently used is dropped; if
/// it is seen again, it is one that was first seen in the middle.
pub struct Wire {
    shared: Shared,
    connections: LruCache<ConnectionId, connection::State>,
    /// What TLS sessions carry, by process and address.
    sessions: LruCache<(u32, u64), Session>,
    /// Whether what bodies tell is kept.
    reads_bodies: bool,
}

/// What the parsers of all connections share.
#[derive(Debug)]
struct Shared {
    vendors: Arc<VendorTable>,
    room: content::Room,
}

impl Shared {
    fn of(vendors: Arc<VendorTable>) -> Shared {
        Shared { vendors, room: content::Room::default() }
    }
}

/// What the plaintext of a client's TLS session is.
enum Session {
    Http1(Box<Http1>),
    Http2(Box<Http2>),
}

impl Wire {
    /// `vendors` names the few response headers that are kept.
    pub fn new(vendors: Arc<VendorTable>) -> Self {
        let (connections, sessions) = (limited(limits::SOCKETS), limited(limits::TLS_SESSIONS));
        let shared = Shared::of(vendors);
        Self { shared, connections, sessions, reads_bodies: true }
    }

    /// The same, which keeps nothing of what bodies tell.
    pub fn of_heads(vendors: Arc<VendorTable>) -> Self {
        Self { reads_bodies: false, ..Self::new(vendors) }
    }

    /// A socket was seen first: what it is decides which protocols to expect.
    pub fn opened(&mut self, connection: &Connection) {
        let port = |address: Option<(_, u16)>| address.map(|(_, port)| port);
        let state = connection::State::new(
            connection.role,
            connection.transport,
            port(connection.local),
            port(connection.remote),
        );
        self.connections.put(connection.id, state);
    }

    /// Reduces one transfer to marks, in order. `length` bytes were transferred, `copied` is their beginning.
    /// A connection that was not [`opened`](Self::opened) is taken for a TCP connection seen in the middle.
    pub fn reduce(
        &mut self,
        id: ConnectionId,
        direction: Direction,
        length: u64,
        copied: &[u8],
    ) -> Vec<Mark> {
        let mut marks = Vec::new();
        if length > 0 {
            let state = self
                .connections
                .get_or_insert_mut(id, || connection::State::new(Role::Unknown, Transport::Tcp, None, None));
            state.reduce(direction, cursor::Cursor::new(length, copied), &self.shared, &mut marks);
        }
        self.kept(marks)
    }

    fn kept(&self, mut marks: Vec<Mark>) -> Vec<Mark> {
        if !self.reads_bodies {
            marks.retain(|mark| !matches!(mark, Mark::Told(_) | Mark::Content));
            for mark in &mut marks {
                if let Mark::Asked(asked) = mark {
                    *asked = Asked { retries: asked.retries, ..Asked::default() };
                }
            }
        }
        marks
    }

    /// Reduces what a TLS session took or gave to marks, as [`Wire::reduce`] does. Only sessions of HTTP clients are read.
    pub fn reduce_plain(
        &mut self,
        (tgid, session): (u32, u64),
        direction: Direction,
        length: u64,
        copied: &[u8],
    ) -> Vec<Mark> {
        let mut marks = Vec::new();
        let mut cursor = cursor::Cursor::new(length, copied);
        let key = (tgid, session);
        if direction == Direction::Sent && !self.sessions.contains(&key) {
            let begun = match sniff(cursor.visible()) {
                Sniffed::Request => Some(Session::Http1(Box::new(Http1::new(Direction::Sent)))),
                Sniffed::Http2 => Some(Session::Http2(Box::new(Http2::new()))),
                _ => Http2::in_its_middle(cursor.visible()).map(|http2| Session::Http2(Box::new(http2))),
            };
            if let Some(begun) = begun {
                self.sessions.put(key, begun);
            }
        }
        match self.sessions.get_mut(&key) {
            Some(Session::Http1(http1)) => {
                let outcome = http1.reduce(direction, &mut cursor, &self.shared, &mut marks);
                if outcome != http1::Outcome::More {
                    self.sessions.pop(&key);
                    marks.push(Mark::Unparsed);
                }
            }
            Some(Session::Http2(http2)) => http2.reduce(direction, &mut cursor, &self.shared, &mut marks),
            None => {}
        }
        self.kept(marks)
    }

    /// Forgets a TLS session: its address is used again.
    pub fn session_ended(&mut self, tgid: u32, session: u64) {
        self.sessions.pop(&(tgid, session));
    }

    /// Forgets a connection. A body that lasts until the close ends here, without a mark.
    pub fn closed(&mut self, id: ConnectionId) {
        self.connections.pop(&id);
    }

    /// Connections held now.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }
}

/// Not `LruCache::new`, which allocates the whole limit at once.
fn limited<K: std::hash::Hash + Eq, V>(limit: u32) -> LruCache<K, V> {
    let mut cache = LruCache::unbounded();
    cache.resize(NonZeroUsize::new(limit as usize).unwrap_or(NonZeroUsize::MIN));
    cache
}

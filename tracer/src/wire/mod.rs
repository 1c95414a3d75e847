//! From copied bytes of socket transfers to [`Mark`]s: what each transfer meant on the wire.
//!
//! Of a transfer only the beginning is copied ([`tracer_ebpf::limits`]), so the parsers skip by length what
//! they need not read, and say [`Mark::Unparsed`] rather than guess where a message ends.

mod connection;
mod cursor;
mod dns;
mod http1;
mod sniff;
mod tls;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use tracer_ebpf::limits;

use crate::event::{Connection, ConnectionId, Direction, Mark, Role, Transport};
use crate::vendor::VendorTable;

/// The protocol state of all connections. At [`limits::SOCKETS`] of them the least recently used is dropped; if
/// it is seen again, it is one that was first seen in the middle.
pub struct Wire {
    vendors: Arc<VendorTable>,
    connections: LruCache<ConnectionId, connection::State>,
}

impl Wire {
    /// `vendors` names the few response headers that are kept.
    pub fn new(vendors: Arc<VendorTable>) -> Self {
        let limit = NonZeroUsize::new(limits::SOCKETS as usize).unwrap_or(NonZeroUsize::MIN);
        // Not `LruCache::new`, which allocates the whole limit at once.
        let mut connections = LruCache::unbounded();
        connections.resize(limit);
        Self { vendors, connections }
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
            state.reduce(direction, cursor::Cursor::new(length, copied), &self.vendors, &mut marks);
        }
        marks
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

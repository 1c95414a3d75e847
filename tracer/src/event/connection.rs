//! Sockets of traced processes.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::ConnectionId;

/// A socket of a traced process, when it was seen first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    pub id: ConnectionId,
    pub role: Role,
    pub transport: Transport,
    /// `None` for Unix sockets.
    pub local: Option<(IpAddr, u16)>,
    pub remote: Option<(IpAddr, u16)>,
    /// When the first byte arrived, if that was before the connection was accepted.
    pub first_data_ns: Option<u64>,
    /// TCP sequence number of the next byte to be read.
    pub copied_seq: u32,
}

impl Connection {
    /// One on which nothing came yet, with no address of its own.
    pub fn new(
        id: ConnectionId,
        role: Role,
        transport: Transport,
        remote: Option<(IpAddr, u16)>,
    ) -> Connection {
        Connection { id, role, transport, local: None, remote, first_data_ns: None, copied_seq: 0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// It was there before the tracer, or inherited.
    Unknown,
    Connected,
    Accepted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    Tcp,
    Udp,
    Unix,
    Other,
}

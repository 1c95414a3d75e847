//! A socket of a traced process: what arrived, what was read, and what it is used for.

use std::{collections::VecDeque, net::IpAddr};

use foldhash::HashMap;

use crate::{
    event::{self, ConnectionId, Role, Transport},
    model::{
        streams::Streams,
        tls::{Announced, Arrived},
    },
    request::{RequestId, call::Span},
};

/// RFC 1035, section 4.2.
const DNS_PORT: u16 = 53;

/// Arrivals kept while they are not read.
const MAX_ARRIVALS: usize = 4_096;

#[derive(Clone, Debug)]
pub struct Connection {
    pub tgid: u32,
    pub role: Role,
    pub transport: Transport,
    pub remote: Option<(IpAddr, u16)>,
    pub stream: Stream,
    pub rtt_ns: Option<u64>,
    pub use_: Use,
}

/// What a connection is used for, as far as is known.
#[derive(Clone, Debug)]
pub enum Use {
    Unknown,
    /// A caller's requests come in.
    Inbound(Inbound),
    /// Calls go out.
    Outbound(Box<Outbound>),
    Dns,
}

#[derive(Clone, Debug, Default)]
pub struct Inbound {
    /// Requests not yet answered, oldest first.
    pub requests: VecDeque<RequestId>,
    /// When the first byte of a head arrived that is not yet whole.
    pub head_since_ns: Option<u64>,
    /// When the last bytes of a body that is not whole were read.
    pub body_since_ns: Option<u64>,
    /// When bytes of an answer were sent last whose end will not show, as its beginning was not seen.
    pub unparsed_sent_ns: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub struct Outbound {
    pub connect: Option<Span>,
    /// The request and thread that connected.
    pub opened_by: Option<(RequestId, u32)>,
    pub tls_start_ns: Option<u64>,
    pub tls: Option<Span>,
    pub is_tls: bool,
    /// The bytes are HTTP, or (TLS) assumed to be.
    pub is_http: bool,
    /// The protocol is none we know: sending after receiving is a new exchange.
    pub is_unparsed: bool,
    pub sni: Option<String>,
    /// The other side has ended it.
    pub is_ended: bool,
    /// It is known which TLS session is on it.
    pub has_session: bool,
    pub announced: Option<Announced>,
    pub arrived: Option<Arrived>,
    /// It speaks HTTP/2, and its plaintext is read.
    pub streams: Option<Box<Streams>>,
    pub tunnel: Option<(String, u16)>,
    /// Request and index of the call that is under way, or was last.
    pub call: Option<(RequestId, usize)>,
    pub n_calls: u32,
    /// When the connection was established and nothing has been sent yet.
    pub unused_since_ns: Option<u64>,
}

/// The inbound byte stream: which bytes arrived when, and how many were read.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Sequence number of position 0; `None` until established.
    base: Option<u32>,
    read: u64,
    arrived: u64,
    /// (position after the last byte that arrived, when), of what is not read.
    arrivals: VecDeque<(u64, u64)>,
}

pub type Connections = HashMap<ConnectionId, Connection>;

impl Connection {
    pub fn new(tgid: u32, opened: &event::Connection) -> Self {
        let use_ = match (opened.role, opened.transport, opened.remote) {
            (Role::Accepted, ..) => Use::Inbound(Inbound::default()),
            (_, Transport::Udp, Some((_, DNS_PORT))) => Use::Dns,
            _ => Use::Unknown,
        };
        let mut stream = Stream::new((opened.copied_seq != 0).then_some(opened.copied_seq));
        if let Some(first_data_ns) = opened.first_data_ns {
            stream.arrived_before(first_data_ns);
        }
        let event::Connection { role, transport, remote, .. } = *opened;
        Connection { tgid, role, transport, remote, stream, rtt_ns: None, use_ }
    }

    pub fn outbound(&mut self) -> Option<&mut Outbound> {
        if matches!(self.use_, Use::Unknown) {
            self.use_ = Use::Outbound(Box::default());
        }
        match &mut self.use_ {
            Use::Outbound(outbound) => Some(outbound),
            _ => None,
        }
    }
}

/// Arrivals that a read took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Position of the first byte that was read.
    start: u64,
    arrivals: Vec<(u64, u64)>,
}

impl Stream {
    pub fn new(base: Option<u32>) -> Self {
        Stream { base, read: 0, arrived: 0, arrivals: VecDeque::new() }
    }

    /// The first byte will have this sequence number.
    pub fn starts_at(&mut self, rcv_nxt: u32) {
        self.base.get_or_insert(rcv_nxt);
    }

    /// Bytes up to sequence number `rcv_nxt` (exclusive) are there.
    pub fn arrived(&mut self, rcv_nxt: u32, at_ns: u64) {
        let Some(base) = self.base else { return };
        // The sequence number wraps every 4 GiB; the position doesn't.
        let advance = rcv_nxt.wrapping_sub(base.wrapping_add(self.arrived as u32));
        if advance == 0 || advance > u32::MAX / 2 {
            return;
        }
        self.arrived = self.arrived.saturating_add(u64::from(advance));
        if self.arrivals.len() >= MAX_ARRIVALS {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back((self.arrived, at_ns));
    }

    /// Bytes were read. Where no arrival was seen for them, they count as arrived at `at_ns`.
    pub fn read(&mut self, bytes: u64, at_ns: u64) -> Taken {
        let start = self.read;
        self.read = self.read.saturating_add(bytes);
        if self.arrived < self.read {
            self.arrived = self.read;
            self.arrivals.push_back((self.read, at_ns));
        }
        let mut taken = Taken { start, arrivals: Vec::new() };
        while let Some(&(end, arrival_ns)) = self.arrivals.front() {
            taken.arrivals.push((end, arrival_ns));
            if end > self.read {
                // The rest of this arrival is for the next read.
                break;
            }
            self.arrivals.pop_front();
            if end == self.read {
                break;
            }
        }
        taken
    }

    fn arrived_before(&mut self, at_ns: u64) {
        // How much arrived by then is not known; the byte that counts is the first.
        self.arrived = 1;
        self.arrivals.push_back((1, at_ns));
    }
}

impl Taken {
    pub fn start(&self) -> u64 {
        self.start
    }

    /// (position after the last byte that arrived, when).
    pub fn arrivals(&self) -> &[(u64, u64)] {
        &self.arrivals
    }

    /// When the byte at offset `at` of the read arrived.
    pub fn arrival_ns(&self, at: u64) -> Option<u64> {
        let position = self.start.saturating_add(at);
        self.arrivals.iter().find(|(end, _)| *end > position).map(|(_, arrival_ns)| *arrival_ns)
    }

    pub fn last_arrival_ns(&self) -> Option<u64> {
        self.arrivals.last().map(|(_, arrival_ns)| *arrival_ns)
    }

    /// How many arrivals this read was the first to take bytes of.
    pub fn n_new(&self, at: u64) -> u32 {
        self.arrivals.iter().filter(|(end, _)| *end > self.start.saturating_add(at)).count() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_when_their_segment_did() {
        let mut stream = Stream::new(Some(u32::MAX - 4));
        stream.arrived(5, 100); // Positions 0 to 9: the sequence number wrapped.
        stream.arrived(15, 200);
        let taken = stream.read(20, 300);
        assert_eq!(taken.arrival_ns(0), Some(100));
        assert_eq!(taken.arrival_ns(9), Some(100));
        assert_eq!(taken.arrival_ns(10), Some(200));
        assert_eq!(taken.last_arrival_ns(), Some(200));
        assert_eq!(taken.n_new(0), 2);
    }

    #[test]
    fn a_partial_read_leaves_the_rest_with_its_arrival() {
        let mut stream = Stream::new(Some(0));
        stream.arrived(100, 10);
        assert_eq!(stream.read(5, 20).arrival_ns(0), Some(10));
        assert_eq!(stream.read(95, 30).arrival_ns(0), Some(10));
        stream.arrived(110, 40);
        assert_eq!(stream.read(10, 50).arrival_ns(0), Some(40));
    }

    #[test]
    fn unseen_arrivals_count_as_the_read() {
        let mut stream = Stream::new(None);
        assert_eq!(stream.read(10, 70).arrival_ns(0), Some(70));
    }

    #[test]
    fn data_before_the_accept_arrived_before_it() {
        let mut stream = Stream::new(Some(1000));
        stream.arrived_before(5);
        assert_eq!(stream.read(300, 70).arrival_ns(0), Some(5));
        stream.arrived(1000 + 400, 90);
        assert_eq!(stream.read(100, 95).arrival_ns(0), Some(90));
    }
}

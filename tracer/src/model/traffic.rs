//! Connections: what happens on them, handed to the side that they are used for.

use crate::{
    event::{self, ConnectionId, Direction, Mark, Role},
    model::{
        Model,
        connection::{Connection, Inbound, Use},
    },
    request::{
        Rank,
        call::{HungUp, Span},
    },
};

/// A transfer of bytes on a socket.
#[derive(Clone, Copy, Debug)]
pub struct Transfer<'a> {
    pub tgid: u32,
    pub tid: u32,
    pub enter_ns: u64,
    pub exit_ns: u64,
    pub bytes: u64,
    pub marks: &'a [Mark],
}

impl Model {
    pub(super) fn connection_seen(&mut self, tgid: u32, tid: u32, opened: &event::Connection) {
        if opened.role == Role::Accepted {
            self.is_server(tgid);
            self.accepted(tgid, tid, opened.id);
        }
        if self.connections.len() >= MAX_CONNECTIONS {
            self.drop_older_connections();
        }
        self.connections.insert(opened.id, Connection::new(tgid, opened));
    }

    /// Ends of connections that were lost, or evicted in the kernel, would keep them for ever: the older half
    /// goes. Ids grow with time.
    fn drop_older_connections(&mut self) {
        let mut ids: Vec<ConnectionId> = self.connections.keys().copied().collect();
        let middle = ids.len() / 2;
        let (older, ..) = ids.select_nth_unstable(middle);
        for id in older.iter().copied() {
            self.connection_closed(self.now_ns, id);
        }
    }

    pub(super) fn connected(
        &mut self,
        at_ns: u64,
        tgid: u32,
        tid: u32,
        id: ConnectionId,
        enter_ns: u64,
        result: i64,
    ) {
        self.is_on_cpu(at_ns, tgid, tid);
        let opened_by = self.acts_for(tgid, tid).map(|request| (request, tid));
        let Some(outbound) = self.connections.get_mut(&id).and_then(Connection::outbound) else { return };
        outbound.opened_by = opened_by;
        // Where the other side was there at once, the connection was established before connect(2) returned.
        let end_ns = outbound.unused_since_ns.unwrap_or(at_ns);
        outbound.connect = Some(Span { start_ns: enter_ns, end_ns });
        if result == 0 {
            outbound.unused_since_ns.get_or_insert(at_ns);
        }
    }

    pub(super) fn established(&mut self, at_ns: u64, id: ConnectionId, rcv_nxt: u32) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.stream.starts_at(rcv_nxt);
        let Some(outbound) = connection.outbound() else { return };
        outbound.unused_since_ns = Some(at_ns);
        let opened_by = outbound.opened_by;
        if let Some(connect) = &mut outbound.connect {
            connect.end_ns = at_ns;
        }
        if let Some(request) = opened_by.and_then(|(request, _)| self.requests.get_mut(request)) {
            request.connected_ns = Some(at_ns);
        }
    }

    pub(super) fn arrived(&mut self, at_ns: u64, id: ConnectionId, rcv_nxt: u32, rtt_ns: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.stream.arrived(rcv_nxt, at_ns);
        if rtt_ns > 0 {
            connection.rtt_ns = Some(rtt_ns);
        }
    }

    pub(super) fn transferred(&mut self, id: ConnectionId, direction: Direction, transfer: &Transfer) {
        // What is sent comes in its place by when it began.
        let at_ns = match direction {
            Direction::Sent => transfer.enter_ns,
            Direction::Received => transfer.exit_ns,
        };
        self.is_on_cpu(at_ns, transfer.tgid, transfer.tid);
        self.use_by_marks(id, direction, transfer.marks);
        let Some(connection) = self.connections.get_mut(&id) else { return self.missed(transfer) };
        match (&connection.use_, direction) {
            (Use::Dns, _) => self.looked_up(transfer),
            (Use::Inbound(_), Direction::Received) => self.inbound_received(id, transfer),
            (Use::Inbound(_), Direction::Sent) => self.inbound_sent(id, transfer),
            (Use::Unknown | Use::Outbound(_), Direction::Received) => self.outbound_received(id, transfer),
            (Use::Unknown | Use::Outbound(_), Direction::Sent) => self.outbound_sent(id, transfer),
        }
    }

    /// Bytes moved on a connection of which nothing is known, as its event was lost: what they were for is not known either.
    fn missed(&mut self, transfer: &Transfer) {
        let works_for = self.works_for(transfer.tgid, transfer.tid).filter(|_| transfer.bytes > 0);
        if let Some(request) = works_for.and_then(|id| self.requests.get_mut(id)) {
            request.complete = false;
        }
    }

    pub(super) fn connection_reset(&mut self, id: ConnectionId) {
        if let Some(outbound) = self.connections.get_mut(&id).and_then(Connection::outbound) {
            outbound.is_ended = true;
        }
    }

    pub(super) fn connection_closed(&mut self, at_ns: u64, id: ConnectionId) {
        self.abandon_unused(at_ns, id);
        let Some(connection) = self.connections.remove(&id) else { return };
        match connection.use_ {
            Use::Inbound(inbound) => {
                for request in inbound.requests {
                    self.close(request, at_ns);
                }
            }
            Use::Outbound(outbound) => {
                if outbound.streams.as_ref().is_some_and(|streams| streams.has_unknown()) {
                    self.hide_calls(connection.tgid);
                }
                let by = if outbound.is_ended { HungUp::Peer } else { HungUp::Client };
                let calls = match outbound.streams {
                    Some(streams) => streams.owned(),
                    None => outbound.call.into_iter().collect(),
                };
                for call in calls {
                    if let Some(call) = self.requests.call_mut(call) {
                        call.hang_up(at_ns, by);
                    }
                }
            }
            Use::Unknown | Use::Dns => {}
        }
    }

    /// What a connection is used for shows in its bytes: a request that comes in makes it inbound, also where
    /// the accept was not seen.
    fn use_by_marks(&mut self, id: ConnectionId, direction: Direction, marks: &[Mark]) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !matches!(connection.use_, Use::Unknown) {
            return;
        }
        let tgid = connection.tgid;
        for mark in marks {
            match (mark, direction) {
                (Mark::DnsQuery { .. } | Mark::DnsAnswer { .. }, _) => connection.use_ = Use::Dns,
                (Mark::RequestHead { .. }, Direction::Received) => {
                    connection.use_ = Use::Inbound(Inbound::default());
                    connection.role = Role::Accepted;
                    self.is_server(tgid);
                }
                _ => continue,
            }
            return;
        }
    }

    fn looked_up(&mut self, transfer: &Transfer) {
        let work_since_ns = self.thread(transfer.tgid, transfer.tid).work_since_ns;
        // A pool thread that was woken for this lookup had to read its configuration first.
        let start_ns = work_since_ns
            .filter(|since_ns| transfer.enter_ns.saturating_sub(*since_ns) < LOOKUP_PREPARATION_NS)
            .unwrap_or(transfer.enter_ns);
        let lookups = &mut self.process(transfer.tgid).lookups;
        for mark in transfer.marks {
            match mark {
                Mark::DnsQuery { id, name } => lookups.query(*id, name, start_ns),
                Mark::DnsAnswer { id, name, .. } => lookups.answer(*id, name, transfer.exit_ns),
                _ => {}
            }
        }
    }

    /// A step reads data: where they were there before it began, they began it, and not a timer.
    pub(super) fn not_a_timer(&mut self, tid: u32, arrival_ns: u64) {
        let frame = self.threads.get_mut(&tid).and_then(|thread| thread.frames.last_mut());
        if let Some(frame) = frame.filter(|frame| arrival_ns <= frame.start_ns) {
            frame.timer = None;
        }
    }

    /// Data that had arrived were read by a loop, in a step or (uvloop) before it: until then it had no time for
    /// them.
    pub(super) fn claim_unread(&mut self, transfer: &Transfer, arrival_ns: u64) {
        self.not_a_timer(transfer.tid, arrival_ns);
        let by_loop = self.threads.get(&transfer.tid).is_some_and(|thread| {
            !thread.frames.is_empty() || thread.enters_contexts && thread.last_epoll.is_some()
        });
        if let (true, Some(id)) = (by_loop, self.owner(transfer.tgid, transfer.tid)) {
            self.claim_ready(id, transfer.tid, arrival_ns, transfer.enter_ns, Rank::Loop);
        }
    }
}

/// Connections that are followed at once: twice as many as the probes follow.
const MAX_CONNECTIONS: usize = 2 * tracer_ebpf::limits::SOCKETS as usize;

/// What getaddrinfo does before its first query (configuration, hosts file) takes no longer than this.
const LOOKUP_PREPARATION_NS: u64 = 50_000_000;

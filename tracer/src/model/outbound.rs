//! Calls: what goes out on connections, and what comes back.

use crate::{
    event::{ConnectionId, Mark, Transport},
    model::{
        Model,
        connection::{Connection, Outbound},
        tls::{Arrived, answer_told},
        traffic::Transfer,
    },
    request::{Call, Rank, RequestId, call::Span, open::Worker},
};

/// A client that has got a connection sends its request on it within this time.
const SENDING_NS: u64 = 20_000_000;

impl Model {
    pub(super) fn outbound_sent(&mut self, id: ConnectionId, transfer: &Transfer) {
        self.joins_session(id, transfer);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(outbound) = connection.outbound() else { return };
        let unused_since_ns = outbound.unused_since_ns.take();
        for mark in transfer.marks {
            match mark {
                Mark::ClientHello { sni, .. } => {
                    outbound.is_tls = true;
                    outbound.is_http = true;
                    outbound.sni = sni.clone();
                    outbound.tls_start_ns.get_or_insert(transfer.enter_ns);
                }
                Mark::HandshakeDone => {
                    let start_ns = outbound.tls_start_ns.unwrap_or(transfer.enter_ns);
                    outbound.tls = Some(Span { start_ns, end_ns: transfer.exit_ns });
                }
                Mark::Tunnel { host, port } => outbound.tunnel = Some((host.clone(), *port)),
                Mark::RequestHead { .. } => outbound.is_http = true,
                Mark::Unparsed => outbound.is_unparsed = true,
                _ => {}
            }
        }
        if let Some(since_ns) = unused_since_ns {
            // Established, but nobody had time to use it.
            self.claim_unread(transfer, since_ns);
        }
        if self.speaks_http2(id) {
            self.streams_sent(id, transfer);
        } else if self.carries_request(id, transfer) {
            self.request_sent(id, transfer);
        }
    }

    pub(super) fn outbound_received(&mut self, id: ConnectionId, transfer: &Transfer) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let taken = connection.stream.read(transfer.bytes, transfer.exit_ns);
        let rtt_ns = connection.rtt_ns;
        let Some(outbound) = connection.outbound() else { return };
        outbound.is_ended |= transfer.bytes == 0;
        let is_unparsed = outbound.is_unparsed;
        let call = outbound.call;
        let request = match &outbound.streams {
            Some(streams) => streams.request(),
            None => call.map(|(request, _)| request),
        };
        if let Some(request) = request.filter(|request| self.is_read_for(*request, transfer)) {
            // A callback of the loop reads for the call, whoever opened the connection.
            self.adopt(request, transfer.enter_ns, transfer.tgid, transfer.tid);
        }
        let first_arrival_ns = taken.arrival_ns(0).unwrap_or(transfer.exit_ns);
        self.claim_unread(transfer, first_arrival_ns);
        if self.speaks_http2(id) {
            return self.ciphertext_arrived(id, transfer, &taken);
        }
        let Some(call) = call.and_then(|call| self.requests.call_mut(call)) else { return };
        call.rtt_ns = rtt_ns.or(call.rtt_ns);
        let mut answer_at = is_unparsed.then_some(0);
        for mark in transfer.marks {
            match mark {
                Mark::ResponseHead { at, .. } | Mark::Body { at } | Mark::Ciphertext { at } => {
                    answer_at.get_or_insert(*at);
                }
                Mark::Ticket { .. } => call.ticket_ns = taken.last_arrival_ns().or(call.ticket_ns),
                _ => {}
            }
        }
        let Some(at) = answer_at.filter(|_| transfer.bytes > 0) else {
            answer_told(call, transfer.marks, first_arrival_ns);
            if transfer.marks.iter().any(|mark| matches!(mark, Mark::Ticket { .. } | Mark::Control)) {
                return;
            }
            // Part of a record or a head: its bytes count when it is whole.
            call.pending_in = call.pending_in.saturating_add(transfer.bytes);
            call.pending_since_ns.get_or_insert(first_arrival_ns);
            return;
        };
        let arrival_ns = call.pending_since_ns.take().filter(|_| at == 0);
        let arrival_ns = arrival_ns.or(taken.arrival_ns(at)).unwrap_or(transfer.exit_ns);
        let last_arrival_ns = taken.last_arrival_ns().unwrap_or(arrival_ns);
        let bytes = transfer.bytes.saturating_sub(at).saturating_add(std::mem::take(&mut call.pending_in));
        call.ticket_ns = None;
        call.received(arrival_ns, last_arrival_ns, transfer.exit_ns, taken.n_new(at), bytes);
        answer_told(call, transfer.marks, arrival_ns);
        if let Some(outbound) = self.connections.get_mut(&id).and_then(Connection::outbound) {
            outbound.arrived = Some(Arrived { first_ns: arrival_ns, last_ns: last_arrival_ns });
        }
    }

    /// Whether a read is for the request that the connection carried last. Once that was answered, it is so in a
    /// step that is for nobody else.
    fn is_read_for(&self, request: RequestId, transfer: &Transfer) -> bool {
        let frame = self.threads.get(&transfer.tid).and_then(|thread| thread.frames.last());
        let is_free = |request: RequestId| !self.requests.is_open(request);
        let in_background = frame.is_some_and(|frame| frame.request.is_none_or(is_free));
        self.requests.is_open(request) || in_background && transfer.bytes > 0
    }

    /// A connection that ends before a request went out was a call all the same: one that failed to connect. Sockets for
    /// datagrams are connected to learn of addresses alone.
    pub(super) fn abandon_unused(&mut self, at_ns: u64, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id).filter(|of| of.transport == Transport::Tcp)
        else {
            return;
        };
        let tgid = connection.tgid;
        let Some(Outbound { n_calls: 0, connect: Some(_), opened_by: Some((request, tid)), .. }) =
            connection.outbound().cloned()
        else {
            return;
        };
        let mut call = Call::new(id, 0, Span { start_ns: at_ns, end_ns: at_ns });
        self.describe(id, tgid, Some(request), &mut call);
        self.begin(id, request, tid, self.worker(tid), call);
    }

    fn carries_request(&mut self, id: ConnectionId, transfer: &Transfer) -> bool {
        let Some(outbound) = self.connections.get_mut(&id).and_then(Connection::outbound) else {
            return false;
        };
        let by_mark = |mark: &Mark| {
            matches!(mark, Mark::RequestHead { .. } | Mark::Body { .. } | Mark::Ciphertext { .. })
        };
        transfer.bytes > 0 && (outbound.is_unparsed || transfer.marks.iter().any(by_mark))
    }

    /// Request bytes went out: the call that is under way goes on, or a new one begins.
    fn request_sent(&mut self, id: ConnectionId, transfer: &Transfer) {
        let sent = Span { start_ns: transfer.enter_ns, end_ns: transfer.exit_ns };
        let outbound = self.connections.get_mut(&id).and_then(Connection::outbound);
        let announced = outbound.and_then(|outbound| outbound.announced.take());
        let head = transfer.marks.iter().find_map(|mark| match mark {
            Mark::RequestHead { head, .. } => Some(head),
            _ => None,
        });
        let asked = transfer.marks.iter().rev().find_map(|mark| match mark {
            Mark::Asked(asked) => Some(asked),
            _ => None,
        });
        let asked = asked.or(announced.as_ref().map(|announced| &announced.asked));
        let head = head.or(announced.as_ref().map(|announced| &announced.head));
        let sender = self.acts_for(transfer.tgid, transfer.tid);
        let of =
            self.connections.get_mut(&id).and_then(Connection::outbound).and_then(|outbound| outbound.call);
        let is_same = of.is_some_and(|(of, _)| self.requests.is_open(of) || sender == Some(of));
        let under_way =
            self.call_of(id).filter(|call| is_same && call.first_byte_ns.is_none() && head.is_none());
        if let Some(call) = under_way {
            call.sent(sent, transfer.bytes);
            if let Some(asked) = asked {
                call.asked = asked.clone();
            }
            return;
        }
        let last_end_ns = self.call_of(id).map(|call| {
            call.finish(sent.start_ns);
            call.end_ns()
        });
        let Some(request) = sender else {
            self.forget_call(id);
            return;
        };
        if let (Some(left_ns), Some((of, _))) = (last_end_ns, of)
            && of != request
        {
            self.claim_pool(request, transfer.tid, left_ns, sent.start_ns);
        }
        let mut call = Call::new(id, 0, sent);
        call.request = head.cloned();
        call.asked = asked.cloned().unwrap_or_default();
        call.stack = match announced {
            Some(announced) => announced.stack,
            None if head.is_some() => std::mem::take(&mut self.thread(transfer.tgid, transfer.tid).asking),
            None => Vec::new(),
        };
        call.bytes_out = transfer.bytes;
        self.describe(id, transfer.tgid, Some(request), &mut call);
        self.begin(id, request, transfer.tid, self.worker(transfer.tid), call);
    }

    /// A connection goes from one request to another. Where that was idle as the first one left it, and sends as soon
    /// as it goes on, it waited for the connection.
    fn claim_pool(&mut self, id: RequestId, tid: u32, left_ns: u64, sent_ns: u64) {
        let Some(request) = self.requests.get_mut(id) else { return };
        let Some(Span { start_ns, end_ns }) = request.idle else { return };
        if (start_ns..=end_ns).contains(&left_ns) && sent_ns.saturating_sub(end_ns) < SENDING_NS {
            request.claim(start_ns, left_ns, Rank::Pool);
            self.claim_ready(id, tid, left_ns, end_ns, Rank::Loop);
        }
    }

    /// Fills in the peer, and for the first call of a connection what it took to open it: since the request began, or was
    /// answered.
    pub(super) fn describe(
        &mut self,
        id: ConnectionId,
        tgid: u32,
        request: Option<RequestId>,
        call: &mut Call,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let remote = connection.remote;
        let Some(outbound) = connection.outbound() else { return };
        let first = outbound.n_calls == 0;
        outbound.n_calls += 1;
        let by_head = call.request.as_ref().and_then(|head| host_of(head.host.as_deref()?));
        let by_tunnel = outbound.tunnel.clone().map(|(host, port)| (host, Some(port)));
        let by_sni = outbound.sni.clone().map(|sni| (sni, None));
        let named = by_sni.or(by_tunnel.clone()).or(by_head);
        call.port = by_tunnel.and_then(|(_, port)| port).or(remote.map(|(_, port)| port));
        call.host = named.map(|(host, _)| host).or(remote.map(|(address, _)| address.to_string()));
        call.is_http = outbound.is_http;
        let opened = outbound.connect.filter(|_| first);
        call.connection_reused = opened.is_none();
        if let Some(connect) = opened {
            call.connect = Some(connect);
            call.tls = outbound.tls;
            let host = call.host.as_deref().unwrap_or_default();
            let request = request.and_then(|request| self.requests.get(request));
            let since_ns = request.map_or(0, |request| request.end_ns.unwrap_or(request.start_ns));
            call.dns = self.process(tgid).lookups.take(host, since_ns, connect.start_ns);
        }
        let path = call.request.as_ref().map(|head| head.path.as_str());
        call.to_llm = self.vendors.is_llm(call.host.as_deref(), call.port, path);
    }

    /// A call begins, which `worker` makes, or did, on this thread. Gives its index.
    pub(super) fn begin(
        &mut self,
        id: ConnectionId,
        request: RequestId,
        tid: u32,
        worker: Worker,
        mut call: Call,
    ) -> Option<usize> {
        let open = self.requests.get_mut(request)?;
        call.context = open.context_number(worker);
        let (dns, connect) = (call.dns, call.connect);
        open.calls.push(call);
        let index = open.calls.len() - 1;
        if let Some(outbound) = self.connections.get_mut(&id).and_then(Connection::outbound) {
            outbound.call = Some((request, index));
        }
        if let (Some(dns), Some(connect)) = (dns, connect) {
            // The address was there, but the loop had no time to connect.
            self.claim_ready(request, tid, dns.end_ns, connect.start_ns, Rank::Loop);
        }
        Some(index)
    }

    pub(super) fn call_of(&mut self, id: ConnectionId) -> Option<&mut Call> {
        let call = self.connections.get_mut(&id).and_then(Connection::outbound)?.call?;
        self.requests.call_mut(call)
    }

    /// Nobody that is followed makes this call.
    fn forget_call(&mut self, id: ConnectionId) {
        if let Some(Outbound { call, n_calls, .. }) =
            self.connections.get_mut(&id).and_then(Connection::outbound)
        {
            *call = None;
            *n_calls += 1;
        }
    }
}

/// Host and port of a `Host` header.
fn host_of(header: &str) -> Option<(String, Option<u16>)> {
    let header = header.trim();
    if header.is_empty() {
        return None;
    }
    match header.rsplit_once(':') {
        Some((host, port)) if port.chars().all(|c| c.is_ascii_digit()) && !host.ends_with(':') => {
            Some((host.to_owned(), port.parse().ok()))
        }
        _ => Some((header.to_owned(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_headers_lose_their_port() {
        assert_eq!(host_of("api.openai.com"), Some(("api.openai.com".to_owned(), None)));
        assert_eq!(host_of("localhost:11434"), Some(("localhost".to_owned(), Some(11434))));
        assert_eq!(host_of("[::1]:80"), Some(("[::1]".to_owned(), Some(80))));
        assert_eq!(host_of(" "), None);
    }
}

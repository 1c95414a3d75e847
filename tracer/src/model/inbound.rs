//! Requests that come in on accepted connections.

use crate::{
    event::{ConnectionId, Mark, RequestHead},
    model::{
        Model,
        connection::{Connection, Inbound, Use},
        traffic::Transfer,
    },
    request::{Rank, RequestId},
};

impl Model {
    pub(super) fn inbound_received(&mut self, id: ConnectionId, transfer: &Transfer) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let taken = connection.stream.read(transfer.bytes, transfer.exit_ns);
        self.not_a_timer(transfer.tid, taken.arrival_ns(0).unwrap_or(transfer.exit_ns));
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(inbound) = inbound_of(connection) else { return };
        let mut head_since_ns = inbound.head_since_ns.take();
        if let Some(since_ns) = inbound.body_since_ns.take() {
            // The caller kept us waiting for the rest of the body.
            let until_ns = taken.arrival_ns(0).unwrap_or(transfer.exit_ns);
            if let Some(request) = inbound.requests.back().and_then(|request| self.requests.get_mut(*request))
            {
                request.claim(since_ns, until_ns, Rank::Client);
            }
        }
        let mut body_open = false;
        for mark in transfer.marks {
            match mark {
                Mark::RequestHead { at, head } => {
                    self.answered_unseen(id);
                    let arrival_ns = taken.arrival_ns(*at).unwrap_or(transfer.exit_ns);
                    let start_ns = head_since_ns.take().unwrap_or(arrival_ns);
                    self.request_began(id, transfer, start_ns, head);
                    body_open = true;
                }
                Mark::Body { .. } => body_open = true,
                Mark::RequestEnd => body_open = false,
                _ => {}
            }
        }
        let Some(inbound) = self.connections.get_mut(&id).and_then(inbound_of) else { return };
        if body_open {
            inbound.body_since_ns = Some(transfer.exit_ns);
        } else if transfer.marks.is_empty() && transfer.bytes > 0 {
            // The beginning of a head that is not whole yet.
            inbound.head_since_ns = head_since_ns.or(taken.arrival_ns(0)).or(Some(transfer.exit_ns));
        }
        // Whoever reads on a connection works for its request; one that was pipelined waits its turn.
        if let Some(request) = inbound.requests.front().copied() {
            self.adopt(request, transfer.enter_ns, transfer.tgid, transfer.tid);
        }
    }

    pub(super) fn inbound_sent(&mut self, id: ConnectionId, transfer: &Transfer) {
        let Some(inbound) = self.connections.get_mut(&id).and_then(inbound_of) else { return };
        if let Some(sent_ns) = &mut inbound.unparsed_sent_ns {
            *sent_ns = transfer.exit_ns;
        }
        if let Some(current) = inbound.requests.front().copied() {
            self.answers(current, transfer.tgid, transfer.tid);
            self.adopt(current, transfer.enter_ns, transfer.tgid, transfer.tid);
        }
        for mark in transfer.marks {
            let Some(inbound) = self.connections.get_mut(&id).and_then(inbound_of) else { return };
            let Some(current) = inbound.requests.front().copied() else { return };
            let Some(request) = self.requests.get_mut(current) else { continue };
            match mark {
                Mark::ResponseHead { head, .. } => {
                    request.status = Some(head.status);
                    request.first_byte_ns.get_or_insert(transfer.exit_ns);
                }
                Mark::ResponseEnd => self.answered(id, current, transfer),
                Mark::Unparsed => inbound.unparsed_sent_ns = Some(transfer.exit_ns),
                _ => {}
            }
        }
    }

    /// The next request comes on a connection where the end of an answer could not be seen: callers do not ask before they
    /// have theirs, so it was sent before. What else belonged to that request is not known.
    fn answered_unseen(&mut self, id: ConnectionId) {
        let Some(inbound) = self.connections.get_mut(&id).and_then(inbound_of) else { return };
        let Some(sent_ns) = inbound.unparsed_sent_ns.take() else { return };
        for request in std::mem::take(&mut inbound.requests) {
            if let Some(request) = self.requests.get_mut(request) {
                request.complete = false;
            }
            self.close(request, sent_ns);
        }
    }

    /// The request that is to be answered next on an accepted connection.
    pub(super) fn served_on(&self, connection: ConnectionId) -> Option<RequestId> {
        match &self.connections.get(&connection)?.use_ {
            Use::Inbound(inbound) => inbound.requests.front().copied(),
            _ => None,
        }
    }

    fn request_began(
        &mut self,
        connection: ConnectionId,
        transfer: &Transfer,
        start_ns: u64,
        head: &RequestHead,
    ) {
        self.is_server(transfer.tgid);
        let id = self.new_request(transfer.tgid, start_ns);
        if let Some(request) = self.requests.get_mut(id) {
            request.connection = Some(connection);
            request.head = head.clone();
        }
        let Some(inbound) = self.connections.get_mut(&connection).and_then(inbound_of) else { return };
        inbound.requests.push_back(id);
        self.claim_ready(id, transfer.tid, start_ns, transfer.enter_ns, Rank::Loop);
        self.claim_reader_put_off(id, transfer.tid, transfer.enter_ns, start_ns);
    }

    fn answered(&mut self, connection: ConnectionId, current: RequestId, transfer: &Transfer) {
        self.close(current, transfer.exit_ns);
        let Some(inbound) = self.connections.get_mut(&connection).and_then(inbound_of) else { return };
        inbound.requests.pop_front();
        // A pipelined request that was read before is next, and this step goes on with it.
        if let Some(next) = inbound.requests.front().copied() {
            self.adopt(next, transfer.exit_ns, transfer.tgid, transfer.tid);
        }
    }
}

fn inbound_of(connection: &mut Connection) -> Option<&mut Inbound> {
    match &mut connection.use_ {
        Use::Inbound(inbound) => Some(inbound),
        _ => None,
    }
}

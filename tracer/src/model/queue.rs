//! Work that a queue hands from one thread to another: who put it in is whom it is for.

use foldhash::HashMap;

use crate::{
    model::{Model, thread::Frame},
    request::{Rank, RequestId},
};

/// Items that wait in the queues of a process. They are few, unless their end was not seen: then all are dropped.
const LIMIT: usize = 65_536;

/// Items in the queues of a process, by address.
#[derive(Clone, Debug, Default)]
pub struct Queues(HashMap<u64, Item>);

#[derive(Clone, Copy, Debug)]
struct Item {
    request: Option<RequestId>,
    put_ns: u64,
}

impl Model {
    pub(super) fn queue_put(&mut self, at_ns: u64, tgid: u32, tid: u32, item: u64) {
        self.is_on_cpu(at_ns, tgid, tid);
        let request = self.owner(tgid, tid);
        let Queues(items) = &mut self.process(tgid).queues;
        if items.len() >= LIMIT {
            items.clear();
        }
        let before = items.insert(item, Item { request, put_ns: at_ns });
        if let (Some(before), Some(item)) = (before, items.get_mut(&item))
            && before.request != request
        {
            // It is in two places at once, as None may be, and may be got for either.
            item.request = None;
        }
    }

    /// A thread of a pool has nothing to do until it gets something.
    pub(super) fn queue_asked(&mut self, at_ns: u64, tgid: u32, tid: u32) {
        self.is_on_cpu(at_ns, tgid, tid);
        let thread = self.thread(tgid, tid);
        if thread.frames.is_empty() && (thread.works_from_queue || thread.is_started_by_request) {
            thread.is_started_by_request = false;
            self.unbind_thread(at_ns, tid);
        }
        self.put_down(at_ns, tgid, tid);
        let thread = self.thread(tgid, tid);
        if thread.frames.is_empty() {
            // A loop that it ran for its last item is over.
            thread.last_epoll = None;
        }
    }

    /// A greenlet that may be a pool's is done with what it worked for.
    fn put_down(&mut self, at_ns: u64, tgid: u32, tid: u32) {
        self.flush(at_ns, tid);
        let frame = self.thread(tgid, tid).frames.pop_if(|frame| frame.takes_work && frame.request.is_some());
        let Some(frame) = frame else { return };
        self.step_left(at_ns, tgid, tid, &frame);
        let thread = self.thread(tgid, tid);
        thread.frames.push(Frame { request: None, start_ns: at_ns, timer: None, put_off_ns: None, ..frame });
        thread.owned_by(None, at_ns);
    }

    pub(super) fn queue_got(&mut self, at_ns: u64, tgid: u32, tid: u32, item: u64) {
        self.is_on_cpu(at_ns, tgid, tid);
        let Some(Item { request, put_ns }) = self.process(tgid).queues.0.remove(&item) else { return };
        // Whoever works for somebody reads an answer, and is not handed work.
        if self.owner(tgid, tid).is_some() {
            return;
        }
        let Some(id) = request else { return };
        self.flush(at_ns, tid);
        let thread = self.thread(tgid, tid);
        match thread.frames.last_mut() {
            Some(frame) => {
                frame.request = Some(id);
                frame.start_ns = at_ns;
            }
            None => {
                thread.request = Some(id);
                thread.bound_ns = at_ns;
                thread.works_from_queue = true;
            }
        }
        thread.owned_by(Some(id), at_ns);
        self.claim_ready(id, tid, put_ns, at_ns, Rank::Executor);
    }
}

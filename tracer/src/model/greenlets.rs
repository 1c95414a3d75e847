//! Greenlets: stacks that a thread turns between by itself. Each has its own contexts, and is one where it has none.

use crate::model::{
    Model,
    thread::{Aside, Frame},
};

/// Greenlets of a thread that are set aside. When there are more, the ends of most were not seen, and all are dropped.
const LIMIT: usize = 65_536;

impl Model {
    /// A thread turns to another greenlet; 0 is its own stack. Who made it owns it, as the one who copies a context.
    pub(super) fn greenlet_switched(&mut self, at_ns: u64, tgid: u32, tid: u32, greenlet: u64) {
        self.is_on_cpu(at_ns, tgid, tid);
        if self.thread(tgid, tid).greenlet == greenlet {
            return;
        }
        let is_known = self.thread(tgid, tid).aside.contains_key(&greenlet);
        if !is_known && self.process(tgid).contexts.is_copied_elsewhere(greenlet, tid) {
            // All that its thread ever does, as in gevent's pool of threads: it works for whom the thread works for.
            self.thread(tgid, tid).greenlet = greenlet;
            return;
        }
        self.set_aside(at_ns, tgid, tid);
        let thread = self.thread(tgid, tid);
        thread.greenlet = greenlet;
        match thread.aside.remove(&greenlet) {
            Some(aside) => self.take_up(at_ns, tgid, tid, aside),
            // Where it was before that was seen, it is in nothing.
            None if greenlet == 0 => {}
            None => self.step_into(at_ns, tgid, tid, greenlet, true),
        }
    }

    /// Ends the steps of the greenlet that runs.
    fn set_aside(&mut self, at_ns: u64, tgid: u32, tid: u32) {
        self.flush(at_ns, tid);
        let frames = self.thread(tgid, tid).frames.clone();
        while let Some(frame) = self.thread(tgid, tid).frames.pop() {
            self.step_left(at_ns, tgid, tid, &frame);
        }
        let thread = self.thread(tgid, tid);
        if thread.aside.len() >= LIMIT {
            thread.aside.clear();
        }
        let request = thread.request.take();
        thread.aside.insert(thread.greenlet, Aside { frames, request, left_ns: at_ns });
        thread.owned_by(None, at_ns);
    }

    /// Goes on with the steps of a greenlet.
    fn take_up(&mut self, at_ns: u64, tgid: u32, tid: u32, aside: Aside) {
        let thread = self.thread(tgid, tid);
        thread.request = aside.request;
        thread.bound_ns = at_ns;
        let timer = thread
            .last_epoll
            .filter(|epoll| epoll.out_ns >= aside.left_ns && epoll.has_timer_due(at_ns))
            .map(|epoll| epoll.timer(aside.left_ns, at_ns));
        let innermost = aside.frames.len().saturating_sub(1);
        for (index, frame) in aside.frames.into_iter().enumerate() {
            let around = self.owner(tgid, tid);
            let timer = timer.filter(|_| index == innermost);
            let frame = Frame { start_ns: at_ns, adopted: false, put_off_ns: None, timer, ..frame };
            self.thread(tgid, tid).frames.push(frame);
            if let Some(id) = frame.request.filter(|id| around != Some(*id)) {
                self.step_began(id, at_ns, tid, 0);
            }
        }
        let owner = self.owner(tgid, tid);
        self.thread(tgid, tid).owned_by(owner, at_ns);
    }
}

//! Tasks that a request starts and that go on for others, as a worker does that takes jobs from an `asyncio.Queue`: whose
//! job it does can't be seen, as that queue is Python code and need not wait between two jobs.

use crate::{
    model::{Model, thread::Thread},
    request::{RequestId, open::Worker},
};

impl Model {
    /// The running step sets what another context waits for: its own request's, or the result of another's job.
    pub(super) fn serves(&mut self, at_ns: u64, tgid: u32, tid: u32, waiting: u64) {
        let Some(&waiting) = self.process(tgid).contexts.get(waiting) else { return };
        let frame = self.thread(tgid, tid).frames.last().filter(|frame| !frame.adopted).copied();
        let request = waiting.owner.or_else(|| self.served_on(waiting.serves?));
        let (Some(frame), Some(request)) = (frame, request) else { return };
        if frame.request != Some(request) {
            self.works_with(request, at_ns, tgid, frame.address);
        } else if waiting.generation < frame.generation {
            // What it has made itself is a part of its job.
            self.process(tgid).contexts.served(frame.address, at_ns);
        }
    }

    /// The running step sends a piece of its request's answer: it works for that alone.
    pub(super) fn answers(&mut self, id: RequestId, tgid: u32, tid: u32) {
        let frame = self.thread(tgid, tid).frames.last().filter(|frame| frame.request == Some(id)).copied();
        if let Some(frame) = frame.filter(|frame| !frame.adopted) {
            self.process(tgid).contexts.served(frame.address, u64::MAX);
        }
    }

    /// A context has something for `other`. After its own request was answered, whom it works for is no longer known: it
    /// may be a lock that both take in turn, or the result of a job. So its calls are nobody's, but for those that it made
    /// before it had a result for its own request.
    fn works_with(&mut self, other: RequestId, at_ns: u64, tgid: u32, address: u64) {
        let Some(&context) = self.process(tgid).contexts.get(address) else { return };
        let Some(owner) = context.owner.filter(|owner| *owner != other && !self.requests.is_open(*owner))
        else {
            return;
        };
        if context.shared_since_ns == u64::MAX {
            return;
        }
        self.process(tgid).contexts.disown(address);
        self.leave_owner(owner, at_ns, tgid, address);
        if let Some(request) = self.requests.get_mut(owner) {
            request.disown_calls(Worker::Context(context.generation), context.shared_since_ns);
        }
    }

    /// The step that a context is in, if any, is no longer its owner's.
    fn leave_owner(&mut self, owner: RequestId, at_ns: u64, tgid: u32, address: u64) {
        let is_inside = |thread: &Thread| {
            thread.tgid == tgid && thread.frames.iter().any(|frame| frame.address == address)
        };
        let inside = self.threads.iter().find(|(_, thread)| is_inside(thread));
        let Some(tid) = inside.map(|(tid, _)| *tid) else { return };
        self.flush(at_ns, tid);
        let frames = self.thread(tgid, tid).frames.iter_mut();
        let own = frames.filter(|frame| frame.address == address && frame.request == Some(owner));
        own.for_each(|frame| frame.request = None);
        let owner = self.owner(tgid, tid);
        self.thread(tgid, tid).owned_by(owner, at_ns);
    }
}

//! Tasks that a request starts and that go on for others, as a worker does that takes jobs from an `asyncio.Queue`: whose
//! job it does can't be seen, as that queue is Python code and need not wait between two jobs.

use crate::{
    model::{Model, thread::Frame},
    request::{RequestId, open::Worker},
};

impl Model {
    /// The running step sets what another context waits for: its own request's, or the result of another's job.
    pub(super) fn hands_over(&mut self, at_ns: u64, tgid: u32, tid: u32, waiting: u64) {
        let Some(&waiting) = self.process(tgid).contexts.get(waiting) else { return };
        let frame = self.thread(tgid, tid).frames.last().filter(|frame| !frame.adopted).copied();
        let request = self.context_works_for(&waiting);
        let (Some(frame), Some(request)) = (frame, request) else { return };
        if frame.request != Some(request) {
            self.works_with(request, at_ns, tgid, tid, &frame);
        } else if waiting.generation < frame.generation {
            // What it has made itself is a part of its job.
            self.process(tgid).contexts.served(frame.address, at_ns);
        }
    }

    /// The running step sends a piece of its request's answer: it works for that alone.
    pub(super) fn answers(&mut self, id: RequestId, tgid: u32, tid: u32) {
        let frame = self.thread(tgid, tid).frames.last().copied();
        if let Some(frame) = frame.filter(|frame| frame.request == Some(id) && !frame.adopted) {
            self.process(tgid).contexts.served(frame.address, u64::MAX);
        }
    }

    /// The running step has something for `other`. After its own request was answered, whom it works for is no longer
    /// known: it may be a lock that both take in turn, or the result of a job. So its context's calls are nobody's, but
    /// for those that it made before it had a result for its own request.
    fn works_with(&mut self, other: RequestId, at_ns: u64, tgid: u32, tid: u32, frame: &Frame) {
        let Some(&context) = self.process(tgid).contexts.get(frame.address) else { return };
        let may_be_shared = |owner: &RequestId| {
            *owner != other && !self.requests.is_open(*owner) && context.shared_since_ns != u64::MAX
        };
        let Some(owner) = context.owner.filter(may_be_shared) else { return };
        self.process(tgid).contexts.disown(frame.address);
        self.flush(at_ns, tid);
        let thread = self.thread(tgid, tid);
        if let Some(frame) = thread.frames.last_mut().filter(|frame| frame.request == Some(owner)) {
            frame.request = None;
            thread.owned_by(None, at_ns);
        }
        if let Some(request) = self.requests.get_mut(owner) {
            request.disown_calls(Worker::Context(context.generation), context.shared_since_ns);
        }
    }
}

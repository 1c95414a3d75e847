//! Contexts of a process: addresses are reused at once, so every use gets a generation number.

use foldhash::HashMap;

use crate::{event::ConnectionId, request::RequestId};

/// A contextvars Context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Unique within the process.
    pub generation: u64,
    /// The request that the step worked for which copied it.
    pub owner: Option<RequestId>,
    /// The accepted connection that it descends from: a task that serves a connection, request by request, runs
    /// in such a context.
    pub serves: Option<ConnectionId>,
    /// When and by which thread it was copied; `None` for one that was there before, or was made anew.
    pub copied: Option<(u64, u32)>,
    pub has_run: bool,
    /// When and by which thread it was left last.
    pub left: Option<(u64, u32)>,
    /// What it waited for since then is there.
    pub ready: Option<Ready>,
    /// Since when it may work for others than its owner; `u64::MAX` for one that answers its request.
    pub shared_since_ns: u64,
    /// It was given something that it waited for at an `asyncio.Queue`.
    pub takes_jobs: bool,
    /// By another request than its owner.
    pub takes_jobs_of_others: bool,
}

impl Context {
    /// Whether it may go on for whoever had a job for it: from others, or once its owner is answered; unless it is what
    /// answers.
    pub fn may_work_for_others(&self, is_owner_open: bool) -> bool {
        let may = self.takes_jobs_of_others || self.takes_jobs && !is_owner_open;
        may && self.shared_since_ns != u64::MAX
    }
}

/// Somebody set the result that a context waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    pub at_ns: u64,
    /// The request that the step worked for which set it.
    pub by: Option<RequestId>,
}

/// Contexts kept per process. The oldest go first: they were never seen to end.
const LIMIT: usize = 65_536;

#[derive(Clone, Debug, Default)]
pub struct Contexts {
    by_address: HashMap<u64, Context>,
    generations: u64,
}

impl Contexts {
    /// A copy was made: whatever was at this address before is gone.
    pub fn copied(
        &mut self,
        address: u64,
        owner: Option<RequestId>,
        serves: Option<ConnectionId>,
        at_ns: u64,
        tid: u32,
    ) {
        self.insert(address, owner, serves, Some((at_ns, tid)));
    }

    /// The context at this address as it was before this run; an unknown one is taken in without owner.
    pub fn run(&mut self, address: u64) -> Context {
        if !self.by_address.contains_key(&address) {
            self.insert(address, None, None, None);
        }
        match self.by_address.get_mut(&address) {
            Some(context) => {
                let before = *context;
                context.has_run = true;
                context.ready = None;
                before
            }
            None => Context::default(),
        }
    }

    /// Whether another thread than this one made it.
    pub fn is_copied_elsewhere(&self, address: u64, tid: u32) -> bool {
        let copied = self.by_address.get(&address).and_then(|context| context.copied);
        copied.is_some_and(|(_, by_tid)| by_tid != tid)
    }

    /// A run of it is over.
    pub fn left(&mut self, address: u64, at_ns: u64, tid: u32) {
        if let Some(context) = self.by_address.get_mut(&address) {
            context.left = Some((at_ns, tid));
        }
    }

    /// What it waits for is there.
    pub fn made_ready(&mut self, address: u64, ready: Ready) {
        if let Some(context) = self.by_address.get_mut(&address) {
            context.ready = Some(ready);
        }
    }

    pub fn get(&self, address: u64) -> Option<&Context> {
        self.by_address.get(&address)
    }

    /// It has set what another context of its request waited for: what it does from here on may be for others.
    pub fn served(&mut self, address: u64, at_ns: u64) {
        if let Some(context) = self.by_address.get_mut(&address) {
            context.shared_since_ns = context.shared_since_ns.max(at_ns);
        }
    }

    /// What it waits for was put into a queue, on behalf of a request where that is known.
    pub fn takes_job(&mut self, address: u64, by: Option<RequestId>) {
        if let Some(context) = self.by_address.get_mut(&address) {
            context.takes_jobs = true;
            context.takes_jobs_of_others |= by.is_some() && by != context.owner;
        }
    }

    /// It works for nobody who is known.
    pub fn disown(&mut self, address: u64) {
        if let Some(context) = self.by_address.get_mut(&address) {
            context.owner = None;
        }
    }

    pub fn ended(&mut self, address: u64) {
        self.by_address.remove(&address);
    }

    fn insert(
        &mut self,
        address: u64,
        owner: Option<RequestId>,
        serves: Option<ConnectionId>,
        copied: Option<(u64, u32)>,
    ) {
        self.generations += 1;
        if self.by_address.len() >= LIMIT {
            let oldest = self.generations.saturating_sub(LIMIT as u64 / 2);
            self.by_address.retain(|_, context| context.generation >= oldest);
        }
        self.by_address.insert(
            address,
            Context { generation: self.generations, owner, serves, copied, ..Context::default() },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_address_is_a_new_context() {
        let mut contexts = Contexts::default();
        contexts.copied(0x10, Some(RequestId(1)), None, 5, 7);
        let first = contexts.run(0x10);
        contexts.ended(0x10);
        contexts.copied(0x10, Some(RequestId(2)), None, 9, 7);
        let second = contexts.run(0x10);
        assert_ne!(first.generation, second.generation);
        assert_eq!((second.owner, second.has_run), (Some(RequestId(2)), false));
        assert!(contexts.run(0x10).has_run);
    }

    #[test]
    fn contexts_never_seen_to_end_are_bounded() {
        let mut contexts = Contexts::default();
        for address in 0..3 * LIMIT as u64 {
            contexts.copied(address, None, None, address, 1);
        }
        assert!(contexts.by_address.len() <= LIMIT);
    }
}

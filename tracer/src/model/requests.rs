//! Requests by their number: those that are being answered, and those that were, which tasks of theirs may still
//! work for.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashSet};

use crate::request::{Call, Request, RequestId};

#[derive(Debug, Default)]
pub struct Requests {
    open: HashMap<RequestId, Request>,
    closed: BTreeMap<RequestId, Request>,
    count: u64,
}

impl Requests {
    pub fn begin(&mut self, tgid: u32, start_ns: u64) -> RequestId {
        self.count += 1;
        let id = RequestId(self.count);
        self.open.insert(id, Request::new(id, tgid, start_ns));
        id
    }

    pub fn is_open(&self, id: RequestId) -> bool {
        self.open.contains_key(&id)
    }

    /// Those that are not answered, in order of appearance.
    pub fn open(&self) -> Vec<RequestId> {
        let mut ids: Vec<RequestId> = self.open.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Those that are not answered of a process, in order of appearance.
    pub fn open_of(&self, tgid: u32) -> Vec<RequestId> {
        let mut ids = self.open();
        ids.retain(|id| self.open[id].tgid == tgid);
        ids
    }

    pub fn get(&self, id: RequestId) -> Option<&Request> {
        self.open.get(&id).or_else(|| self.closed.get(&id))
    }

    pub fn get_mut(&mut self, id: RequestId) -> Option<&mut Request> {
        self.open.get_mut(&id).or_else(|| self.closed.get_mut(&id))
    }

    /// A call, by its request and its index there.
    pub fn call_mut(&mut self, (request, index): (RequestId, usize)) -> Option<&mut Call> {
        self.get_mut(request)?.calls.get_mut(index)
    }

    /// Whether any other than this one is not answered of a process.
    pub fn has_others(&self, tgid: u32, than: Option<RequestId>) -> bool {
        self.open.iter().any(|(id, request)| request.tgid == tgid && Some(*id) != than)
    }

    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Request> {
        self.open.values_mut().chain(self.closed.values_mut())
    }

    /// It is answered: what is done for it from here on is done in the background.
    pub fn close(&mut self, id: RequestId, at_ns: u64) {
        let Some(mut request) = self.open.remove(&id) else { return };
        request.end(at_ns);
        self.closed.insert(id, request);
    }

    /// It was none.
    pub fn forget(&mut self, id: RequestId) {
        self.open.remove(&id);
    }

    /// The first one begun from here on has the number after this one.
    pub fn number_after(&mut self, count: u64) {
        self.count = count;
    }

    /// Processes of which there are some, closed or not.
    pub fn processes(&self) -> HashSet<u32> {
        self.open.values().chain(self.closed.values()).map(|request| request.tgid).collect()
    }

    /// How many are not answered, and how many were and are still held.
    pub fn held(&self) -> (usize, usize) {
        (self.open.len(), self.closed.len())
    }

    /// Takes out closed ones, in order of appearance. What is still done for them goes nowhere.
    pub fn take_closed(&mut self, is_done: impl Fn(&Request) -> bool) -> Vec<Request> {
        let done = self.closed.values().filter(|request| is_done(request));
        let ids: Vec<RequestId> = done.map(|request| request.id).collect();
        ids.iter().filter_map(|id| self.closed.remove(id)).collect()
    }

    /// The closed ones, in order of appearance.
    pub fn into_closed(self) -> Vec<Request> {
        self.closed.into_values().collect()
    }
}

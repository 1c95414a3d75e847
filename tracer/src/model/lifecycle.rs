//! Processes and threads come and go.

use crate::{
    event::ProcessFacts,
    model::{
        Model,
        process::{KnownProcess, Process},
        thread::Thread,
    },
    request::Rank,
};

impl Model {
    pub(super) fn process_found(&mut self, tgid: u32, facts: &ProcessFacts) {
        self.facts.insert(tgid, KnownProcess { facts: facts.clone(), forked_ns: None });
        let was_there_ns = self.first_ns.unwrap_or(self.now_ns);
        let process = self.process(tgid);
        process.facts = Some(facts.clone());
        let started_ns = process.forked_ns.unwrap_or(was_there_ns);
        self.begin_run(tgid, started_ns);
    }

    pub(super) fn forked(&mut self, at_ns: u64, tgid: u32, tid: u32, child_tgid: u32, child_tid: u32) {
        let (owner, request) = (self.owner(tgid, tid), self.acts_for(tgid, tid));
        let mut child = Thread::new(child_tgid);
        child.work_since_ns = Some(at_ns);
        child.juggles = child_tgid == tgid && self.process(tgid).is_unfollowed;
        if child_tgid == tgid {
            child.request = owner;
            child.owned_by(owner, at_ns);
            child.bound_ns = at_ns;
            child.is_started_by_request = true;
            child.is_new = true;
            let maker = self.thread(tgid, tid);
            child.is_born_in_python = std::mem::take(&mut maker.starts_python);
            maker.makes_worker = false;
        } else {
            let parent = self.process(tgid);
            parent.n_children += 1;
            let process = Process {
                facts: parent.facts.clone(),
                contexts: parent.contexts.clone(),
                codes: parent.codes.clone(),
                inherited: request.map(|request| (request, at_ns)),
                forked_ns: Some(at_ns),
                parent: Some(tgid),
                ..Process::default()
            };
            self.processes.insert(child_tgid, process);
            // The child goes on where its parent stands: within the same steps.
            child.frames = self.threads.get(&tid).map(|thread| thread.frames.clone()).unwrap_or_default();
        }
        self.threads.insert(child_tid, child);
        self.process(child_tgid).n_threads += 1;
    }

    pub(super) fn execed(&mut self, at_ns: u64, tgid: u32, tid: u32) {
        // Another program: nothing of the old one is left but the parent's request.
        self.threads.retain(|_, thread| thread.tgid != tgid);
        self.threads.insert(tid, Thread::new(tgid));
        let process = self.process(tgid);
        let (inherited, parent, run) = (process.inherited, process.parent, process.run);
        *process = Process { inherited, parent, n_threads: 1, ..Process::default() };
        if let Some(run) = run {
            self.requests.forget(run);
        }
        self.begin_run(tgid, at_ns);
        self.is_on_cpu(at_ns, tgid, tid);
    }

    /// Until it accepts, or unless it works for a parent's request, a process's run is a request.
    pub(super) fn begin_run(&mut self, tgid: u32, started_ns: u64) {
        let process = self.process(tgid);
        if process.is_server || process.run.is_some() || process.inherited.is_some() {
            return;
        }
        let run = self.new_request(tgid, started_ns);
        self.process(tgid).run = Some(run);
    }

    pub(super) fn exited(&mut self, at_ns: u64, tgid: u32, tid: u32) {
        self.thread_ended(at_ns, tid);
        let Some(process) = self.processes.get_mut(&tgid) else { return };
        process.n_threads = process.n_threads.saturating_sub(1);
        if process.n_threads == 0 && !self.threads.values().any(|thread| thread.tgid == tgid) {
            self.process_ended(at_ns, tgid);
        }
    }

    pub(super) fn thread_ended(&mut self, at_ns: u64, tid: u32) {
        self.flush(at_ns, tid);
        self.unbind_thread(at_ns, tid);
        let Some(thread) = self.threads.remove(&tid) else { return };
        let (process, request) = (self.processes.get_mut(&thread.tgid), thread.owner_at(at_ns));
        if let (Some(process), Some(request)) = (process, request) {
            process.ended.add(tid, request);
        }
    }

    /// Ends also the threads whose end was not seen.
    pub(super) fn process_ended(&mut self, at_ns: u64, tgid: u32) {
        let own = self.threads.iter().filter(|(_, thread)| thread.tgid == tgid);
        let tids: Vec<u32> = own.map(|(tid, _)| *tid).collect();
        tids.into_iter().for_each(|tid| self.thread_ended(at_ns, tid));
        let Some(process) = self.processes.get(&tgid) else { return };
        let (run, parent) = (process.run, process.parent);
        self.claim_child(at_ns, tgid);
        if let Some(run) = run {
            self.close(run, at_ns);
        }
        for id in self.requests.open_of(tgid) {
            self.close(id, at_ns);
        }
        self.processes.remove(&tgid);
        if let Some(parent) = parent.and_then(|parent| self.processes.get_mut(&parent)) {
            parent.n_children = parent.n_children.saturating_sub(1);
        }
    }

    /// The request that started a process waits for it while it lives, unless something better is known.
    pub(super) fn claim_child(&mut self, at_ns: u64, tgid: u32) {
        let inherited = self.processes.get(&tgid).and_then(|process| process.inherited);
        if let Some((id, since_ns)) = inherited
            && let Some(request) = self.requests.get_mut(id)
        {
            request.claim(since_ns, at_ns, Rank::Child);
        }
    }

    /// The process accepts connections, so its run and those of its ancestors are no requests.
    pub(super) fn is_server(&mut self, tgid: u32) {
        let mut next = Some(tgid);
        while let Some(tgid) = next {
            let process = self.process(tgid);
            if std::mem::replace(&mut process.is_server, true) {
                return;
            }
            let run = process.run.take();
            next = process.parent.filter(|parent| self.processes.contains_key(parent));
            if let Some(run) = run {
                self.requests.forget(run);
            }
        }
    }

    pub(super) fn process(&mut self, tgid: u32) -> &mut Process {
        self.processes.entry(tgid).or_default()
    }

    pub(super) fn thread(&mut self, tgid: u32, tid: u32) -> &mut Thread {
        if !self.threads.contains_key(&tid) {
            self.process(tgid).n_threads += 1;
        }
        let juggles = self.process(tgid).is_unfollowed;
        self.threads.entry(tid).or_insert_with(|| {
            let mut thread = Thread::new(tgid);
            thread.juggles = juggles;
            thread
        })
    }
}

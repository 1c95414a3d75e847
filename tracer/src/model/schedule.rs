//! On and off CPU: what the time of a thread is claimed for.

use crate::{
    event::{OffState, Role, Wait},
    model::{
        Model,
        thread::{Epoll, Off, Piece, UnseenIn},
    },
    request::{Rank, RequestId, call::Span, call_tree::OnCpu, open::Holder},
};

impl Model {
    pub(super) fn switched_out(&mut self, at_ns: u64, tgid: u32, tid: u32, state: OffState, wait: Wait) {
        self.flush(at_ns, tid);
        if matches!(wait, Wait::Epoll { .. })
            && self.threads.get(&tid).is_some_and(|thread| thread.until_step_ends)
        {
            self.unbind_thread(at_ns, tid);
        }
        let is_gil = match wait {
            Wait::Futex { address } => self.process(tgid).is_gil(address),
            _ => false,
        };
        let thread = self.thread(tgid, tid);
        let is_on_a_peer = matches!(
            wait,
            Wait::Poll { .. }
                | Wait::Receive { .. }
                | Wait::Send { .. }
                | Wait::Connect { .. }
                | Wait::Accept
        );
        if is_on_a_peer && thread.frames.is_empty() {
            // A loop waits for its peers in epoll alone: the one that this thread ran is over.
            thread.last_epoll = None;
        }
        let is_working = !thread.frames.is_empty() || thread.request.is_some();
        thread.on_cpu_since_ns = None;
        let is_futex = matches!(wait, Wait::Futex { .. });
        let is_lock = is_futex && !is_gil && thread.at_lock;
        let mut off = Off {
            out_ns: at_ns,
            since_ns: at_ns,
            wake_ns: at_ns,
            in_ns: at_ns,
            state,
            wait,
            is_gil,
            is_lock,
            is_working,
        };
        if let (Some(deadline_ns), Some(before)) = (off.deadline_ns(), thread.history.back())
            && before.deadline_ns() == Some(deadline_ns)
        {
            off.since_ns = before.since_ns;
        }
        thread.off = Some(off);
        if thread.is_spare(&off) {
            thread.idle_since_ns.get_or_insert(at_ns);
        }
    }

    pub(super) fn switched_in(&mut self, at_ns: u64, tgid: u32, tid: u32, wake_ns: u64, waker_tid: u32) {
        let thread = self.thread(tgid, tid);
        if thread.off.is_some_and(|off| !off.is_gil) {
            thread.at_lock = false;
        }
        thread.on_cpu_since_ns = Some(at_ns);
        thread.got_cpu_ns = Some(at_ns);
        let Some(mut off) = thread.off.take() else { return };
        off.in_ns = at_ns;
        if off.state != OffState::Runnable
            && let Some(process) = self.processes.get_mut(&tgid)
        {
            process.samples.waited(tid, off.out_ns, at_ns);
        }
        let thread = self.thread(tgid, tid);
        off.wake_ns = match off.state {
            OffState::Runnable => off.out_ns,
            // A wake-up that was not seen leaves the whole stretch to its cause.
            _ if wake_ns < off.out_ns => at_ns,
            _ => wake_ns.min(at_ns),
        };
        if let (Wait::Epoll { .. }, OffState::Sleeping) = (off.wait, off.state) {
            thread.last_epoll = Some(Epoll {
                out_ns: off.out_ns,
                wake_ns: off.wake_ns,
                deadline_ns: off.deadline_ns(),
                timed_out: off.timed_out(),
            });
        }
        if matches!(off.wait, Wait::Futex { .. }) && !off.is_gil && off.state == OffState::Sleeping {
            thread.work_since_ns = Some(off.wake_ns);
        }
        thread.remember(off);
        let waker = self.threads.get(&waker_tid).filter(|waker| waker.tgid == tgid);
        let is_of_process = waker.is_some();
        let may_hand_work = waker.is_none_or(|waker| !waker.is_handed_work());
        if self.threads.get(&tid).is_some_and(|thread| thread.is_spare(&off)) && may_hand_work {
            return self.spare_woken(at_ns, tid, off.wake_ns, waker_tid);
        }
        let Some(request) = self.works_for(tgid, tid) else { return };
        // By now it may be done with what it worked for then.
        let has_ended = self.process(tgid).ended.last_request_of(waker_tid) == Some(request);
        // Whom no thread of its process woke, a timer did: it waited for a time, with an eye on something, as gRPC does,
        // and that has claims of its own. The task that the timer's interrupt hit is anybody.
        let is_timed = wake_ns > 0 && !is_of_process;
        let is_join = has_ended
            || is_timed
            || self.threads.get(&waker_tid).is_some_and(|waker| {
                self.works_for(waker.tgid, waker_tid) == Some(request)
                    || waker.owner_at(off.wake_ns) == Some(request)
            });
        self.claim_off(request, tgid, tid, &off, is_join);
    }

    /// A thread that a request started has something to do again: it goes on for that request only where a step
    /// of the request woke it.
    fn spare_woken(&mut self, at_ns: u64, tid: u32, wake_ns: u64, waker_tid: u32) {
        let waker = self.threads.get(&waker_tid).and_then(|waker| waker.owner_at(wake_ns));
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        if waker.is_some() && waker == thread.request {
            thread.idle_since_ns = None;
        } else {
            self.unbind_thread(at_ns, tid);
        }
    }

    /// A thread leaves the CPU that was not seen to get it, nor to do anything since: the end of that was lost, or told by
    /// no probe. Its CPU time tells how long ago that was.
    pub(super) fn infer_switch_in(&mut self, at_ns: u64, tgid: u32, tid: u32, cpu_ns: u64) {
        let Some(thread) = self.threads.get(&tid) else { return };
        let Some(off) = thread.off.filter(|_| thread.cpu_ns > 0) else { return };
        let used_ns = cpu_ns.saturating_sub(thread.cpu_ns);
        let in_ns = at_ns.saturating_sub(used_ns).max(off.out_ns);
        self.switched_in(in_ns, tgid, tid, 0, 0);
    }

    /// A hypervisor took the CPU away while the thread was on it: by so much its CPU time falls short. When in the
    /// stretch that was can't be seen, so all that ran in it bear their share.
    pub(super) fn claim_stolen(&mut self, at_ns: u64, tid: u32, cpu_ns: u64) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let before_ns = std::mem::replace(&mut thread.cpu_ns, cpu_ns);
        let pieces = std::mem::take(&mut thread.pieces);
        let (Some(got_cpu_ns), 1..) = (thread.got_cpu_ns.take(), before_ns) else { return };
        let used_ns = cpu_ns.saturating_sub(before_ns);
        let span_ns = at_ns.saturating_sub(got_cpu_ns);
        let stolen_ns = span_ns.saturating_sub(used_ns);
        if stolen_ns < LEAST_STOLEN_NS {
            return;
        }
        for Piece { request, start_ns, end_ns } in pieces {
            let stolen_ns = share_of(end_ns - start_ns, stolen_ns, span_ns);
            let Some(request) = self.requests.get_mut(request) else { continue };
            request.claim(end_ns - stolen_ns, end_ns, Rank::Stolen);
            request.did_not_use_cpu(end_ns, stolen_ns);
        }
    }

    /// Claims what a thread is off CPU for, up to `at_ns`, while it is still off.
    pub(super) fn claim_still_off(&mut self, request: RequestId, at_ns: u64, tid: u32) {
        let Some(thread) = self.threads.get(&tid) else { return };
        let (tgid, Some(mut off)) = (thread.tgid, thread.off) else { return };
        if thread.is_spare(&off) {
            return;
        }
        off.in_ns = at_ns;
        off.wake_ns = if off.state == OffState::Runnable { off.out_ns } else { at_ns };
        self.claim_off(request, tgid, tid, &off, false);
    }

    /// Claims the CPU time of a thread since the last flush for what it works for.
    pub(super) fn flush(&mut self, at_ns: u64, tid: u32) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let Some(since_ns) = thread.on_cpu_since_ns else { return };
        thread.on_cpu_since_ns = Some(at_ns.max(since_ns));
        let rank = match thread.on_cpu_cause() {
            OnCpu::Gc => Rank::Gc,
            OnCpu::Python => Rank::Cpu,
            OnCpu::Import => Rank::Import,
        };
        let tgid = thread.tgid;
        let Some(request) = self.works_for(tgid, tid).and_then(|id| self.requests.get_mut(id)) else {
            return;
        };
        request.used_cpu(since_ns, at_ns);
        request.claim(since_ns, at_ns, rank);
        let piece = Piece { request: request.id, start_ns: since_ns.max(request.start_ns), end_ns: at_ns };
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.on_cpu_for(piece);
        }
    }

    /// An event of this thread shows that it is on CPU, also when its switch in was not seen.
    pub(super) fn is_on_cpu(&mut self, at_ns: u64, tgid: u32, tid: u32) {
        self.is_back(at_ns, tgid, tid, 0, 0);
    }

    /// The same, of one of which it is known when it was woken.
    pub(super) fn is_back(&mut self, at_ns: u64, tgid: u32, tid: u32, wake_ns: u64, waker_tid: u32) {
        let thread = self.thread(tgid, tid);
        let Some(Off { out_ns, .. }) = thread.off else {
            thread.on_cpu_since_ns.get_or_insert(at_ns);
            return;
        };
        let in_ns = at_ns.max(out_ns);
        let request = self.works_for(tgid, tid);
        self.switched_in(in_ns, tgid, tid, wake_ns, waker_tid);
        self.thread(tgid, tid).unseen_in = Some(UnseenIn { request, out_ns, in_ns });
    }

    /// A thread that was back on CPU before that showed leaves it again: its CPU time tells since when.
    pub(super) fn claim_unseen(&mut self, at_ns: u64, tid: u32, cpu_ns: u64) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let Some(UnseenIn { request, out_ns, in_ns }) = thread.unseen_in.take() else { return };
        if thread.cpu_ns == 0 {
            return;
        }
        let used_ns = cpu_ns.saturating_sub(thread.cpu_ns);
        let unseen_ns = used_ns.saturating_sub(at_ns.saturating_sub(in_ns)).min(in_ns - out_ns);
        thread.got_cpu_ns = thread.got_cpu_ns.map(|got_cpu_ns| got_cpu_ns.min(in_ns - unseen_ns));
        let Some(request) = request.and_then(|id| self.requests.get_mut(id)) else { return };
        request.claim(in_ns - unseen_ns, in_ns, Rank::Cpu);
        request.used_cpu(in_ns - unseen_ns, in_ns);
    }

    pub(super) fn collecting(&mut self, at_ns: u64, tgid: u32, tid: u32, in_gc: bool) {
        self.is_on_cpu(at_ns, tgid, tid);
        self.flush(at_ns, tid);
        self.thread(tgid, tid).in_gc = in_gc;
    }

    /// Claims the time in which something was ready and waited for a thread: for the event loop, a worker that
    /// accepts, or a pool thread. While a loop ran a step of the request itself, the request did first of all what
    /// that step did; and what held the thread back while it worked for nobody is told by its history.
    pub(super) fn claim_ready(&mut self, id: RequestId, tid: u32, start_ns: u64, end_ns: u64, rank: Rank) {
        let (Some(thread), Some(request)) = (self.threads.get(&tid), self.requests.get_mut(id)) else {
            return;
        };
        if rank == Rank::Loop {
            let others = thread.not_for(id, start_ns, end_ns);
            others.into_iter().for_each(|(from_ns, to_ns)| request.claim(from_ns, to_ns, rank));
            request.claim(start_ns, end_ns, Rank::BusyLoop);
        } else {
            request.claim(start_ns, end_ns, rank);
        }
        for off in
            thread.history.iter().rev().take_while(|off| off.in_ns > start_ns).filter(|off| !off.is_working)
        {
            let clip = |from_ns: u64, to_ns: u64| (from_ns.max(start_ns), to_ns.min(end_ns));
            if off.is_gil {
                let (from_ns, to_ns) = clip(off.out_ns, off.wake_ns);
                request.claim(from_ns, to_ns, Rank::Gil);
            }
            let (from_ns, to_ns) = clip(off.wake_ns, off.in_ns);
            request.claim(from_ns, to_ns, Rank::Runqueue);
        }
    }

    /// Claims for how long a thread that slept until a request came, in a call that it had entered before, then waited for a
    /// CPU.
    pub(super) fn claim_reader_put_off(&mut self, id: RequestId, tid: u32, enter_ns: u64, start_ns: u64) {
        let off = self.threads.get(&tid).and_then(|thread| thread.history.back());
        let off = off.filter(|off| off.out_ns >= enter_ns);
        if let (Some(off), Some(request)) = (off, self.requests.get_mut(id)) {
            request.claim(off.wake_ns.max(start_ns), off.in_ns, Rank::Runqueue);
        }
    }

    fn claim_off(&mut self, request: RequestId, tgid: u32, tid: u32, off: &Off, is_join: bool) {
        let rank = self.rank_of_wait(tgid, off, is_join).filter(|rank| {
            // A thread of a library waits for something to do.
            *rank != Rank::Lock || !self.is_of_library(tgid, tid)
        });
        let told = self.threads.get(&tid).filter(|thread| thread.waits_in.0 == off.out_ns);
        let rank = match rank {
            // What it waits for is its answer, as far as that is not there.
            Some(Rank::Lock) if told.is_some_and(|thread| thread.reads_in_turn) => Some(Rank::Pool),
            rank => rank,
        };
        let Some(request) = self.requests.get_mut(request) else { return };
        if let (true, Some(process)) = (off.is_gil, self.processes.get(&tgid))
            && let Some((function, holder)) = process.samples.most_elsewhere(off.out_ns, off.wake_ns, tid)
        {
            let wait_ns = off.wake_ns.saturating_sub(off.out_ns);
            request.waited_for_gil(Holder { function, tid: holder }, wait_ns);
        }
        if let Some(rank) = rank {
            let since_ns = if rank == Rank::Sleep { off.since_ns } else { off.out_ns };
            request.claim(since_ns, off.wake_ns, rank);
            if let (Rank::Lock | Rank::Pool | Rank::Disk | Rank::Sleep, Some(thread)) = (rank, told) {
                let span = Span { start_ns: off.out_ns, end_ns: off.wake_ns };
                request.waited(span, Some(rank.bucket()), &thread.waits_in.1);
            }
        }
        request.claim(off.wake_ns, off.in_ns, Rank::Runqueue);
    }

    /// Whether a thread runs no Python, as those of gRPC and of clients that are written in Rust.
    fn is_of_library(&self, tgid: u32, tid: u32) -> bool {
        let tells = self.processes.get(&tgid).is_some_and(|process| process.tells_waits);
        tells && self.threads.get(&tid).is_some_and(|thread| !thread.runs_python)
    }

    /// What a thread's own sleep is claimed for. Waits for peers are claimed by their calls, which know what
    /// arrived when.
    fn rank_of_wait(&self, tgid: u32, off: &Off, is_join: bool) -> Option<Rank> {
        let process = self.processes.get(&tgid);
        let child = process.is_some_and(|process| process.n_children > 0).then_some(Rank::Child);
        match (off.state, off.wait) {
            (OffState::Runnable, _) => None,
            (_, Wait::Futex { .. }) if off.is_gil => Some(Rank::Gil),
            (_, Wait::Futex { .. }) if is_join => Some(Rank::Join),
            // Without the address of the GIL a futex may be either.
            (_, Wait::Futex { .. }) => {
                process.and_then(|process| process.facts.as_ref()?.runtime).map(|_| Rank::Lock)
            }
            (_, Wait::Sleep) => Some(Rank::Sleep),
            (_, Wait::Child | Wait::Other { syscall: VFORK }) => Some(Rank::Child),
            (_, Wait::Receive { connection } | Wait::Send { connection } | Wait::Connect { connection }) => {
                self.rank_of_socket(connection)
            }
            (_, Wait::Poll { connection: Some(connection), .. }) => self.rank_of_socket(connection),
            (_, Wait::Poll { connection: None, .. } | Wait::Epoll { .. }) => {
                if off.timed_out() {
                    Some(Rank::Sleep)
                } else {
                    child
                }
            }
            (OffState::Blocked, _) => Some(Rank::Disk),
            // A pipe: the one from a child process, if there is a child.
            (OffState::Sleeping, Wait::Other { syscall: READ }) => child,
            (OffState::Sleeping | OffState::Dead, _) => None,
        }
    }

    fn rank_of_socket(&self, connection: crate::event::ConnectionId) -> Option<Rank> {
        let connection = self.connections.get(&connection)?;
        match connection.role {
            Role::Accepted => Some(Rank::Client),
            Role::Connected | Role::Unknown => None,
        }
    }
}

/// What of `length_ns` falls to it when `part_ns` of `whole_ns` is shared out: never more than all of it, which a
/// float would make of long times.
fn share_of(length_ns: u64, part_ns: u64, whole_ns: u64) -> u64 {
    (u128::from(length_ns) * u128::from(part_ns) / u128::from(whole_ns)) as u64
}

/// Less than this is how far the kernel's clock of CPU time and that of events are apart.
const LEAST_STOLEN_NS: u64 = 100_000;

/// Syscall numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl).
const READ: u64 = 0;
const VFORK: u64 = 58;

#[cfg(test)]
mod tests {
    use super::share_of;

    #[test]
    fn a_share_is_never_more_than_there_was() {
        assert_eq!(share_of(1_000, 250, 1_000), 250);
        let long_ns = u64::MAX - 102;
        assert_eq!(share_of(long_ns, u64::MAX - 1, u64::MAX - 1), long_ns);
    }
}

//! What a step that blocks an event loop was busy with, and what to do about it.

use std::collections::BTreeMap;

use super::{add, loop_wait::Busy};
use crate::report::{
    bucket::Bucket,
    group::{self, Side},
    stats,
    types::Request,
};

/// What a step was doing, as far as it matters for what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    SyncClient,
    Lookup,
    File,
    Lock,
    Sleep,
    Child,
    Cpu,
    Gc,
    Import,
    Other,
}

impl Cause {
    /// Behind the route that blocks the loop. `host` is whom it called.
    pub fn title(self, host: Option<&str>) -> String {
        let with = match (self, host) {
            (Cause::SyncClient, Some(host)) => return format!("synchronous calls to {host}"),
            (Cause::Lookup, Some(host)) => return format!("lookups of {host}"),
            (Cause::SyncClient, None) => "synchronous calls",
            (Cause::Lookup, None) => "name lookups",
            (Cause::File, _) => "reads and writes of files",
            (Cause::Lock, _) => "a wait for a lock",
            (Cause::Sleep, _) => "a sleep",
            (Cause::Child, _) => "a wait for another program",
            (Cause::Cpu, _) => "computation",
            (Cause::Gc, _) => "garbage collections",
            (Cause::Import, _) => "imports",
            (Cause::Other, _) => "long steps",
        };
        with.to_owned()
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Cause::SyncClient => {
                "Use the asynchronous client (AsyncOpenAI, httpx.AsyncClient), or wrap the call in `await \
                 asyncio.to_thread(...)`, or make the handler a plain `def`, which FastAPI runs in a thread."
            }
            Cause::Lookup => {
                "Look names up by `await loop.getaddrinfo(...)` or let an asynchronous client do it, and keep \
                 connections, which need no lookup."
            }
            Cause::File => {
                "Read and write files in a thread: `await asyncio.to_thread(...)`, anyio.Path or aiofiles; read \
                 what does not change once, at start-up."
            }
            Cause::Lock => {
                "Use asyncio.Lock among tasks; where threads share the lock, take it in `await \
                 asyncio.to_thread(...)`, and hold it for less."
            }
            Cause::Sleep => "Replace time.sleep() by `await asyncio.sleep()`.",
            Cause::Child => {
                "Start programs by `await asyncio.create_subprocess_exec(...)`, and await their end."
            }
            Cause::Cpu => {
                "Move the computation off the loop: `await loop.run_in_executor(process_pool, ...)`, or a worker \
                 of its own."
            }
            Cause::Gc => {
                "Call `gc.freeze()` once the application is loaded, so that collections skip what stays, or raise \
                 `gc.set_threshold()`."
            }
            Cause::Import => "Import at the top of the module, so that it happens before requests come.",
            Cause::Other => "Wrap what blocks in `await asyncio.to_thread(...)`.",
        }
    }
}

/// Adds what a request spent in a step, by cause. What it waited for a CPU has none of its own.
pub fn add_spent(spent_ns: &mut BTreeMap<Cause, u64>, busy: &Busy) {
    for (bucket, start_ns, end_ns) in pieces(busy).filter(|(bucket, ..)| *bucket != Bucket::WaitRunqueue) {
        let length_ns = end_ns.saturating_sub(start_ns);
        // The bucket of other peers does not tell a lookup from the rest.
        let lookup_ns = match bucket {
            Bucket::NetOther => length_ns.min(lookups_ns(busy.request, start_ns, end_ns)),
            _ => 0,
        };
        add(spent_ns, Cause::Lookup, lookup_ns);
        add(spent_ns, cause_of(bucket), length_ns - lookup_ns);
    }
}

/// How long a step took without the time in which it was ready and had no CPU: that is no doing of its own.
pub fn own_length_ns(busy: &Busy) -> u64 {
    let without_cpu = pieces(busy).filter(|(bucket, ..)| *bucket == Bucket::WaitRunqueue);
    let without_cpu_ns = stats::sum(without_cpu.map(|(_, start_ns, end_ns)| end_ns.saturating_sub(start_ns)));
    busy.length_ns().saturating_sub(without_cpu_ns)
}

/// What its request was in during a step: bucket, from and to.
fn pieces<'a>(busy: &Busy<'a>) -> impl Iterator<Item = (Bucket, u64, u64)> + use<'a> {
    let (request, from_ns, to_ns) = (busy.request, busy.start_ns, busy.end_ns);
    let absolute = move |ns| request.start_unix_ns.saturating_add(ns);
    let first = request.timeline.partition_point(|piece| absolute(piece.end_ns) <= from_ns);
    let pieces =
        request.timeline.iter().skip(first).take_while(move |piece| absolute(piece.start_ns) < to_ns);
    pieces.map(move |piece| {
        (piece.bucket, absolute(piece.start_ns).max(from_ns), absolute(piece.end_ns).min(to_ns))
    })
}

/// How long the calls of a request looked names up between two instants.
fn lookups_ns(request: &Request, start_ns: u64, end_ns: u64) -> u64 {
    let phases = request.calls.iter().flat_map(|call| &call.phases);
    let lookups = phases.filter(|phase| phase.bucket == Bucket::LlmDns).map(|phase| {
        let from_ns = request.start_unix_ns.saturating_add(phase.start_ns).max(start_ns);
        request.start_unix_ns.saturating_add(phase.end_ns).min(end_ns).saturating_sub(from_ns)
    });
    stats::sum(lookups)
}

fn cause_of(bucket: Bucket) -> Cause {
    match bucket {
        Bucket::LlmDns => Cause::Lookup,
        Bucket::NetOther => Cause::SyncClient,
        bucket if group::side_of(bucket) == Side::Vendor => Cause::SyncClient,
        Bucket::PythonCpu => Cause::Cpu,
        Bucket::PythonGc => Cause::Gc,
        Bucket::PythonImport => Cause::Import,
        Bucket::WaitDisk => Cause::File,
        Bucket::WaitLock => Cause::Lock,
        Bucket::WaitSleep => Cause::Sleep,
        Bucket::WaitChild => Cause::Child,
        _ => Cause::Other,
    }
}

//! How full the maps of the probes are.

use std::sync::{Mutex, PoisonError};

use aya::maps::{HashMap, MapData};
use tracer_ebpf::limits;

/// A map, and what it can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// As the kernel names it: `bpftool map show name TRACED`.
    pub map: &'static str,
    pub entries: u32,
}

/// Every map with a limit. Those that evict can't be counted at little cost: the kernel keeps no count, and a walk over
/// all of their entries takes a system call for each.
pub const LIMITS: [(&str, u32); 9] = [
    ("TRACED", limits::PROCESSES),
    ("LAYOUTS", limits::PROCESSES),
    ("LISTEN_PORTS", limits::LISTEN_PORTS),
    ("THREADS", limits::THREADS),
    ("THREAD_STATES", limits::THREADS),
    ("SOCKETS", limits::SOCKETS),
    ("EARLY", limits::EARLY_SOCKETS),
    ("TLS_SESSIONS", limits::TLS_SESSIONS),
    ("TLS_CALLS", limits::THREADS),
];

/// How full they were when that was looked at last.
#[derive(Debug, Default)]
pub struct Filled(Mutex<Vec<Fill>>);

impl Filled {
    pub fn set(&self, fills: Vec<Fill>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fills;
    }

    pub fn get(&self) -> Vec<Fill> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Counts the keys of a map.
pub(super) fn of<K: aya::Pod, V: aya::Pod>(name: &'static str, map: &HashMap<MapData, K, V>) -> Fill {
    let limit = LIMITS.iter().find(|(known, _)| *known == name).map_or(0, |(_, limit)| *limit);
    // The kernel begins anew where a key was removed meanwhile.
    let keys = map.keys().take(limit as usize).filter(Result::is_ok);
    Fill { map: name, entries: keys.count() as u32 }
}

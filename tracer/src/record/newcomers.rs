//! Programs of the host that came to run Python after they started: servers that load it as a plugin (uWSGI, Apache's mod_wsgi),
//! and programs that unpack it first (PyInstaller). Their executable tells nothing of that, so it is looked at what they map, a
//! few times; then they are left alone.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use crate::python::discover;

/// How often it is looked. Listing `/proc` takes 0.4 µs a process, and what one maps mostly 20 to 40 µs to read.
const EVERY: Duration = Duration::from_secs(1);

/// How often it is looked at one: a server that has not loaded Python within as many seconds is none of those.
const LOOKS: u32 = 10;

#[derive(Debug, Default)]
pub struct Newcomers {
    /// How many looks are left of each process of the host.
    looks: HashMap<u32, u32>,
    looked: Option<Instant>,
}

impl Newcomers {
    /// These processes have been looked at when tracing began.
    pub fn were_there(&mut self, tgids: &[u32]) {
        self.looks.extend(tgids.iter().map(|&tgid| (tgid, 0)));
    }

    /// A process runs another program now.
    pub fn started(&mut self, tgid: u32) {
        self.looks.insert(tgid, LOOKS);
    }

    /// Where it is time to look, those that map CPython by now, of the processes that are not known to.
    pub fn look(&mut self, now: Instant, is_known: impl Fn(u32) -> bool) -> Vec<u32> {
        if self.looked.is_some_and(|looked| now - looked < EVERY) {
            return Vec::new();
        }
        self.looked = Some(now);
        discover::that_map_python(&self.candidates(&discover::processes(), is_known))
    }

    /// Those that are to be looked at of these processes, which are all of the host.
    fn candidates(&mut self, tgids: &[u32], is_known: impl Fn(u32) -> bool) -> Vec<u32> {
        let living: HashSet<u32> = tgids.iter().copied().collect();
        self.looks.retain(|tgid, _| living.contains(tgid));
        let mut candidates = Vec::new();
        for &tgid in tgids {
            let left = self.looks.entry(tgid).or_insert(LOOKS);
            if *left > 0 && !is_known(tgid) {
                *left -= 1;
                candidates.push(tgid);
            }
        }
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_are_looked_at_a_few_times() {
        let mut newcomers = Newcomers::default();
        newcomers.were_there(&[1, 2]);
        for _ in 0..LOOKS {
            assert_eq!(newcomers.candidates(&[1, 2, 3, 4], |tgid| tgid == 4), [3]);
        }
        assert_eq!(newcomers.candidates(&[1, 2, 3, 4], |tgid| tgid == 4), [0; 0]);
        newcomers.started(1);
        assert_eq!(newcomers.candidates(&[1, 2, 3, 4], |tgid| tgid == 4), [1]);
    }

    #[test]
    fn a_number_that_is_used_again_is_a_newcomer() {
        let mut newcomers = Newcomers::default();
        newcomers.were_there(&[1, 2]);
        assert_eq!(newcomers.candidates(&[1], |_| false), [0; 0]);
        assert_eq!(newcomers.candidates(&[1, 2], |_| false), [2]);
    }
}

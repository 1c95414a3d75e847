//! How many steps a process takes for its CPU time: each costs it a breakpoint at least.

use foldhash::HashMap;

use tracer_ebpf::limits::SAMPLES_PER_SECOND;

use crate::event::{Body, Event};

/// Breakpoints of steps in a second of CPU time from which on they are too many: at 0.5 to 0.7 us each they take 10 to
/// 14 % of it.
const LIMIT: u64 = 200_000;

/// Samples of a process after which it is looked at: a fifth of a second of its CPU time.
const WINDOW: u64 = 40;

/// Counts by process.
#[derive(Debug)]
pub struct Pace {
    windows: HashMap<u32, Window>,
    samples_per_second: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    hits: u64,
    samples: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { windows: HashMap::default(), samples_per_second: SAMPLES_PER_SECOND }
    }
}

impl Pace {
    /// Takes in the next event. Whether its process turns out to take too many steps.
    pub fn is_too_fast(&mut self, event: &Event) -> bool {
        match event.body {
            Body::ContextEnter { .. }
            | Body::ContextExit { .. }
            | Body::ContextCopy { .. }
            | Body::ContextEnd { .. }
            | Body::ContextReady { .. }
            | Body::GreenletSwitch { .. } => {
                self.windows.entry(event.tgid).or_default().hits += 1;
                false
            }
            Body::Sample { .. } | Body::Collecting { .. } => {
                let window = self.windows.entry(event.tgid).or_default();
                window.samples += 1;
                if window.samples < WINDOW {
                    return false;
                }
                let Window { hits, samples } = std::mem::take(window);
                hits * u64::from(self.samples_per_second) > LIMIT * samples
            }
            Body::Sampling { per_second } => {
                self.samples_per_second = per_second;
                false
            }
            Body::ProcessEnd => {
                self.windows.remove(&event.tgid);
                false
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a process is found too fast that hits so many breakpoints between two samples, within three windows.
    fn is_found(hits: u64) -> bool {
        let event = |body| Event { ts_ns: 0, tgid: 1, tid: 1, body };
        let mut pace = Pace::default();
        (0..3 * WINDOW).any(|_| {
            (0..hits).for_each(|_| assert!(!pace.is_too_fast(&event(Body::ContextExit { context: 0 }))));
            pace.is_too_fast(&event(Body::Sample { frames: Vec::new() }))
        })
    }

    #[test]
    fn only_more_steps_than_the_limit_are_too_many() {
        assert!(!is_found(LIMIT / u64::from(SAMPLES_PER_SECOND) - 5));
        assert!(is_found(LIMIT / u64::from(SAMPLES_PER_SECOND) + 5));
    }
}

//! How many requests finish now, by route: told by the stream of events.

use std::collections::{BTreeMap, VecDeque};

/// What counts as now.
const WINDOW_NS: u64 = 10_000_000_000;

/// Requests that finished, by route, and how many failed.
type Counts = BTreeMap<String, [u64; 2]>;

#[derive(Clone, Debug, Default)]
pub struct Live {
    /// By when they were told, at most as long ago as the window.
    told: VecDeque<(u64, Counts)>,
    since_ns: Option<u64>,
    now_ns: u64,
}

impl Live {
    /// From now on requests are told; those of before are none of now any more.
    pub fn begin(&mut self, at_ns: u64) {
        *self = Live { told: VecDeque::new(), since_ns: Some(at_ns), now_ns: at_ns };
    }

    /// They are not told any more.
    pub fn end(&mut self) {
        *self = Live::default();
    }

    pub fn add(&mut self, route: &str, is_error: bool, at_ns: u64) {
        self.pass(at_ns);
        // Those of one batch come at once.
        const BATCH_NS: u64 = 100_000_000;
        if self.told.back().is_none_or(|(last_ns, _)| at_ns.saturating_sub(*last_ns) > BATCH_NS) {
            self.told.push_back((at_ns, Counts::new()));
        }
        let Some((_, counts)) = self.told.back_mut() else { return };
        let of_route = match counts.get_mut(route) {
            Some(of_route) => of_route,
            None => counts.entry(route.to_owned()).or_default(),
        };
        of_route[0] += 1;
        of_route[1] += u64::from(is_error);
    }

    /// Time goes on.
    pub fn pass(&mut self, at_ns: u64) {
        self.now_ns = self.now_ns.max(at_ns);
        while self.told.front().is_some_and(|(told_ns, _)| self.now_ns - told_ns >= WINDOW_NS) {
            self.told.pop_front();
        }
    }

    /// Requests a second of a route, or of all; `None` while that can't be told.
    pub fn per_second(&self, route: Option<&str>) -> Option<f64> {
        const LEAST_NS: u64 = 1_000_000_000;
        let told_ns = self.now_ns.saturating_sub(self.since_ns?).min(WINDOW_NS);
        let requests = |counts: &Counts| match route {
            Some(route) => counts.get(route).map_or(0, |of_route| of_route[0]),
            None => counts.values().map(|of_route| of_route[0]).sum(),
        };
        let requests: u64 = self.told.iter().map(|(_, counts)| requests(counts)).sum();
        (told_ns >= LEAST_NS).then(|| requests as f64 / (told_ns as f64 / 1e9))
    }

    /// How many failed of the requests that finished now.
    pub fn errors(&self) -> u64 {
        self.told.iter().flat_map(|(_, counts)| counts.values()).map(|of_route| of_route[1]).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn what_is_long_ago_is_not_now() {
        let mut live = Live::default();
        assert_eq!(live.per_second(None), None);
        live.begin(0);
        for second in 1..=20 {
            live.add("/a", second == 15, second * SECOND_NS);
            live.add("/b", false, second * SECOND_NS + 1);
        }
        assert_eq!((live.per_second(None), live.per_second(Some("/a"))), (Some(2.0), Some(1.0)));
        assert_eq!(live.errors(), 1);
        assert_eq!(live.told.len(), 10);
        live.pass(26 * SECOND_NS);
        assert_eq!((live.per_second(Some("/c")), live.errors()), (Some(0.0), 0));
        live.pass(40 * SECOND_NS);
        assert_eq!((live.per_second(None), live.told.len()), (Some(0.0), 0));
        live.end();
        assert_eq!(live.per_second(None), None);
    }

    #[test]
    fn soon_after_the_start_the_rate_is_of_that_time() {
        let mut live = Live::default();
        live.begin(0);
        live.add("/a", false, SECOND_NS / 2);
        assert_eq!(live.per_second(None), None);
        live.pass(2 * SECOND_NS);
        assert_eq!(live.per_second(None), Some(0.5));
    }
}

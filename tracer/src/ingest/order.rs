//! Putting events into order of time. CPUs write into one ring, each in its own order; what is older than the
//! newest by a slack has settled.

use std::collections::VecDeque;

use super::Raw;
use crate::event::{Body, Direction};

/// By how much one CPU's events may come after another's.
pub const SLACK_NS: u64 = 20_000_000;

/// Events on their way into order. They come nearly in order, so each finds its place close to the end.
#[derive(Debug, Default)]
pub struct Order {
    /// With when each counts, in the order of that.
    waiting: VecDeque<(u64, Raw)>,
    newest_ns: u64,
    released_ns: u64,
    late: u64,
}

impl Order {
    pub fn push(&mut self, raw: Raw) {
        let key_ns = key_ns(&raw);
        self.newest_ns = self.newest_ns.max(raw.event.ts_ns);
        self.late += u64::from(key_ns < self.released_ns);
        let later = self.waiting.iter().rev().take_while(|(other_ns, _)| *other_ns > key_ns).count();
        self.waiting.insert(self.waiting.len() - later, (key_ns, raw));
    }

    /// The next event that has settled, in order; those of one time in the order of [`Order::push`]. `now_ns` is the
    /// time before the ring was last found empty: nothing older can come. It is 0 while the ring is not.
    pub fn pop_settled(&mut self, now_ns: u64) -> Option<Raw> {
        let settled_ns = self.newest_ns.max(now_ns).saturating_sub(SLACK_NS);
        self.waiting.front().filter(|(key_ns, _)| *key_ns < settled_ns)?;
        self.pop()
    }

    /// The next of all that is left, at the end of a run.
    pub fn pop(&mut self) -> Option<Raw> {
        let (key_ns, raw) = self.waiting.pop_front()?;
        self.released_ns = self.released_ns.max(key_ns);
        Some(raw)
    }

    /// Events that came after later ones were released.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Events that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// When an event counts. A send counts from its start where that is within the slack: on the same machine the
/// peer can answer before the send returns, and plaintext comes before what it is sent as.
fn key_ns(raw: &Raw) -> u64 {
    let ts_ns = raw.event.ts_ns;
    match raw.event.body {
        Body::Transfer { direction: Direction::Sent, enter_ns, .. }
        | Body::Plain { direction: Direction::Sent, enter_ns, .. }
            if ts_ns.checked_sub(enter_ns).is_some_and(|duration_ns| duration_ns < SLACK_NS) =>
        {
            enter_ns
        }
        _ => ts_ns,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{ConnectionId, Event};

    fn raw(ts_ns: u64, tid: u32, body: Body) -> Raw {
        Event { ts_ns, tgid: 1, tid, body }.into()
    }

    fn sent(enter_ns: u64, ts_ns: u64) -> Raw {
        let body = Body::Transfer {
            connection: ConnectionId(1),
            direction: Direction::Sent,
            enter_ns,
            result: 1,
            marks: Vec::new(),
        };
        raw(ts_ns, 0, body)
    }

    #[test]
    fn what_is_within_the_slack_waits() {
        let mut order = Order::default();
        order.push(raw(1_000, 1, Body::Exec));
        order.push(raw(1_000 + SLACK_NS, 2, Body::Exec));
        assert!(order.pop_settled(0).is_none());
        order.push(raw(1_001 + SLACK_NS, 3, Body::Exec));
        let settled: Vec<u32> =
            std::iter::from_fn(|| order.pop_settled(0)).map(|raw| raw.event.tid).collect();
        assert_eq!(settled, [1]);
        assert_eq!(std::iter::from_fn(|| order.pop_settled(2_000 + 2 * SLACK_NS)).count(), 2);
        order.push(raw(999, 4, Body::Exec));
        assert_eq!(order.late(), 1);
    }

    #[test]
    fn a_short_send_counts_from_its_start() {
        let mut order = Order::default();
        order.push(raw(500, 1, Body::Exec));
        order.push(sent(400, 600));
        order.push(sent(400, 400 + SLACK_NS));
        let times: Vec<u64> = std::iter::from_fn(|| order.pop()).map(|raw| raw.event.ts_ns).collect();
        assert_eq!(times, [600, 500, 400 + SLACK_NS]);
    }

    proptest! {
        #[test]
        fn all_come_out_in_order_and_stable(times in prop::collection::vec(0_u64..50, 0..200)) {
            let mut order = Order::default();
            for (number, &ts_ns) in times.iter().enumerate() {
                order.push(raw(ts_ns, number as u32, Body::Exec));
            }
            let popped: Vec<(u64, u32)> =
                std::iter::from_fn(|| order.pop()).map(|raw| (raw.event.ts_ns, raw.event.tid)).collect();
            let mut expected: Vec<(u64, u32)> =
                times.iter().enumerate().map(|(number, &ts_ns)| (ts_ns, number as u32)).collect();
            expected.sort();
            prop_assert_eq!(popped, expected);
        }
    }
}

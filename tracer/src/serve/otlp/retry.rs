//! How long to wait before the next attempt.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// A receiver that asks for more is asked again after this.
const LONGEST_ASKED: Duration = Duration::from_secs(300);
const AT_THE_END: Duration = Duration::from_millis(50);

/// Pauses that double from one attempt to the next, each shortened by chance to as little as half: receivers that come back
/// are not asked by everybody at once.
#[derive(Debug, Default)]
pub struct Backoff {
    attempts: u32,
    /// The end has come: pauses are short.
    pub is_ending: bool,
}

impl Backoff {
    /// The next pause; `after` is what the receiver asks for.
    pub fn next(&mut self, after: Option<Duration>) -> Duration {
        if self.is_ending {
            return AT_THE_END;
        }
        let doubled = FIRST.saturating_mul(1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX));
        self.attempts = self.attempts.saturating_add(1);
        let pause = doubled.min(LONGEST).mul_f64(0.5 + fastrand::f64() / 2.0);
        after.map_or(pause, |after| after.min(LONGEST_ASKED).max(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let mut backoff = Backoff::default();
        for attempt in 0..100 {
            let full = FIRST.saturating_mul(1 << attempt.min(10)).min(LONGEST);
            let pause = backoff.next(None);
            assert!(pause >= full / 2 && pause <= full, "{pause:?} for {full:?}");
        }
    }

    #[test]
    fn what_the_receiver_asks_for_is_kept_within_bounds() {
        let second = Duration::from_secs(1);
        assert_eq!(Backoff::default().next(Some(20 * second)), 20 * second);
        assert_eq!(Backoff::default().next(Some(3_600 * second)), LONGEST_ASKED);
    }
}

//! The errors of one quantity.

use std::fmt;

/// What an error may be: this share of wall time or this much, whichever is larger.
const SHARE: f64 = 0.02;
const FLOOR_NS: f64 = 2e6;
/// The share of the values that need not be as good as that; two, unless that is the most of them, as a hypervisor may take
/// the CPU away at any time, which an application can't tell from its waits.
const STRAY_SHARE: f64 = 0.01;
const STRAYS: usize = 2;

pub struct Series {
    name: &'static str,
    /// Absolute differences, and whether they are allowed.
    errors_ns: Vec<(u64, bool)>,
    /// Values that the report did not have.
    unknown: usize,
}

impl Series {
    pub fn new(name: &'static str) -> Series {
        Series { name, errors_ns: Vec::new(), unknown: 0 }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Adds what was measured, and what is true of something that took `wall_ns`. What the truth does not know is left out.
    pub fn add(&mut self, measured_ns: Option<u64>, true_ns: Option<u64>, wall_ns: u64) {
        match (measured_ns, true_ns) {
            (Some(measured), Some(truth)) => {
                let error = measured.abs_diff(truth);
                self.errors_ns.push((error, error as f64 <= FLOOR_NS.max(SHARE * wall_ns as f64)));
            }
            (None, Some(_)) => self.unknown += 1,
            (_, None) => {}
        }
    }

    /// Nothing is unknown, and as many as must be are as good as they must be.
    pub fn is_close(&self) -> bool {
        let strays = self.errors_ns.iter().filter(|(_, close)| !close).count();
        let count = self.errors_ns.len();
        let allowed = STRAYS.min(count / 2).max((STRAY_SHARE * count as f64) as usize);
        self.unknown == 0 && strays <= allowed
    }

    pub fn heading() -> String {
        format!(
            "  {:<16}{:>6}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "error in ms", "n", "p50", "p99", "max", "close", "unknown"
        )
    }

    fn close_share(&self) -> f64 {
        if self.errors_ns.is_empty() {
            return 1.0;
        }
        let close = self.errors_ns.iter().filter(|(_, close)| *close).count();
        close as f64 / self.errors_ns.len() as f64
    }

    /// Nearest rank.
    fn quantile_ms(&self, quantile: f64) -> f64 {
        let mut errors: Vec<u64> = self.errors_ns.iter().map(|(error, _)| *error).collect();
        errors.sort_unstable();
        let rank = (quantile * errors.len() as f64).ceil() as usize;
        errors.get(rank.saturating_sub(1)).map_or(f64::NAN, |error| *error as f64 / 1e6)
    }
}

impl fmt::Display for Series {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(
            formatter,
            "  {:<16}{:>6}{:>9.2}{:>9.2}{:>9.2}{:>8.1}%{:>9}",
            self.name,
            self.errors_ns.len(),
            self.quantile_ms(0.5),
            self.quantile_ms(0.99),
            self.quantile_ms(1.0),
            self.close_share() * 100.0,
            self.unknown
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_counts_against_wall_time_or_two_milliseconds() {
        let mut series = Series::new("x");
        series.add(Some(12_000_000), Some(10_000_000), 0);
        series.add(Some(119_000_000), Some(100_000_000), 1_000_000_000);
        assert_eq!(series.close_share(), 1.0);
        series.add(Some(12_100_000), Some(10_000_000), 50_000_000);
        series.add(Some(12_100_000), Some(10_000_000), 50_000_000);
        assert!(series.is_close(), "two may be off");
        series.add(Some(12_100_000), Some(10_000_000), 50_000_000);
        assert!(!series.is_close());
        assert_eq!(series.quantile_ms(0.5), 2.1);
        assert_eq!(series.quantile_ms(1.0), 19.0);
    }

    #[test]
    fn a_lone_value_is_close_or_not() {
        let mut series = Series::new("x");
        series.add(Some(12_100_000), Some(10_000_000), 50_000_000);
        assert!(!series.is_close());
    }

    #[test]
    fn what_the_report_does_not_know_is_never_close() {
        let mut series = Series::new("x");
        series.add(None, None, 0);
        assert!(series.is_close());
        series.add(None, Some(1), 0);
        assert!(!series.is_close());
    }
}

//! The threshold of `--fail-over`.

use std::fmt;

use super::types::{Comparison, Diff, Presence, Verdict};
use crate::report::text::format;

/// A wall time that grew by more than was allowed.
#[derive(Clone, Debug, PartialEq)]
pub struct Exceeded<'a> {
    pub route: &'a str,
    /// `p50` or `p95`.
    pub statistic: &'static str,
    pub ratio: f64,
}

impl fmt::Display for Exceeded<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Exceeded { route, statistic, ratio } = self;
        write!(formatter, "{} is slower by {:.0} % ({statistic})", format::printable(route), 100.0 * ratio)
    }
}

/// The median and 95th percentile wall times of routes that really grew, and by more than so many per cent as estimated; without what they
/// waited for a CPU, where that is known.
pub fn exceeded(diff: &Diff, percent: f64) -> Vec<Exceeded<'_>> {
    let routes = diff.routes.iter().flat_map(|route| {
        route.judged().named().map(|(statistic, comparison)| (route.route.as_str(), statistic, comparison))
    });
    let exceeded = routes.filter_map(|(route, statistic, comparison)| {
        Some(Exceeded { route, statistic, ratio: growth(comparison, percent)? })
    });
    exceeded.collect()
}

/// A base of nothing grows by more than any share.
fn growth(comparison: &Comparison, percent: f64) -> Option<f64> {
    let ratio = comparison.ratio.unwrap_or(f64::INFINITY);
    (comparison.verdict == Verdict::Grew && 100.0 * ratio > percent).then_some(ratio)
}

/// Routes of both sides of which not even the median could be told: the threshold does not guard them.
pub fn unguarded(diff: &Diff) -> Vec<String> {
    let of_both = diff.routes.iter().filter(|route| route.presence == Presence::Both);
    of_both
        .filter(|route| route.judged().p50.verdict == Verdict::TooFew)
        .map(|route| format::printable(&route.route))
        .collect()
}

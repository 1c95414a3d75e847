//! Two captures compared: by route, bucket and function, which changes are real and which are noise.
//!
//! Times of requests and buckets are compared by median and 95th percentile, functions by the mean of what samples count. A change
//! is real where noise would hardly make it ([`statistics`], [`FALSE_ALARMS`]), its interval does not hold 0, and it is larger than
//! what one recording differs from the next without a change (`judge`).

mod judge;
pub mod json;
mod route;
mod sides;
pub mod statistics;
pub mod text;
pub mod threshold;
pub mod types;

use crate::report::{stats, types::Report};
use judge::Judge;
use types::{Comparison, Diff, Route, Side};

/// The probability that any change is called real where nothing changed, for all comparisons of two captures together: small
/// enough for a check that runs on every commit.
pub const FALSE_ALARMS: f64 = 0.001;

/// A report and what it was made from.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub file: &'a str,
    pub report: &'a Report,
}

/// Compares two captures; the same two always give the same.
pub fn compare(base: Subject, new: Subject) -> Diff {
    let mut judge = Judge::default();
    let routes = sides::by_route(base.report, new.report);
    let routes: Vec<route::Pending> =
        routes.iter().map(|(label, sides)| route::Pending::new(label, sides, &mut judge)).collect();
    let verdicts = judge.decide(FALSE_ALARMS);
    let mut routes: Vec<Route> = routes.into_iter().map(|route| route.decide(&verdicts)).collect();
    routes.sort_by(|a, b| by_weight(b).total_cmp(&by_weight(a)));
    Diff {
        schema: 1,
        base: side(base),
        new: side(new),
        confidence: statistics::CONFIDENCE,
        false_alarms: FALSE_ALARMS,
        comparisons: verdicts.comparisons(),
        routes,
    }
}

fn side(Subject { file, report }: Subject) -> Side {
    Side {
        file: file.to_owned(),
        start_unix_ns: report.capture.start_unix_ns,
        duration_ns: report.capture.duration_ns,
        kernel: report.capture.kernel.clone(),
        requests: report.requests.len(),
        incomplete: report.requests.iter().filter(|request| !request.complete).count(),
        lost_events: stats::sum(report.capture.lost_events.values().copied()),
    }
}

/// What a change costs all requests of the route, for the largest one; those without come by their wall time, far behind.
fn by_weight(route: &Route) -> f64 {
    let quantiles = route
        .buckets
        .0
        .iter()
        .map(|(_, quantiles)| quantiles)
        .chain([&route.wall, &route.wall_without_runqueue]);
    let functions = route.functions.iter().flat_map(|function| [&function.own, &function.total]);
    let comparisons = quantiles.flat_map(|quantiles| [&quantiles.p50, &quantiles.p95]).chain(functions);
    let largest_ns = comparisons.map(Comparison::real_ns).fold(0.0, f64::max);
    let wall_ns = route.wall.p50.new_ns.or(route.wall.p50.base_ns).unwrap_or_default();
    let requests = route.base_requests.max(route.new_requests) as f64;
    requests * if largest_ns > 0.0 { largest_ns } else { wall_ns * 1e-12 }
}

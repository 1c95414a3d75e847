//! Routes of which there is not much to say, one a line.

use super::change;
use crate::{
    diff::types::{Comparison, Presence, Route, Verdict},
    report::text::{format, paint::Paint},
};

/// Columns after the route: requests of both sides, median and 95th percentile of the new one, each with its bounds.
const REQUESTS: usize = 13;
const QUANTILE: usize = 23;

/// Routes of both sides that show no change, or can't.
pub fn without_change(routes: &[&Route], width: usize, paint: Paint) -> String {
    let routes: Vec<&&Route> = routes.iter().filter(|route| route.presence == Presence::Both).collect();
    let room = width.saturating_sub(REQUESTS + 2 * QUANTILE);
    let longest = routes.iter().map(|route| route.route.chars().count()).max().unwrap_or_default();
    let label = longest.max("no change seen".len()).min(room);
    let row = |name: &str, requests: &str, p50: &str, p95: &str| {
        let name = format::fit(name, label);
        format!("{name:<label$}{requests:>REQUESTS$}{p50:>QUANTILE$}{p95:>QUANTILE$}\n")
    };
    let table = |title: &str, routes: Vec<&&&Route>| {
        if routes.is_empty() {
            return String::new();
        }
        let mut text = paint.title(&row(title, "requests", "new p50", "new p95"));
        for route in routes {
            let requests = format!("{} → {}", route.base_requests, route.new_requests);
            let [p50, p95] = [&route.wall.p50, &route.wall.p95].map(cell);
            text.push_str(&row(&format::printable(&route.route), &requests, &p50, &p95));
        }
        text
    };
    let (few, unchanged): (Vec<_>, Vec<_>) =
        routes.iter().partition(|route| route.judged().p50.verdict == Verdict::TooFew);
    let tables = [table("no change seen", unchanged), table("too few to tell", few)];
    tables.into_iter().filter(|table| !table.is_empty()).collect::<Vec<String>>().join("\n")
}

/// Routes that one side does not have.
pub fn of_one_side(routes: &[&Route], width: usize, paint: Paint) -> String {
    let mut text = String::new();
    for (presence, title) in [(Presence::New, "new"), (Presence::Gone, "gone")] {
        for route in routes.iter().filter(|route| route.presence == presence) {
            let median = change::figure(route.wall.p50.new_ns.or(route.wall.p50.base_ns));
            let requests = format::plural(route.base_requests.max(route.new_requests) as u64, "request");
            let facts = format!(", {requests}, p50 {median}");
            let name = format::fit(
                &format::printable(&route.route),
                width.saturating_sub(6 + facts.chars().count()),
            );
            text.push_str(&format!("{}{name}{facts}\n", paint.title(&format!("{title:<6}"))));
        }
    }
    text
}

/// A figure and within what bounds it may have changed.
fn cell(comparison: &Comparison) -> String {
    let bounds = match comparison.verdict {
        Verdict::TooFew => " (?)".to_owned(),
        Verdict::Host => " (host)".to_owned(),
        _ => change::bounds(comparison),
    };
    change::figure(comparison.new_ns) + &bounds
}

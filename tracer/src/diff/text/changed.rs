//! One route that changed: its wall time, and which of its buckets and functions changed with it.

use super::change::{self, Subject};
use crate::{
    diff::types::{Comparison, Function, Quantiles, Route, Verdict},
    event,
    report::bucket::Bucket,
    report::text::{format, paint::Paint, wrap},
};

/// Columns of the figure of a side.
const FIGURE: usize = 10;

/// Columns of the words about a change, with the gap before.
const CHANGE: usize = 2 + "slower by 12.3 % (11.2 to 13.4 %)".len();

/// In less columns than this, the words stand on a line of their own.
const WIDE: usize = 76;

/// Functions that grew by what they call, which are named.
const CALLERS: usize = 3;

/// Whether any figure of the route changed.
pub fn is_changed(route: &Route) -> bool {
    let functions = route.functions.iter().flat_map(|function| [&function.own, &function.total]);
    let buckets = route.buckets.0.iter().flat_map(|(_, quantiles)| [&quantiles.p50, &quantiles.p95]);
    let walls = [&route.wall, &route.wall_without_runqueue].map(|wall| [&wall.p50, &wall.p95]);
    walls.into_iter().flatten().chain(buckets).chain(functions).any(Comparison::is_real)
}

pub fn render(route: &Route, width: usize, paint: Paint) -> String {
    let mut rows: Vec<(String, &Comparison, Subject)> = Vec::new();
    for (name, comparison) in route.wall.named() {
        rows.push((format!("wall {name}"), comparison, Subject::Wall));
    }
    let is_queued = |(_, quantiles): &&(Bucket, Quantiles)| quantiles.p50.verdict != Verdict::Negligible;
    if route.buckets.0.iter().filter(is_queued).any(|(bucket, _)| *bucket == Bucket::WaitRunqueue) {
        for (name, comparison) in route.wall_without_runqueue.named() {
            rows.push((format!("less wait.runqueue {name}"), comparison, Subject::Wall));
        }
    }
    let mut parts: Vec<(String, &Comparison, Subject)> = Vec::new();
    for (bucket, quantiles) in &route.buckets.0 {
        for (name, comparison) in quantiles.named().into_iter().filter(|(_, comparison)| comparison.is_real())
        {
            parts.push((format!("{} {name}", bucket.name()), comparison, Subject::Part));
        }
    }
    parts.sort_by(|a, b| b.1.real_ns().total_cmp(&a.1.real_ns()));
    rows.extend(parts);
    let own = route.functions.iter().filter(|function| function.own.is_real());
    rows.extend(own.map(|function| (label(function), &function.own, Subject::Part)));

    let is_wide = width >= WIDE;
    let room = width.saturating_sub(2 * FIGURE + 2 + if is_wide { CHANGE } else { 0 });
    let requests = format!("{} → {} requests", route.base_requests, route.new_requests);
    let title = format!("{}, {requests}", format::printable(&route.route));
    let mut text = format!("{}\n", paint.title(&format::fit(&title, width)));
    let heading = format!("  {:<room$}{:>FIGURE$}{:>FIGURE$}", "", "base", "new");
    text.push_str(&format!("{}\n", paint.dim(&heading)));
    for (label, comparison, subject) in rows {
        let label = format::fit(&label, room);
        let [base, new] = [comparison.base_ns, comparison.new_ns].map(change::figure);
        let gap = if is_wide { "  " } else { "\n    " };
        let change = change::painted(comparison, subject, paint);
        text.push_str(&format!("  {label:<room$}{base:>FIGURE$}{new:>FIGURE$}{gap}{change}\n"));
    }
    text + &callers(route, width, paint)
}

/// Functions that changed by what they call alone, the application's own first.
fn callers(route: &Route, width: usize, paint: Paint) -> String {
    let mut callers: Vec<&Function> = route
        .functions
        .iter()
        .filter(|function| function.total.is_real() && !function.own.is_real())
        .collect();
    if callers.is_empty() {
        return String::new();
    }
    callers.sort_by_key(|function| !is_of_application(function));
    let mut facts: Vec<String> = callers.iter().take(CALLERS).map(|function| label(function)).collect();
    if callers.len() > CALLERS {
        facts.push(format!("{} more", callers.len() - CALLERS));
    }
    paint.dim(&wrap::facts(&facts, "  and with what they call: ", 4, width))
}

/// `rank (search.py:24)`, by the line that it has in the new capture.
fn label(function: &Function) -> String {
    let file = function.file.rsplit('/').next().unwrap_or(&function.file);
    let line = function.new_line.or(function.base_line).unwrap_or_default();
    format::printable(&format!("{} ({file}:{line})", function.function))
}

fn is_of_application(function: &Function) -> bool {
    let (name, file) = (function.function.clone(), function.file.clone());
    event::Function { name, file, line: 0 }.is_of_application()
}

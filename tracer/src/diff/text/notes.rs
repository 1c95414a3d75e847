//! What a comparison could not see, and how to read it.

use std::collections::BTreeSet;

use crate::{
    diff::{
        judge::LEAST_CHANGE,
        types::{Comparison, Diff, Presence, Route, Side, Verdict},
    },
    report::bucket::Bucket,
    report::text::{format, paint::Paint, wrap},
};

pub fn render(diff: &Diff, width: usize, paint: Paint) -> String {
    let unknown = [|comparison: &Comparison| comparison.base_ns, |comparison: &Comparison| comparison.new_ns]
        .map(|of_side| unknown(diff, of_side));
    let mut notes = Vec::new();
    match unknown {
        [base, new] if base == new => notes.extend(base.map(|names| not_seen(&names, "base and new"))),
        [base, new] => {
            notes.extend(base.map(|names| not_seen(&names, "base")));
            notes.extend(new.map(|names| not_seen(&names, "new")));
        }
    }
    notes.extend(missing("base", &diff.base));
    notes.extend(missing("new", &diff.new));
    notes.extend(host(diff).map(str::to_owned));
    notes.extend(diff.routes.iter().filter(|route| route.base_errors != route.new_errors).map(errors));
    let mut text: String = notes.iter().map(|note| paint.warning(&wrap::words(note, "", 2, width))).collect();
    if diff.comparisons > 0 {
        text.push_str(&paint.dim(&wrap::words(&key(diff), "", 2, width)));
    }
    text
}

/// Names of the buckets that a side of a route that both have does not know.
fn unknown(diff: &Diff, of_side: fn(&Comparison) -> Option<f64>) -> Option<String> {
    let buckets: BTreeSet<Bucket> = diff
        .routes
        .iter()
        .filter(|route| route.presence == Presence::Both)
        .flat_map(|route| &route.buckets.0)
        .filter(|(_, quantiles)| {
            quantiles.p50.verdict == Verdict::Unknown && of_side(&quantiles.p50).is_none()
        })
        .map(|(bucket, _)| *bucket)
        .collect();
    let names: Vec<&str> = buckets.into_iter().map(Bucket::name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn not_seen(names: &str, side: &str) -> String {
    format!("? {names} not seen in all requests of {side}: not compared, and within other buckets there")
}

/// What is missing of a side.
fn missing(name: &str, side: &Side) -> Option<String> {
    let lost = format!("{} of {name} lost", format::plural(side.lost_events, "event"));
    let left_out =
        format!("{} of {name} left out, as incomplete", format::plural(side.incomplete as u64, "request"));
    let notes: Vec<String> = [(side.incomplete > 0, left_out), (side.lost_events > 0, lost)]
        .into_iter()
        .filter_map(|(is_so, note)| is_so.then_some(note))
        .collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// Where requests waited longer for a CPU on one side.
fn host(diff: &Diff) -> Option<&'static str> {
    let of_host = |comparison: &Comparison| comparison.verdict == Verdict::Host;
    let walls = diff.routes.iter().flat_map(|route| [&route.wall.p50, &route.wall.p95]);
    let buckets = diff.routes.iter().flat_map(|route| &route.buckets.0);
    let queued = buckets.flat_map(|(_, quantiles)| [&quantiles.p50, &quantiles.p95]);
    walls.chain(queued).any(of_host).then_some(
        "host: requests waited longer for a CPU (wait.runqueue) on one side than on the other, as on a host that others use \
         too or that has too few CPUs. That is told apart, and is no change of the program",
    )
}

/// An error is answered faster or slower than a success.
fn errors(route: &Route) -> String {
    format!(
        "{} failed {} → {} times (status 500 and above), which may be why its times differ",
        format::printable(&route.route),
        route.base_errors,
        route.new_errors
    )
}

fn key(diff: &Diff) -> String {
    format!(
        "In brackets, what the change is between ({:.0} % confidence). Functions: mean CPU time of a request, by samples. A change is \
         told where it is {:.0} % of the route's time or more, and where unchanged programs would show any in but one of {:.0} \
         comparisons.",
        100.0 * diff.confidence,
        100.0 * LEAST_CHANGE,
        1.0 / diff.false_alarms
    )
}

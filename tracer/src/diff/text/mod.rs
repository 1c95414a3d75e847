//! A comparison as text for a terminal: what changed, by route, the largest real change first; then what did not, what can't be
//! told, and what was not seen.

mod change;
mod changed;
mod notes;
mod routes;

use super::types::{Diff, Presence, Quantiles, Route, Side, Verdict};
use crate::report::text::{MIN_WIDTH, format, paint::Paint, wrap};

/// How to render.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Columns of the terminal. No line is longer.
    pub width: usize,
    /// Whether to use ANSI colours.
    pub colour: bool,
}

/// The whole comparison, ending in a newline.
pub fn render(diff: &Diff, options: Options) -> String {
    let paint = Paint::new(options.colour);
    let width = options.width.max(MIN_WIDTH);
    let mut sections =
        vec![header(diff, width), format!("{}\n", paint.title(conclusion(diff, width).trim_end()))];
    let (changed, rest): (Vec<&Route>, Vec<&Route>) =
        diff.routes.iter().partition(|route| route.presence == Presence::Both && changed::is_changed(route));
    sections.extend(changed.iter().map(|route| changed::render(route, width, paint)));
    sections.push(routes::without_change(&rest, width, paint));
    sections.push(routes::of_one_side(&rest, width, paint));
    sections.push(notes::render(diff, width, paint));
    sections.retain(|section| !section.is_empty());
    sections.join("\n")
}

fn header(diff: &Diff, width: usize) -> String {
    let line = |name: &str, side: &Side| {
        let facts = [
            format::printable(&side.file),
            format::plural(side.requests as u64, "request"),
            format!("traced for {}", format::duration(side.duration_ns)),
            format!("Linux {}", format::printable(&side.kernel)).trim_end().to_owned(),
        ];
        wrap::facts(&facts, &format!("{name:<5}"), 5, width)
    };
    line("base", &diff.base) + &line("new", &diff.new)
}

/// How many routes are slower, faster, unchanged, and not to be told.
fn conclusion(diff: &Diff, width: usize) -> String {
    let of_both: Vec<&Route> = diff.routes.iter().filter(|route| route.presence == Presence::Both).collect();
    if of_both.is_empty() {
        return "no route is in both captures\n".to_owned();
    }
    let counted = |verdict| of_both.iter().filter(|route| wall_verdict(route) == verdict).count();
    let parts = of_both
        .iter()
        .filter(|route| {
            changed::is_changed(route) && !matches!(wall_verdict(route), Verdict::Grew | Verdict::Shrank)
        })
        .count();
    let facts: Vec<String> = [
        (counted(Verdict::Grew), "slower"),
        (counted(Verdict::Shrank), "faster"),
        (parts, "changed within"),
        (counted(Verdict::NoChangeSeen).saturating_sub(parts), "without a change seen"),
        (counted(Verdict::TooFew), "with too few requests to tell"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    let lead = format!("{}: ", format::plural(of_both.len() as u64, "route"));
    wrap::facts(&facts, &lead, 2, width)
}

/// The verdict on a route: that of its median, and of its 95th percentile where the median shows nothing.
fn wall_verdict(route: &Route) -> Verdict {
    let Quantiles { p50, p95 } = route.judged();
    if p50.is_real() || !p95.is_real() { p50.verdict } else { p95.verdict }
}

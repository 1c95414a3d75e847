//! The summary by route: how slow, because of whom, and where the time went.

use super::{
    chart, format,
    paint::{Glyph, Paint, glyph},
    wrap,
};
use crate::report::{
    bucket::Bucket,
    group::{self, Group, Side},
    types::Request,
};

/// Width of the columns after the route: requests, p50, p95, vendor, own, other, calls.
const COLUMNS: [usize; 7] = [9, 9, 9, 7, 6, 6, 6];

/// Buckets below this share of their route's time are not named.
const LEAST_SHARE: f64 = 0.01;

pub fn render(requests: &[&Request], width: usize, paint: Paint) -> String {
    let groups = group::by_route(requests.iter().copied());
    if groups.is_empty() {
        return "no requests\n".to_owned();
    }
    let longest = groups.iter().map(|group| group.label.chars().count()).max().unwrap_or_default();
    let room = width.saturating_sub(COLUMNS.iter().sum());
    let route_width = longest.max("route".len()).min(room);
    let headings = ["requests", "p50", "p95", "vendor", "own", "other", "calls"].map(str::to_owned);
    let mut text = format!("{}\n", paint.title(&row("route", &headings, route_width)));
    for group in &groups {
        let label = format::fit(&format::printable(&group.label), route_width);
        text.push_str(&format!("{}\n", row(&label, &figures(group), route_width)));
        text.push_str(&shares(group, width, paint));
    }
    let key = "vendor: llm.*; own: python.* and wait.*; other: net.other, client, unattributed";
    text.push_str(&paint.dim(&wrap::words(key, "", 0, width)));
    text
}

fn row(label: &str, figures: &[String; 7], route_width: usize) -> String {
    let mut row = format!("{label:route_width$}");
    for (figure, width) in figures.iter().zip(COLUMNS) {
        row.push_str(&format!("{figure:>width$}"));
    }
    row
}

fn figures(group: &Group) -> [String; 7] {
    let wall_ns = group.wall_ns();
    let side = |side| format::share(group.side_ns(side), wall_ns);
    [
        format::count(group.requests.len() as u64),
        format::duration(group.wall_percentile_ns(50.0)),
        format::duration(group.wall_percentile_ns(95.0)),
        side(Side::Vendor),
        side(Side::Own),
        side(Side::Other),
        format::count(group.calls() as u64),
    ]
}

/// A bar of the route's time, and as many of its buckets as have room beside it, the largest first. What
/// could not be seen is said elsewhere; a figure that lacks some requests has a `?`.
fn shares(group: &Group, width: usize, paint: Paint) -> String {
    let wall_ns = group.wall_ns();
    let mut seen: Vec<(Bucket, u64)> = Bucket::ALL
        .into_iter()
        .filter_map(|bucket| Some((bucket, group.bucket_ns(bucket)?)))
        .filter(|(_, ns)| *ns > 0)
        .collect();
    seen.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));

    let cells = width / 5;
    let parts: Vec<(u64, Glyph)> = seen.iter().map(|(bucket, ns)| (*ns, glyph(*bucket))).collect();
    let mut line = format!("  {}", paint.cells(&chart::bar(&parts, cells)));
    let mut column = 2 + cells;
    for (bucket, ns) in seen.into_iter().filter(|(_, ns)| *ns as f64 >= LEAST_SHARE * wall_ns as f64) {
        let doubt = if group.is_unknown(bucket) { " ?" } else { "" };
        let text = format!("{} {}{doubt}", bucket.name(), format::share(ns, wall_ns));
        let (item, columns) = paint.keyed(glyph(bucket), &text);
        column += 2 + columns;
        if column > width {
            break;
        }
        line.push_str("  ");
        line.push_str(&item);
    }
    format!("{}\n", line.trim_end())
}

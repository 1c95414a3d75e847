//! Routes, vendors, requests and findings as rows.

use ratatui::{layout::Alignment, text::Line};

use super::{
    list::{Column, List},
    theme::{Theme, side_ns},
};
use crate::{
    report::{
        group::Side,
        text::format::{count, duration, printable, share},
        types::Finding,
    },
    serve::history::{
        figures::{RouteFigures, Vendor},
        read::Listed,
    },
    top::state::{State, Tab},
};

/// Cells of a bar.
const BAR: u16 = 10;

const BUCKET: u16 = 22;

const ROUTES: [Column; 11] = [
    Column::name("route"),
    Column::figure("now/s", 6, 1),
    Column::figure("requests", 8, 3),
    Column::figure("errors", 6, 1),
    Column::figure("p50", 7, 2),
    Column::figure("p95", 7, 0),
    Column::figure("p99", 7, 4),
    Column::text("vendor|own", BAR, 1),
    Column::figure("vendor", 6, 5),
    Column::figure("own", 5, 5),
    Column::text("most time", BUCKET, 2),
];

pub fn routes(state: &State, theme: Theme) -> List {
    let rows = state.data.routes(state.place());
    let cells = |route: &&RouteFigures| {
        let RouteFigures { route, figures } = route;
        let buckets = &figures.buckets;
        let side = |side| share(side_ns(buckets, side), buckets.sum());
        let now = state.live.per_second(Some(route));
        vec![
            printable(route).into(),
            now.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.1}")).into(),
            count(figures.requests).into(),
            faults(figures.errors, theme),
            known(figures.p50_ns).into(),
            known(figures.p95_ns).into(),
            known(figures.p99_ns).into(),
            theme.sides(buckets, usize::from(BAR)),
            side(Side::Vendor).into(),
            side(Side::Own).into(),
            theme.biggest(buckets),
        ]
    };
    list(state, &ROUTES, rows.iter().map(cells).collect())
}

const VENDORS: [Column; 11] = [
    Column::name("vendor"),
    Column::text("host", 24, 3),
    Column::text("model", 20, 1),
    Column::figure("calls", 7, 0),
    Column::figure("errors", 6, 1),
    Column::figure("retries", 7, 2),
    Column::figure("p50", 7, 2),
    Column::figure("p95", 7, 1),
    Column::figure("1st byte p95", 12, 4),
    Column::figure("tokens out", 10, 5),
    Column::figure("tokens/s", 8, 4),
];

pub fn vendors(state: &State, theme: Theme) -> List {
    let rows = state.data.vendors(state.place());
    let named = |name: &str| Line::from(if name.is_empty() { "?".to_owned() } else { printable(name) });
    let cells = |vendor: &&Vendor| {
        vec![
            named(&vendor.vendor),
            named(&vendor.host),
            named(&vendor.model),
            count(vendor.calls).into(),
            faults(vendor.errors, theme),
            faults(vendor.retries, theme),
            known(vendor.wall_p50_ns).into(),
            known(vendor.wall_p95_ns).into(),
            known(vendor.first_byte_p95_ns).into(),
            count(vendor.output_tokens).into(),
            vendor.tokens_per_second_p50.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.0}")).into(),
        ]
    };
    list(state, &VENDORS, rows.iter().map(cells).collect())
}

const REQUESTS: [Column; 8] = [
    Column::figure("ago", 7, 0),
    Column::name("route"),
    Column::figure("status", 6, 1),
    Column::figure("wall", 7, 0),
    Column::text("vendor|own", BAR, 1),
    Column::text("most time", BUCKET, 1),
    Column::figure("calls", 5, 2),
    Column::figure("process", 7, 3),
];

pub fn requests(state: &State, theme: Theme) -> List {
    let rows = state.data.requests(state.place());
    let cells = |request: &&Listed| {
        let end_unix_ns = request.start_unix_ns.saturating_add(request.wall_ns);
        let status = request.status.map_or_else(|| "–".to_owned(), |status| status.to_string());
        let status = Line::from(status);
        vec![
            ago(state.answered_unix_ns.saturating_sub(end_unix_ns)).into(),
            printable(&request.route).into(),
            if request.is_error { status.style(theme.warning()) } else { status },
            // One of which events were lost took about as long.
            format!("{}{}", if request.complete { "" } else { "~" }, duration(request.wall_ns)).into(),
            theme.sides(&request.buckets, usize::from(BAR)),
            theme.biggest(&request.buckets),
            count(request.calls).into(),
            request.pid.to_string().into(),
        ]
    };
    list(state, &REQUESTS, rows.iter().map(cells).collect())
}

const FINDINGS: [Column; 4] = [
    Column::figure("cost", 8, 0),
    Column::figure("requests", 8, 0),
    Column::text("whose", 6, 1),
    Column::name("finding"),
];

pub fn findings(state: &State) -> List {
    let rows = state.data.findings(state.place());
    let cells = |finding: &&Finding| {
        vec![
            duration(finding.cost_ns).into(),
            count(finding.requests).into(),
            whose(finding.side).into(),
            printable(&finding.title).into(),
        ]
    };
    list(state, &FINDINGS, rows.iter().map(cells).collect())
}

fn whose(side: Side) -> &'static str {
    match side {
        Side::Vendor => "vendor",
        Side::Own => "own",
        Side::Other => "other",
    }
}

fn list(state: &State, columns: &'static [Column], rows: Vec<Vec<Line<'static>>>) -> List {
    let names = state.data.names(state.tab, state.place());
    let selected = state.selected();
    let selected = names.iter().position(|name| Some(name) == selected.as_ref());
    let is_answered = match state.tab {
        Tab::Routes => state.data.overview.is_some(),
        Tab::Vendors => state.data.vendors.is_some(),
        Tab::Requests => state.data.requests.is_some(),
        Tab::Findings => state.data.findings.is_some(),
        Tab::Health => state.data.health.is_some(),
    };
    let since = humantime::format_duration(state.since);
    let empty = match (is_answered, state.place().filter.as_str(), state.tab) {
        (false, _, _) if state.trouble.is_some() => String::new(),
        (false, _, _) => "asking the daemon".to_owned(),
        (true, "", Tab::Findings) => {
            format!("nothing found in the last {since}; it is looked for once a minute")
        }
        (true, "", Tab::Vendors) => format!("no calls in the last {since}"),
        (true, "", _) => format!("no requests finished in the last {since}"),
        (true, filter, _) => format!("nothing has `{}` in its name: Esc ends the filter", printable(filter)),
    };
    List { columns, rows, selected, empty }
}

/// How many went wrong, which is conspicuous.
fn faults(number: u64, theme: Theme) -> Line<'static> {
    let line = Line::from(count(number)).alignment(Alignment::Right);
    if number > 0 { line.style(theme.warning()) } else { line }
}

fn known(ns: Option<u64>) -> String {
    ns.map_or_else(|| "–".to_owned(), duration)
}

/// In whole units, as it grows while one looks.
fn ago(ns: u64) -> String {
    match ns / 1_000_000_000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

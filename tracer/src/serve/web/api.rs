//! The API: questions about what was, answered from the history, and about what is. `docs/api.md` describes it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Site, answer::Refusal, ask, events};
use crate::{
    diff::types::Diff,
    report::types::Finding,
    serve::history::{
        detail::Detail,
        figures::{Overview, Vendor},
        flame::Flame,
        read::{Asked, Page, Range, Seen},
    },
    serve::otlp::{
        receiver::Signal,
        state::{Lost, State as OtlpState},
    },
};

/// The range of a question that names none.
const SINCE: &str = "1h";

/// Pieces of a range.
const POINTS: u64 = 60;
const MAX_POINTS: u64 = 1_000;

type Answer<T> = Result<Json<T>, Refusal>;

pub fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/overview", get(overview))
        .route("/requests", get(requests))
        .route("/requests/{id}", get(request))
        .route("/flame", get(flame))
        .route("/diff", get(diff))
        .route("/vendors", get(vendors))
        .route("/findings", get(findings))
        .route("/processes", get(processes))
        .route("/health", get(health))
        .route("/events", get(events::stream))
}

/// A range as asked for: from so long ago until now, or between two times.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Times {
    since: Option<String>,
    from_unix_ns: Option<u64>,
    to_unix_ns: Option<u64>,
}

impl Times {
    fn range(&self, site: &Site) -> Result<Range, Refusal> {
        let to_unix_ns = self.to_unix_ns.unwrap_or_else(|| site.now_unix_ns());
        let since = self.since.as_deref().unwrap_or(SINCE);
        let since = humantime::parse_duration(since).map_err(|error| {
            Refusal::new(StatusCode::BAD_REQUEST, format!("`since` is a duration such as 30m or 1h: {error}"))
        })?;
        let since_ns = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        let from_unix_ns = self.from_unix_ns.unwrap_or(to_unix_ns.saturating_sub(since_ns));
        if from_unix_ns > to_unix_ns {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "`from_unix_ns` is after `to_unix_ns`"));
        }
        Ok(Range { from_unix_ns, to_unix_ns })
    }
}

#[derive(Debug, Deserialize)]
struct Shown {
    route: Option<String>,
    points: Option<u64>,
}

async fn overview(
    State(site): State<Arc<Site>>,
    Query(times): Query<Times>,
    Query(shown): Query<Shown>,
) -> Answer<Overview> {
    let range = times.range(&site)?;
    let points = shown.points.unwrap_or(POINTS).clamp(1, MAX_POINTS);
    ask(&site, move |reader| reader.overview(range, shown.route.as_deref(), points)).await.map(Json)
}

async fn requests(
    State(site): State<Arc<Site>>,
    Query(times): Query<Times>,
    Query(asked): Query<Asked>,
) -> Answer<Page> {
    let range = times.range(&site)?;
    if asked.after.as_deref().is_some_and(|after| !is_place(after)) {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "`after` is what `next` of a page was"));
    }
    ask(&site, move |reader| reader.requests(range, &asked)).await.map(Json)
}

fn is_place(after: &str) -> bool {
    after.split_once('-').is_some_and(|(key, id)| key.parse::<i64>().is_ok() && id.parse::<i64>().is_ok())
}

async fn request(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Answer<Detail> {
    let detail = ask(&site, move |reader| reader.detail(&id)).await?;
    detail.map(Json).ok_or_else(no_such_request)
}

fn no_such_request() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is no such request any more")
}

#[derive(Debug, Deserialize)]
struct FlameOf {
    route: Option<String>,
    request: Option<String>,
}

async fn flame(
    State(site): State<Arc<Site>>,
    Query(times): Query<Times>,
    Query(of): Query<FlameOf>,
) -> Answer<Flame> {
    let range = times.range(&site)?;
    let flame = ask(&site, move |reader| match &of.request {
        Some(id) => reader.flame_of(id),
        None => reader.flame(range, of.route.as_deref()).map(Some),
    });
    flame.await?.map(Json).ok_or_else(no_such_request)
}

/// The range that another is compared with.
#[derive(Debug, Deserialize)]
struct Base {
    base_from_unix_ns: Option<u64>,
    base_to_unix_ns: Option<u64>,
}

async fn diff(
    State(site): State<Arc<Site>>,
    Query(times): Query<Times>,
    Query(base): Query<Base>,
) -> Answer<Diff> {
    let range = times.range(&site)?;
    let length_ns = range.to_unix_ns - range.from_unix_ns;
    let to_unix_ns = base.base_to_unix_ns.unwrap_or(range.from_unix_ns);
    let from_unix_ns = base.base_from_unix_ns.unwrap_or(to_unix_ns.saturating_sub(length_ns));
    if from_unix_ns > to_unix_ns {
        let reason = "`base_from_unix_ns` is after `base_to_unix_ns`";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
    }
    let base = Range { from_unix_ns, to_unix_ns };
    ask(&site, move |reader| reader.diff(base, range)).await.map(Json)
}

/// A list, with the range it is of.
#[derive(Serialize)]
struct Listing<T> {
    #[serde(flatten)]
    range: Range,
    #[serde(flatten)]
    list: T,
}

#[derive(Serialize)]
struct Vendors {
    vendors: Vec<Vendor>,
}

async fn vendors(State(site): State<Arc<Site>>, Query(times): Query<Times>) -> Answer<Listing<Vendors>> {
    let range = times.range(&site)?;
    let vendors = ask(&site, move |reader| reader.vendors(range)).await?;
    Ok(Json(Listing { range, list: Vendors { vendors } }))
}

#[derive(Serialize)]
struct Findings {
    findings: Vec<Finding>,
}

async fn findings(State(site): State<Arc<Site>>, Query(times): Query<Times>) -> Answer<Listing<Findings>> {
    let range = times.range(&site)?;
    let findings = ask(&site, move |reader| reader.findings(range)).await?;
    Ok(Json(Listing { range, list: Findings { findings } }))
}

#[derive(Serialize)]
struct Processes {
    processes: Vec<Seen>,
}

async fn processes(State(site): State<Arc<Site>>, Query(times): Query<Times>) -> Answer<Listing<Processes>> {
    let range = times.range(&site)?;
    let processes = ask(&site, move |reader| reader.processes(range)).await?;
    Ok(Json(Listing { range, list: Processes { processes } }))
}

async fn health(State(site): State<Arc<Site>>) -> Json<Value> {
    let latest = site.latest();
    let own = crate::serve::metrics::own::Own::read();
    let vitals = latest.vitals;
    let otlp = &site.states.otlp;
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "is_tracing": site.past_unix_ns.is_none(),
        "now_unix_ns": site.now_unix_ns(),
        "uptime_ns": u64::try_from(site.started.elapsed().as_nanos()).unwrap_or(u64::MAX),
        "at_unix_ns": latest.at_unix_ns,
        "processes": latest.processes.len(),
        "requests": latest.n_before + latest.requests.len() as u64,
        "lost": site.lost(),
        "events": vitals.events,
        "late_events": vitals.late_events,
        "ring_lag_ns": vitals.ring_lag_ns,
        "held": {
            "open_requests": vitals.held.open_requests,
            "answered_requests": vitals.held.answered_requests,
            "processes": vitals.held.processes,
            "threads": vitals.held.threads,
            "connections": vitals.held.connections,
            "functions": vitals.held.functions,
        },
        "cpu_ns": own.cpu_ns,
        "resident_bytes": own.resident_bytes,
        "open_files": own.open_files,
        "history": {
            "path": site.history,
            "bytes": site.states.history.bytes(),
            "trouble": site.states.history.trouble(),
        },
        "otlp": {
            "endpoint": site.endpoint,
            "sent_requests": otlp.sent_requests(),
            "sent_spans": otlp.sent_spans(),
            "left_out_requests": otlp.left_out_requests(),
            "queued_requests": otlp.queued_requests(),
            "queued_bytes": otlp.queued_bytes(),
            "lost_requests": lost_of_otlp(otlp),
            "rejected_spans": otlp.rejected(Signal::Traces),
            "rejected_points": otlp.rejected(Signal::Metrics),
            "retries": otlp.retries(),
            "trouble": otlp.trouble(Signal::Traces).or_else(|| otlp.trouble(Signal::Metrics)),
        },
    }))
}

fn lost_of_otlp(otlp: &OtlpState) -> BTreeMap<&'static str, u64> {
    Lost::ALL.into_iter().map(|why| (why.name(), otlp.lost_requests(why))).collect()
}

//! What the daemon shows over HTTP: a page at `/`, figures for Prometheus at `/metrics`, and an API at `/api/v1/`
//! (`docs/api.md`).

mod api;
mod answer;
mod callers;
mod events;
mod guard;
mod page;
mod pulse;
mod server;

#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{
    Router,
    extract::State,
    http::{
        HeaderMap,
        header::{ACCEPT, CONTENT_TYPE},
    },
    middleware,
    response::IntoResponse,
    routing::get,
};
use tokio::sync::Semaphore;

use crate::{
    attach::fill::Filled,
    record::pipeline::clocks,
    serve::{
        batch::{Batch, Batches},
        config::{self, Config},
        history::{State as HistoryState, read::Reader},
        metrics::{Metrics, exposition::Format},
        otlp::state::State as OtlpState,
    },
};

pub use server::Web;

/// Questions to the history at once; more wait.
const QUESTIONS: usize = 4;

/// Callers at once that take events: others need some of [`server::CONNECTIONS`].
const STREAMS: usize = 48;

/// How those are doing who take what is told.
#[derive(Clone, Default)]
pub struct States {
    pub history: Arc<HistoryState>,
    pub otlp: Arc<OtlpState>,
    pub maps: Arc<Filled>,
}

/// What answers are made of.
pub struct Site {
    pub config: config::Web,
    /// `None` where none is kept.
    pub history: Option<PathBuf>,
    /// Where nothing is traced and a history is shown, its end: until then ranges last that name no end.
    pub past_unix_ns: Option<u64>,
    /// Where spans are sent.
    pub endpoint: Option<String>,
    pub states: States,
    pub batches: Batches,
    pub started: Instant,
    pulse: pulse::Pulse,
    metrics: Mutex<Metrics>,
    /// The latest batch.
    latest: Mutex<Arc<Batch>>,
    questions: Semaphore,
    streams: Arc<Semaphore>,
}

impl Site {
    pub fn new(config: &Config, states: States, batches: Batches) -> Site {
        Site {
            config: config.web.clone(),
            history: config.history.path.clone(),
            endpoint: config.otlp.endpoint.as_ref().map(ToString::to_string),
            past_unix_ns: None,
            states,
            batches,
            started: Instant::now(),
            pulse: pulse::Pulse::default(),
            metrics: Mutex::default(),
            latest: Mutex::default(),
            questions: Semaphore::new(QUESTIONS),
            streams: Arc::new(Semaphore::new(STREAMS)),
        }
    }

    /// Of a history that nobody writes.
    ///
    /// # Errors
    /// When there is none, or it can't be read.
    pub fn of_past(mut config: Config, history: PathBuf) -> anyhow::Result<Site> {
        let end_unix_ns = Reader::open(&history)?.last_unix_ns()?;
        config.history.path = Some(history);
        config.otlp.endpoint = None;
        let site = Site::new(&config, States::default(), Batches::default());
        Ok(Site { past_unix_ns: Some(end_unix_ns.unwrap_or_default()), ..site })
    }

    /// When ranges end that name no end.
    pub fn now_unix_ns(&self) -> u64 {
        self.past_unix_ns.unwrap_or_else(|| clocks().1)
    }

    /// Takes in batches until no more come.
    pub async fn watch(self: Arc<Self>) {
        let mut batches = self.batches.subscribe();
        while let Some((batch, missed)) = batches.next().await {
            self.pulse.beat();
            self.metrics.lock().unwrap_or_else(PoisonError::into_inner).apply(&batch, missed);
            *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = batch;
        }
    }

    pub fn latest(&self) -> Arc<Batch> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Losses since the start, by kind.
    pub fn lost(&self) -> std::collections::BTreeMap<String, u64> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner).lost(&self.states)
    }
}

/// Every page, behind the guard but for those that tell nothing.
pub fn router(site: Arc<Site>) -> Router {
    let data = Router::new().route("/metrics", get(metrics)).nest("/api/v1", api::router());
    page::router()
        .merge(data.layer(middleware::from_fn_with_state(site.clone(), guard::check_token)))
        .fallback(answer::not_found)
        .layer(middleware::from_fn_with_state(site.clone(), guard::check))
        .merge(pulse::router())
        .with_state(site)
}

async fn metrics(State(site): State<Arc<Site>>, headers: HeaderMap) -> impl IntoResponse {
    let format = Format::of(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()));
    let latest = site.latest();
    let metrics = site.metrics.lock().unwrap_or_else(PoisonError::into_inner);
    let page = metrics.render(format, &latest.vitals, &site.states);
    ([(CONTENT_TYPE, format.content_type())], page)
}

/// A question to the history, asked on a thread that may wait.
async fn ask<T: Send + 'static>(
    site: &Site,
    question: impl FnOnce(&Reader) -> anyhow::Result<T> + Send + 'static,
) -> Result<T, answer::Refusal> {
    let Some(path) = site.history.clone() else { return Err(answer::Refusal::no_history()) };
    let _turn = tokio::time::timeout(Duration::from_secs(30), site.questions.acquire())
        .await
        .map_err(|_| answer::Refusal::busy())?;
    let answered = tokio::task::spawn_blocking(move || {
        let reader = Reader::open(&path)?;
        question(&reader)
    });
    Ok(answered.await.context("the question ended by a defect of the tracer")??)
}

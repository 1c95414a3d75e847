//! Whether the daemon does what it is for, for whoever starts it anew: `/readyz` and `/livez`. They tell nothing else, so that
//! they ask for no token.
//!
//! Once a second a batch comes, whether there were requests or not, from the thread that reads events by way of the one that
//! makes batches. Where none comes, one of them does not go on.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::StatusCode, routing::get};

use super::Site;

/// It is ready while a batch is no older,
const READY: Duration = Duration::from_secs(5);
/// and lives while one is no older, or it was started no longer ago.
const ALIVE: Duration = Duration::from_secs(30);

/// When the last batch came.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<Option<Instant>>);

impl Pulse {
    pub fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub fn router() -> Router<Arc<Site>> {
    Router::new().route("/readyz", get(ready)).route("/livez", get(alive))
}

async fn ready(State(site): State<Arc<Site>>) -> (StatusCode, &'static str) {
    answer(site.pulse.last().is_some_and(|last| last.elapsed() < READY), "events are not read\n")
}

async fn alive(State(site): State<Arc<Site>>) -> (StatusCode, &'static str) {
    let since = site.pulse.last().unwrap_or(site.started);
    answer(since.elapsed() < ALIVE, "events are no longer read\n")
}

fn answer(is_well: bool, trouble: &'static str) -> (StatusCode, &'static str) {
    if is_well { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, trouble) }
}

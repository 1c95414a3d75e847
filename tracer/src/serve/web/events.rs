//! Requests as they finish, as server-sent events.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::State,
    http::StatusCode,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::json;

use super::{STREAMS, Site, answer::Refusal};
use crate::serve::history::read::Listed;

/// `request`: one as in the list; `missed`: how many were not told to a caller that is slow; `findings`: of the last minute.
pub async fn stream(
    State(site): State<Arc<Site>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let place = site.streams.clone().try_acquire_owned().map_err(|_| {
        let reason = format!("{STREAMS} callers take events: close pages that show them, and try again");
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason)
    })?;
    let subscription = site.batches.subscribe();
    let batches = stream::unfold((subscription, place), async |(mut subscription, place)| {
        let (batch, missed) = subscription.next().await?;
        let mut events = Vec::new();
        if missed > 0 {
            events.push(Event::default().event("missed").data(json!({ "requests": missed }).to_string()));
        }
        for request in &batch.requests {
            let listed = serde_json::to_string(&Listed::of(request)).unwrap_or_default();
            events.push(Event::default().event("request").id(request.id.clone()).data(listed));
        }
        if let Some(found) = &batch.findings {
            let findings = serde_json::to_string(&found.findings).unwrap_or_default();
            events.push(Event::default().event("findings").data(findings));
        }
        Some((stream::iter(events.into_iter().map(Ok)), (subscription, place)))
    });
    Ok(Sse::new(batches.flatten()).keep_alive(KeepAlive::default()))
}

//! Requests as the daemon tells of them.

use std::time::Duration;

use serde::Deserialize;
use tokio::sync::mpsc::Sender;

use super::{client::Client, state::Event};

/// Until it is tried again where there is no daemon.
const PAUSE: Duration = Duration::from_secs(1);

/// What matters of a request in a list.
#[derive(Deserialize)]
struct Finished {
    route: String,
    is_error: bool,
}

/// Tells of every request that finishes, until nobody wants to know any more.
pub async fn listen(client: Client, tell: Sender<Event>) {
    while !tell.is_closed() {
        // Why there is none is told where the next question is not answered.
        if let Ok(mut events) = client.events("/api/v1/events").await {
            let _ = tell.send(Event::Told).await;
            while let Some((name, data)) = events.next().await {
                let finished = (name == "request").then(|| serde_json::from_str::<Finished>(&data));
                if let Some(Ok(Finished { route, is_error })) = finished
                    && tell.send(Event::Finished { route, is_error }).await.is_err()
                {
                    return;
                }
            }
            let _ = tell.send(Event::Untold).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

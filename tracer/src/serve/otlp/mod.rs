//! Sends what the daemon tells to a collector, by OTLP: a span for each request and call, and figures
//! (`docs/otlp.md`).
//!
//! Messages are made of each batch as it comes, and wait in a queue that is bounded in bytes; they are encoded, so that its
//! size is what they take. One after the other is sent until the receiver takes or refuses it. Whatever is not sent is counted,
//! by the reason. Of figures, which are of all that was since the start, the latest message alone is sent.

mod attributes;
mod deliver;
mod figures;
mod grpc;
mod headers;
mod http;
pub mod message;
pub mod names;
mod place;
pub mod queue;
pub mod receiver;
pub mod resource;
mod retry;
mod sample;
pub mod service;
mod span;
pub mod state;

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at},
};

use self::{
    message::Messages,
    queue::Queue,
    receiver::Receiver,
    resource::Host,
    service::Surroundings,
    state::{Lost, State},
};
use crate::serve::{batch::Subscription, config, daemon::due};

/// Requests that were to be sent and are lost, as a kind of loss.
pub const LOST: &str = "otlp";

/// The exporter, on a thread of its own.
pub struct Otlp(JoinHandle<()>);

impl Otlp {
    /// Starts it; `None` where nothing is sent.
    ///
    /// # Errors
    /// When the configuration can't be followed.
    pub fn start(
        config: &config::Otlp,
        batches: Subscription,
        state: Arc<State>,
    ) -> anyhow::Result<Option<Otlp>> {
        let Some(endpoint) = config.endpoint.clone() else { return Ok(None) };
        let receiver = Receiver::new(endpoint, config)?;
        let messages = Messages::new(config, Host::read(), Surroundings::of);
        let queue = Queue::new(config.queue_bytes, state.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("tracer-otlp".to_owned());
        let every = config.metrics;
        let run = move || {
            runtime.block_on(async {
                let (told, figures) = watch::channel(Bytes::new());
                let make = make(messages, batches, &queue, told, every, &state);
                tokio::join!(make, deliver::all(&receiver, &queue, figures, &state));
            });
            // A name that is being looked up is not waited for.
            runtime.shutdown_background();
        };
        let thread = thread.spawn(run).context("start the thread that sends spans")?;
        Ok(Some(Otlp(thread)))
    }

    /// Waits until what is left is sent or lost. Nobody may publish any more.
    ///
    /// # Errors
    /// When it ended by a defect.
    pub fn end(self) -> anyhow::Result<()> {
        self.0.join().map_err(|_| anyhow!("the thread that sends spans ended by a defect of the tracer"))
    }
}

/// Makes messages of batches until no more come.
async fn make(
    mut messages: Messages,
    mut batches: Subscription,
    queue: &Queue,
    figures: watch::Sender<Bytes>,
    every: Option<Duration>,
    state: &State,
) {
    let mut tick = every.map(|every| {
        let mut tick = interval_at(Instant::now() + every, every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick
    });
    loop {
        tokio::select! {
            next = batches.next() => {
                let Some((batch, missed)) = next else { break };
                state.lose(Lost::Missed, missed);
                let (made, left_out) = messages.of(&batch);
                state.add_left_out_requests(left_out);
                made.into_iter().for_each(|message| queue.push(message));
            }
            () = due(&mut tick) => tell(&messages, &figures),
        }
    }
    tell(&messages, &figures);
    queue.close();
}

fn tell(messages: &Messages, figures: &watch::Sender<Bytes>) {
    if let Some(bytes) = messages.figures() {
        figures.send_replace(bytes);
    }
}

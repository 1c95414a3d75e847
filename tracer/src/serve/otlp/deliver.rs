//! Sends what is made until the receiver takes it.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    queue::Queue,
    receiver::{Outcome, Receiver, Signal},
    retry::Backoff,
    state::{Lost, State},
};

/// What is left when the daemon stops is sent within this time, or lost: a stop may take a second.
const FLUSH: Duration = Duration::from_millis(500);

/// Delivers until there is no more, or the time after the end is over.
pub async fn all(receiver: &Receiver, queue: &Queue, figures: watch::Receiver<Bytes>, state: &State) {
    let sent = async { tokio::join!(spans(receiver, queue, state), latest(receiver, queue, figures, state)) };
    let over = async {
        queue.closed().await;
        tokio::time::sleep(FLUSH).await;
    };
    tokio::select! {
        _ = sent => {}
        () = over => {
            let lost = queue.clear();
            state.lose(Lost::Stop, lost);
            if lost > 0 {
                eprintln!("tracer: {lost} requests were not sent before the end: the receiver did not take them");
            }
        }
    }
}

/// Sends what is queued, one message after the other, each until it is taken or refused.
async fn spans(receiver: &Receiver, queue: &Queue, state: &State) {
    while let Some(message) = queue.first().await {
        if deliver(Signal::Traces, receiver, queue, state, || message.bytes.clone()).await {
            state.add_sent_requests(message.requests);
            state.add_sent_spans(message.spans);
        } else {
            state.lose(Lost::Refused, message.requests);
        }
        queue.pop();
    }
}

/// Sends figures as they come. Where one is not taken, the next has all that it had.
async fn latest(receiver: &Receiver, queue: &Queue, mut figures: watch::Receiver<Bytes>, state: &State) {
    while figures.changed().await.is_ok() {
        deliver(Signal::Metrics, receiver, queue, state, || figures.borrow_and_update().clone()).await;
    }
}

/// Sends what `bytes` gives, anew for each attempt, until it is taken or refused; gives whether it was taken.
async fn deliver(
    signal: Signal,
    receiver: &Receiver,
    queue: &Queue,
    state: &State,
    mut bytes: impl FnMut() -> Bytes,
) -> bool {
    let mut backoff = Backoff::default();
    loop {
        match receiver.send(signal, bytes()).await {
            Outcome::Taken { rejected, message } => {
                taken(signal, receiver, state, rejected, &message);
                return true;
            }
            Outcome::Later { after, why } => {
                later(signal, receiver, state, &why);
                pause(&mut backoff, after, queue).await;
                state.add_retries(1);
            }
            Outcome::Refused { why } => {
                refused(signal, receiver, state, &why);
                return false;
            }
        }
    }
}

fn taken(signal: Signal, receiver: &Receiver, state: &State, rejected: u64, why: &str) {
    if rejected > 0 {
        eprintln!("tracer: {receiver} rejected {rejected} of {signal}: {why}");
        state.reject(signal, rejected);
    }
    if state.set_trouble(signal, None) {
        eprintln!("tracer: {receiver} takes {signal} again");
    }
}

fn later(signal: Signal, receiver: &Receiver, state: &State, why: &str) {
    let trouble = format!("{receiver} does not take {signal}: {why}");
    if state.set_trouble(signal, Some(trouble.clone())) {
        eprintln!("tracer: {trouble}; they wait until it does");
    }
}

fn refused(signal: Signal, receiver: &Receiver, state: &State, why: &str) {
    let trouble = format!("{receiver} refuses {signal}: {why}");
    if state.set_trouble(signal, Some(trouble.clone())) {
        eprintln!("tracer: {trouble}; what it refuses is lost");
    }
}

/// Waits before the next attempt. When the end comes, that is made at once: there is little time left.
async fn pause(backoff: &mut Backoff, after: Option<Duration>, queue: &Queue) {
    let pause = backoff.next(after);
    if backoff.is_ending {
        return tokio::time::sleep(pause).await;
    }
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = queue.closed() => backoff.is_ending = true,
    }
}

//! What waits to be sent, bounded in bytes.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::state::{Lost, State};

/// A message to the receiver, encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub bytes: Bytes,
    pub requests: u64,
    pub spans: u64,
}

/// Messages in order. The first stays in it until it was taken or given up.
#[derive(Debug)]
pub struct Queue {
    limit_bytes: u64,
    state: Arc<State>,
    content: Mutex<Content>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Content {
    messages: VecDeque<Message>,
    bytes: u64,
    requests: u64,
    is_closed: bool,
}

impl Queue {
    pub fn new(limit_bytes: usize, state: Arc<State>) -> Queue {
        Queue { limit_bytes: limit_bytes as u64, state, content: Mutex::default(), changed: Notify::new() }
    }

    /// Puts a message behind the others. One that has no room is lost, and counted.
    pub fn push(&self, message: Message) {
        let size = message.bytes.len() as u64;
        self.with(|content| {
            if content.bytes + size > self.limit_bytes {
                self.state.lose(Lost::Queue, message.requests);
                return;
            }
            content.bytes += size;
            content.requests += message.requests;
            content.messages.push_back(message);
        });
    }

    /// No more come.
    pub fn close(&self) {
        self.with(|content| content.is_closed = true);
    }

    /// The first message, once there is one; `None` when no more come.
    pub async fn first(&self) -> Option<Message> {
        loop {
            let changed = self.changed.notified();
            {
                let content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(first) = content.messages.front() {
                    return Some(first.clone());
                }
                if content.is_closed {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Until no more come.
    pub async fn closed(&self) {
        loop {
            let changed = self.changed.notified();
            if self.content.lock().unwrap_or_else(PoisonError::into_inner).is_closed {
                return;
            }
            changed.await;
        }
    }

    /// Drops the first message.
    pub fn pop(&self) {
        self.with(|content| {
            if let Some(message) = content.messages.pop_front() {
                content.bytes -= message.bytes.len() as u64;
                content.requests -= message.requests;
            }
        });
    }

    /// Drops all that is left; gives how many requests that were.
    pub fn clear(&self) -> u64 {
        self.with(|content| {
            content.messages.clear();
            content.bytes = 0;
            std::mem::take(&mut content.requests)
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Content) -> T) -> T {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut content);
        self.state.set_queued(content.requests, content.bytes);
        drop(content);
        self.changed.notify_waiters();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(size: usize, requests: u64) -> Message {
        Message { bytes: vec![0; size].into(), requests, spans: requests }
    }

    #[tokio::test]
    async fn what_has_no_room_is_counted() {
        let state = Arc::new(State::default());
        let queue = Queue::new(10, state.clone());
        queue.push(message(6, 3));
        queue.push(message(6, 2));
        queue.push(message(4, 1));
        assert_eq!(
            (state.queued_requests(), state.queued_bytes(), state.lost_requests(Lost::Queue)),
            (4, 10, 2)
        );
        assert_eq!(queue.first().await, Some(message(6, 3)));
        queue.pop();
        queue.close();
        assert_eq!(queue.first().await, Some(message(4, 1)));
        queue.pop();
        assert_eq!((queue.first().await, queue.clear(), state.queued_bytes()), (None, 0, 0));
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let queue = Arc::new(Queue::new(10, Arc::default()));
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.first().await }
        });
        tokio::task::yield_now().await;
        queue.push(message(1, 1));
        assert_eq!(waiting.await.expect("it ends"), Some(message(1, 1)));
    }
}

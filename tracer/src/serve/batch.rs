//! What the daemon tells of the last second, to everybody who wants to know.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::broadcast;

use crate::{
    record::hand_out::Vitals,
    report::types::{Finding, Process, Request, UnknownBucket},
};

/// Batches that wait for the slowest; beyond, it misses the oldest.
const WAITING: usize = 16;

/// Requests that finished, and what became known beside them.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub at_unix_ns: u64,
    /// How many requests all earlier batches had: who missed a batch knows how many it missed.
    pub n_before: u64,
    pub requests: Vec<Arc<Request>>,
    /// Every process that is known now, and what can't be seen of it.
    pub processes: Vec<Process>,
    pub unknown: Vec<UnknownBucket>,
    /// Events lost since the last batch, by kind.
    pub lost: BTreeMap<String, u64>,
    /// Of a stretch of time that ended with this batch.
    pub findings: Option<Found>,
    pub vitals: Vitals,
}

/// What was found in the requests that finished within a stretch of time.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub start_unix_ns: u64,
    pub end_unix_ns: u64,
    pub findings: Vec<Finding>,
}

/// Where batches come from. Each subscriber gets every batch from then on; with the last publisher gone, no more.
#[derive(Clone, Debug)]
pub struct Batches(broadcast::Sender<Arc<Batch>>);

impl Default for Batches {
    fn default() -> Self {
        Batches(broadcast::channel(WAITING).0)
    }
}

impl Batches {
    pub fn subscribe(&self) -> Subscription {
        Subscription { batches: self.0.subscribe(), n_seen: None }
    }

    pub fn publish(&self, batch: Batch) {
        // That nobody listens is no error.
        let _ = self.0.send(Arc::new(batch));
    }
}

/// Batches as one subscriber gets them.
#[derive(Debug)]
pub struct Subscription {
    batches: broadcast::Receiver<Arc<Batch>>,
    n_seen: Option<u64>,
}

impl Subscription {
    /// The next batch, and how many requests were missed before it. `None` when no more come.
    pub async fn next(&mut self) -> Option<(Arc<Batch>, u64)> {
        loop {
            match self.batches.recv().await {
                Ok(batch) => return Some(self.count(batch)),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// As [`Subscription::next`], for a thread of its own.
    pub fn wait(&mut self) -> Option<(Arc<Batch>, u64)> {
        loop {
            match self.batches.blocking_recv() {
                Ok(batch) => return Some(self.count(batch)),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    fn count(&mut self, batch: Arc<Batch>) -> (Arc<Batch>, u64) {
        let missed = batch.n_before.saturating_sub(self.n_seen.unwrap_or(batch.n_before));
        self.n_seen = Some(batch.n_before + batch.requests.len() as u64);
        (batch, missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::cases::request;

    #[test]
    fn who_is_slow_knows_what_it_missed() {
        let batches = Batches::default();
        let mut subscription = batches.subscribe();
        for number in 0..WAITING as u64 + 3 {
            let requests = vec![Arc::new(request("/a", number, &[])), Arc::new(request("/b", number, &[]))];
            batches.publish(Batch { n_before: 2 * number, requests, ..Batch::default() });
            if number == 0 {
                assert_eq!(subscription.wait().map(|(batch, missed)| (batch.n_before, missed)), Some((0, 0)));
            }
        }
        drop(batches);
        let (batch, missed) = subscription.wait().expect("a batch");
        assert_eq!((batch.n_before, missed), (6, 4));
        let rest = std::iter::from_fn(|| subscription.wait());
        assert!(rest.map(|(_, missed)| missed).eq(vec![0; WAITING - 1]));
    }
}

//! Messages of spans and figures, made of batches.

use std::collections::BTreeMap;

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;

use super::{
    figures::Figures,
    names::SCHEMA_URL,
    place::Place,
    queue::Message,
    resource::{Host, Resources, scope},
    sample::Sampler,
    service::Surroundings,
    span,
};
use crate::serve::{batch::Batch, config};

/// A message has the spans of requests until these take so many bytes: gRPC receivers take 4 MiB unless they are told otherwise.
const BYTES: usize = 1 << 20;

/// So many messages have room in the queue, at least: one that has none is lost.
const QUEUED: usize = 8;

/// Makes messages of one batch after the other.
pub struct Messages {
    host: Host,
    resources: Resources,
    sampler: Sampler,
    has_spans: bool,
    least_piece_ns: Option<u64>,
    message_bytes: usize,
    /// Where they are sent.
    figures: Option<Figures>,
}

impl Messages {
    /// `look` gives the surroundings of a process.
    pub fn new(config: &config::Otlp, host: Host, look: fn(u32) -> Surroundings) -> Messages {
        let least_piece = config.piece.map(|piece| u64::try_from(piece.as_nanos()).unwrap_or(u64::MAX));
        Messages {
            resources: Resources::new(host.clone(), look),
            figures: config.metrics.map(|_| Figures::default()),
            host,
            sampler: Sampler::new(config.ratio, config.slow),
            has_spans: config.spans,
            least_piece_ns: least_piece,
            message_bytes: BYTES.min(config.queue_bytes / QUEUED),
        }
    }

    /// The messages of a batch, and how many of its requests are in none.
    pub fn of(&mut self, batch: &Batch) -> (Vec<Message>, u64) {
        self.resources.update(&batch.processes);
        if let Some(figures) = &mut self.figures {
            figures.add(batch, &self.resources);
        }
        let mut messages = Vec::new();
        let mut open = Open::default();
        let mut left_out = 0;
        for request in &batch.requests {
            let place = Place::of(request, &self.host.id);
            if !self.has_spans || !self.sampler.keeps(request, &place) {
                left_out += 1;
                continue;
            }
            let spans = span::spans(request, &place, &self.host.id, self.least_piece_ns);
            open.add(request.pid, spans);
            if open.bytes >= self.message_bytes {
                messages.push(std::mem::take(&mut open).close(&self.resources));
            }
        }
        if open.requests > 0 {
            messages.push(open.close(&self.resources));
        }
        (messages, left_out)
    }

    /// The figures as they are now, encoded; `None` where there are none.
    pub fn figures(&self) -> Option<Bytes> {
        let message = self.figures.as_ref()?.message(&self.resources)?;
        Some(message.encode_to_vec().into())
    }
}

/// A message that more is added to.
#[derive(Default)]
struct Open {
    /// By pid.
    spans: BTreeMap<u32, Vec<Span>>,
    bytes: usize,
    requests: u64,
    n_spans: u64,
}

impl Open {
    fn add(&mut self, pid: u32, spans: Vec<Span>) {
        self.bytes += spans.iter().map(Span::encoded_len).sum::<usize>();
        self.n_spans += spans.len() as u64;
        self.requests += 1;
        self.spans.entry(pid).or_default().extend(spans);
    }

    fn close(self, resources: &Resources) -> Message {
        let resource_spans = self.spans.into_iter().map(|(pid, spans)| {
            let resource = resources.of(pid).map_or_else(Resource::default, |known| known.resource.clone());
            let spans = ScopeSpans { scope: Some(scope()), spans, schema_url: String::new() };
            ResourceSpans {
                resource: Some(resource),
                scope_spans: vec![spans],
                schema_url: SCHEMA_URL.to_owned(),
            }
        });
        let request = ExportTraceServiceRequest { resource_spans: resource_spans.collect() };
        Message { bytes: request.encode_to_vec().into(), requests: self.requests, spans: self.n_spans }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{finding::cases::request, report::bucket::Bucket, serve::config::Config};

    #[test]
    fn what_comes_at_once_has_room_in_a_small_queue_one_message_after_the_other() {
        let config = config::Otlp { queue_bytes: 60_000, ..Config::default().otlp };
        let mut messages = Messages::new(&config, Host::default(), |_| Surroundings::default());
        let requests = (0..200).map(|index| Arc::new(request("/chat", index, &[(Bucket::PythonCpu, 100)])));
        let (made, left_out) = messages.of(&Batch { requests: requests.collect(), ..Batch::default() });
        assert_eq!((made.iter().map(|message| message.requests).sum::<u64>(), left_out), (200, 0));
        let longest = made.iter().map(|message| message.bytes.len()).max().expect("there are some");
        assert!(made.len() > QUEUED && longest < config.queue_bytes / 4, "{} of {longest} bytes", made.len());
    }
}

//! What vendor, application and client logged of their own time (`tests/lab`, `tests/apps`). Times are CLOCK_MONOTONIC in ns.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, de::DeserializeOwned};

#[derive(Debug, Default)]
pub struct Truth {
    /// Wall clock minus monotonic clock.
    pub unix_offset_ns: u64,
    pub connections: Vec<Connection>,
    pub exchanges: Vec<Exchange>,
    pub lookups: Vec<Lookup>,
    pub requests: Vec<Request>,
    pub responses: Vec<Response>,
}

/// A line of the vendor's log.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Vendor {
    Clock { unix_offset_ns: u64 },
    Connection(Connection),
    Exchange(Exchange),
    Lookup(Lookup),
}

/// A TLS connection as the vendor saw it.
#[derive(Debug, Deserialize)]
pub struct Connection {
    pub connection: u64,
    pub accepted_ns: u64,
    /// Arrival of the ClientHello, and of the client's last handshake message.
    pub hello_ns: u64,
    pub finished_ns: Option<u64>,
}

/// A request and its answer as the vendor saw them.
#[derive(Debug, Deserialize)]
pub struct Exchange {
    pub connection: u64,
    /// The vendor's name for it, which is in its answer.
    pub request_id: Option<String>,
    /// Who made it, a slash, number of the call in the request.
    pub call: String,
    pub model: String,
    pub attempt: u32,
    pub stream: bool,
    pub status: u16,
    /// Of its answer; `None` of one that is none of a model.
    pub output_tokens: Option<u64>,
    /// What the answer's head says of the vendor's time, and of what the caller may still ask; `None` where it says nothing.
    pub reported_ms: Option<u64>,
    pub requests_left: Option<u64>,
    pub tokens_left: Option<u64>,
    /// Arrival of the request's last byte.
    pub received_ns: u64,
    /// Just before each piece of the answer went out.
    pub sent_ns: Vec<u64>,
    /// Just before the first piece of a stream went out that has output of the model.
    pub content_ns: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub struct Lookup {
    pub name: String,
    pub received_ns: u64,
    pub answered_ns: u64,
}

/// A request as the application saw it.
#[derive(Debug, Deserialize)]
pub struct Request {
    pub id: String,
    pub route: String,
    pub pid: u32,
    pub start_ns: u64,
    pub end_ns: u64,
    /// `None` where the application can't count it.
    pub cpu_ns: Option<u64>,
    pub calls: Vec<Call>,
    /// Waits that the application knows of, by the name of their bucket.
    #[serde(default)]
    pub waits: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
pub struct Call {
    pub name: String,
    pub start_ns: u64,
    pub first_chunk_ns: Option<u64>,
    pub end_ns: Option<u64>,
}

/// A request as its caller saw it.
#[derive(Debug, Deserialize)]
pub struct Response {
    pub id: String,
    pub path: String,
    pub status: Option<u16>,
    pub sha256: Option<String>,
    pub sent_ns: u64,
    pub last_byte_ns: Option<u64>,
}

impl Truth {
    /// Reads the three logs; one that is not there is empty.
    pub fn read(dir: &Path) -> Truth {
        let mut truth = Truth {
            requests: lines(&dir.join("app.jsonl")),
            responses: lines(&dir.join("client.jsonl")),
            ..Truth::default()
        };
        for line in lines(&dir.join("vendor.jsonl")) {
            match line {
                Vendor::Clock { unix_offset_ns } => truth.unix_offset_ns = unix_offset_ns,
                Vendor::Connection(connection) => truth.connections.push(connection),
                Vendor::Exchange(exchange) => truth.exchanges.push(exchange),
                Vendor::Lookup(lookup) => truth.lookups.push(lookup),
            }
        }
        truth
    }

    /// The application's record of a request.
    #[track_caller]
    pub fn request(&self, id: &str) -> &Request {
        let found = self.requests.iter().find(|request| request.id == id);
        found.unwrap_or_else(|| panic!("the application has not logged request {id}"))
    }

    /// The answers' names, status and digest, by name: what must not change under the tracer.
    pub fn answers(&self) -> Vec<(&str, Option<u16>, Option<&str>)> {
        let mut answers: Vec<_> = self
            .responses
            .iter()
            .map(|response| (response.id.as_str(), response.status, response.sha256.as_deref()))
            .collect();
        answers.sort_unstable();
        answers
    }
}

impl Exchange {
    /// Name of the request that it was made for.
    pub fn request(&self) -> &str {
        self.call.split_once('/').map_or(&self.call, |(request, _)| request)
    }

    /// Who made it: the request, by its name, or `NAME/background` what went on after its answer.
    pub fn maker(&self) -> &str {
        self.call.rsplit_once('/').map_or(&self.call, |(maker, _)| maker)
    }

    pub fn first_byte_ns(&self) -> Option<u64> {
        self.sent_ns.first().map(|first| first - self.received_ns)
    }

    pub fn first_content_ns(&self) -> Option<u64> {
        Some(self.content_ns? - self.received_ns)
    }

    pub fn stream_ns(&self) -> Option<u64> {
        Some(self.sent_ns.last()? - self.sent_ns.first()?)
    }
}

fn lines<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}: {line}", path.display()))
        })
        .collect()
}

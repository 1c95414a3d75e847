//! What a receiver of OTLP was sent (`tests/apps/otlp_receiver.py`).

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    lab::{LIMIT, Lab, folder},
    python::Python,
    running::Running,
};

/// The receiver in the lab; it may be stopped and started.
pub struct Receiver {
    running: Option<Running>,
    book: PathBuf,
}

/// A point of a figure as it came.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Point {
    pub resource: Attributes,
    pub metric: String,
    pub unit: String,
    /// 2 is cumulative.
    pub temporality: i32,
    pub attributes: Attributes,
    pub start_ns: u64,
    pub at_ns: u64,
    /// Of a histogram.
    pub count: Option<u64>,
    pub sum: Option<f64>,
    /// Of a sum.
    pub value: Option<f64>,
}

/// Kinds as OTLP numbers them.
pub const INTERNAL: i32 = 1;
pub const SERVER: i32 = 2;
pub const CLIENT: i32 = 3;

/// A span as it came.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Span {
    pub resource: Attributes,
    pub scope: String,
    pub trace: String,
    pub id: String,
    /// Empty for none.
    pub parent: String,
    pub name: String,
    pub kind: i32,
    pub start_ns: u64,
    pub end_ns: u64,
    pub is_error: bool,
    pub attributes: Attributes,
    pub events: Vec<Event>,
    /// `grpc` or `http`.
    pub via: String,
    /// The header `authorization`.
    pub token: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Event {
    pub name: String,
    pub at_ns: u64,
    pub attributes: Attributes,
}

type Attributes = BTreeMap<String, Value>;

impl Receiver {
    /// The receiver, started.
    pub fn start(lab: &Lab) -> Receiver {
        let mut receiver = Receiver::absent(lab);
        receiver.come(lab);
        receiver
    }

    /// One that is not there yet.
    pub fn absent(lab: &Lab) -> Receiver {
        Receiver { running: None, book: lab.dir().join("otlp.jsonl") }
    }

    /// Starts it.
    pub fn come(&mut self, lab: &Lab) {
        let mut command = lab.command(Python::otlp().program("python"));
        command.arg("otlp_receiver.py").arg(&self.book).arg(lab.dir().join("server.pem"));
        let mut running = lab.start_command(&mut command, "receiver");
        running.wait_for_stderr("ready", LIMIT);
        self.running = Some(running);
    }

    /// One outside of the lab, whose Python `python` starts; it takes what comes to any address of its network.
    pub fn start_by(mut python: Command, dir: &Path, certificate: &Path) -> Receiver {
        let book = dir.join("otlp.jsonl");
        python.arg(folder("apps").join("otlp_receiver.py")).args([&book, certificate]).arg("0.0.0.0");
        let mut running = Running::start(&mut python, dir, "receiver");
        running.wait_for_stderr("ready", LIMIT);
        Receiver { running: Some(running), book }
    }

    /// Kills it.
    pub fn go(&mut self) {
        self.running = None;
    }

    /// Every span that came, each once, however often it was sent. Panics where one was sent twice and differs.
    pub fn spans(&self) -> Vec<Span> {
        let text = fs::read_to_string(&self.book).unwrap_or_default();
        let mut spans = HashMap::<String, Span>::new();
        for line in text.lines().filter(|line| !line.contains("\"metric\"")) {
            // The last one is not whole where it was killed.
            let Ok(span) = serde_json::from_str::<Span>(line) else { continue };
            let known = spans.entry(span.id.clone()).or_insert_with(|| span.clone());
            assert_eq!(*known, span, "it was sent twice");
        }
        spans.into_values().collect()
    }

    /// The latest point of each series of a figure.
    pub fn points(&self, metric: &str) -> Vec<Point> {
        let text = fs::read_to_string(&self.book).unwrap_or_default();
        let mut points = BTreeMap::<String, Point>::new();
        for line in text.lines().filter(|line| line.contains("\"metric\"")) {
            let Ok(point) = serde_json::from_str::<Point>(line) else { continue };
            if point.metric == metric {
                points.insert(format!("{:?}{:?}", point.resource, point.attributes), point);
            }
        }
        points.into_values().collect()
    }

    /// Waits until so many requests have come that the tracer tells of; gives all spans.
    pub fn wait_for_requests(&self, requests: usize) -> Vec<Span> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let spans = self.spans();
            let found = spans.iter().filter(|span| span.is_request()).count();
            if found >= requests {
                return spans;
            }
            assert!(Instant::now() < deadline, "{found} of {requests} requests came");
            thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Span {
    /// Whether the tracer made it, and not the application.
    pub fn is_ours(&self) -> bool {
        self.scope == "tracer"
    }

    /// Whether it is that of a request.
    pub fn is_request(&self) -> bool {
        self.is_ours() && self.kind == SERVER
    }

    /// Whether it is that of a call to a model.
    pub fn is_llm_call(&self) -> bool {
        self.is_ours() && self.kind == CLIENT && self.attributes.contains_key("gen_ai.provider.name")
    }

    pub fn text(&self, key: &str) -> &str {
        self.attributes.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn number(&self, key: &str) -> Option<u64> {
        self.attributes.get(key)?.as_u64()
    }
}

//! The report as data; its JSON form is schema 1. Times in ns, absolute times since the epoch; keys never
//! vanish, absent is `null`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};

use super::{bucket::Bucket, counts::FunctionCounts, group::Side, stacks::Stacks};
use crate::event;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Always 1.
    pub schema: u32,
    pub capture: Capture,
    pub processes: Vec<Process>,
    pub requests: Vec<Request>,
    pub findings: Vec<Finding>,
    /// `None` where they were not counted; a capture has none.
    #[serde(default)]
    pub function_counts: Option<FunctionCounts>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Capture {
    pub start_unix_ns: u64,
    pub duration_ns: u64,
    pub kernel: String,
    /// Of each CPU, while it is used.
    pub samples_per_second: u32,
    pub lost_events: BTreeMap<String, u64>,
    pub unknown: Vec<UnknownBucket>,
    /// Buckets that no probe could see either, but of which samples tell.
    pub sampled: Vec<UnknownBucket>,
}

/// A bucket that no probe could see in a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnknownBucket {
    pub pid: u32,
    pub bucket: String,
    pub reason: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    pub start_unix_ns: u64,
    pub exe: String,
    pub cmdline: String,
    pub python: Option<String>,
    pub container_id: Option<String>,
    /// The name of what the container was made of.
    pub image: Option<String>,
    pub pod: Option<event::Pod>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    pub id: String,
    pub pid: u32,
    pub kind: Kind,
    pub method: Option<String>,
    /// Without query string.
    pub path: Option<String>,
    /// Template of the path, for grouping.
    pub route: Option<String>,
    pub status: Option<u16>,
    pub start_unix_ns: u64,
    pub wall_ns: u64,
    /// From the start to the hand-over of the answer's first byte.
    pub first_byte_ns: Option<u64>,
    /// No event that could belong to it was lost, and its beginning and end were seen.
    pub complete: bool,
    pub traceparent: Option<String>,
    pub buckets: Buckets,
    /// CPU of all its contexts, parallel ones added up.
    pub cpu_ns: u64,
    pub contexts: u32,
    pub calls: Vec<Call>,
    /// Who kept the event loop while it waited for that, the longest first.
    pub delays: Vec<Delay>,
    /// What its tasks went on with after it was answered; `None` where that was no more than its own end.
    pub background: Option<Background>,
    pub functions: Vec<Function>,
    /// What its threads and tasks waited in, the longest first; histories of before it was told have none.
    #[serde(default)]
    pub waits: Vec<Wait>,
    /// What it imported, of modules within each other the outermost, those that took longest; nothing where samples alone tell
    /// of imports.
    #[serde(default)]
    pub imports: Vec<Import>,
    /// Which pieces of `timeline` they were.
    #[serde(skip)]
    pub waited: Vec<Waited>,
    /// The samples that `functions` sum up, by whole stacks.
    #[serde(skip)]
    pub stacks: Stacks,
    /// The wall time in order, each piece in its bucket, without gaps: what the waterfall draws.
    #[serde(skip)]
    pub timeline: Vec<Segment>,
    /// Runs of the request's contexts on threads, in order of start.
    #[serde(skip)]
    pub steps: Vec<Step>,
    /// How long it waited for the GIL, by who held that, as far as samples tell.
    #[serde(skip)]
    pub gil_waits: Vec<GilWait>,
}

impl Request {
    /// Its calls, and those that its tasks made after it was answered.
    pub fn all_calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().chain(self.background.iter().flat_map(|background| &background.calls))
    }
}

/// Another request's steps that kept the event loop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delay {
    /// Id of that request.
    pub request: String,
    /// Method and route of it.
    pub route: String,
    /// What of the application it ran meanwhile, where that was seen.
    pub function: Option<Frame>,
    pub wait_ns: u64,
}

/// Work for a request from its answer up to the last that was done: no part of its wall time, CPU or calls.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Background {
    pub wall_ns: u64,
    pub buckets: Buckets,
    pub cpu_ns: u64,
    pub calls: Vec<Call>,
}

/// An import that ran in a request, with those within it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Import {
    pub module: String,
    pub import_ns: u64,
}

/// Waits of threads and tasks in one place, as parts of the wall time: for a lock, a file, a pool, or a while.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    pub bucket: String,
    /// The innermost functions, that one first.
    pub stack: Vec<Frame>,
    pub wait_ns: u64,
    pub times: u64,
}

/// A piece of the timeline that is a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waited {
    /// From the request's start.
    pub start_ns: u64,
    /// An index into [`Request::waits`].
    pub wait: usize,
}

/// A piece of a request's wall time; from the request's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub start_ns: u64,
    pub end_ns: u64,
    pub bucket: Bucket,
}

/// One uninterrupted run of a context on a thread; from the request's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub start_ns: u64,
    pub end_ns: u64,
    /// Number of the context within the request, from 0.
    pub context: u32,
    pub tid: u32,
    /// What it ran, as an index into [`Request::functions`]; `None` where it was too short to be seen.
    pub function: Option<usize>,
}

/// A part of a request's wait for the GIL.
#[derive(Clone, Debug, PartialEq)]
pub struct GilWait {
    /// What the thread ran that held it.
    pub function: Frame,
    pub tid: u32,
    pub wait_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Http,
    Run,
}

/// One outbound HTTP exchange. Times are inclusive, from the call's own start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Call {
    pub id: String,
    pub vendor: Option<String>,
    pub host: Option<String>,
    pub port: Option<u16>,
    pub operation: Option<String>,
    pub model: Option<String>,
    pub stream: Option<bool>,
    pub status: Option<u16>,
    /// 1 for the first.
    pub attempt: u32,
    pub start_unix_ns: u64,
    pub wall_ns: u64,
    pub dns_ns: Option<u64>,
    pub connect_ns: Option<u64>,
    pub tls_ns: Option<u64>,
    pub send_ns: Option<u64>,
    /// From the request's last byte out to the first response byte's arrival in the kernel.
    pub first_byte_ns: Option<u64>,
    /// The same to the arrival of the first output of the model, of a stream.
    pub first_content_ns: Option<u64>,
    /// From the first to the last arrival of response bytes.
    pub stream_ns: Option<u64>,
    /// Sum of the delays between arrivals and the reads that took them.
    pub read_delay_ns: Option<u64>,
    /// The longest time between two arrivals of response bytes, and between two reads of them: a slow vendor shows in both,
    /// a slow reader in the second alone.
    pub longest_gap_ns: Option<u64>,
    pub longest_read_gap_ns: Option<u64>,
    pub rtt_ns: Option<u64>,
    /// Arrivals of response bytes.
    pub chunks: u32,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub connection_reused: bool,
    pub vendor_request_id: Option<String>,
    pub vendor_reported_ns: Option<u64>,
    /// What the application sent with it, where that is instrumented itself.
    pub traceparent: Option<String>,
    /// How the answer ended; `None` where that was not seen.
    pub end: Option<End>,
    /// What the answer said of the caller's limits.
    pub rate_limit: Option<event::Limits>,
    pub stack: Vec<Caller>,
    /// Number of the context that made it, as in [`Step::context`].
    #[serde(skip)]
    pub context: u32,
    /// From the request's start.
    #[serde(skip)]
    pub start_ns: u64,
    /// Where its phases lie, named as for an LLM call; from the request's start.
    #[serde(skip)]
    pub phases: Vec<Segment>,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// As it should.
    Complete,
    /// With an error in it.
    Failed,
    /// The other side closed the connection before.
    Cut,
    /// The application closed it before.
    GivenUp,
}

impl Call {
    /// Of a stream: how fast its tokens came, from the first output on.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let content_ns = self.first_content_ns?.saturating_sub(self.first_byte_ns?);
        let stream_ns = self.stream_ns?.checked_sub(content_ns).filter(|stream_ns| *stream_ns > 0)?;
        // The first one came at the start of that.
        let tokens = self.output_tokens?.checked_sub(1).filter(|tokens| *tokens > 0)?;
        Some(tokens as f64 / (stream_ns as f64 / 1e9))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    pub function: String,
    pub file: String,
    pub line: u32,
}

/// A function on the stack of who makes a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    pub function: String,
    pub file: String,
    /// The line that it has come to; `None` where there is none, or it could not be told.
    pub line: Option<u32>,
    /// It is the application's own: no library's.
    pub application: bool,
    /// Where the function begins.
    #[serde(skip)]
    pub first_line: u32,
}

impl Caller {
    /// `ask (chat.py:12)`
    pub fn label(&self) -> String {
        match self.line {
            Some(line) => label(&self.function, &self.file, line),
            None => self.function.clone(),
        }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Function {
    pub function: String,
    pub file: String,
    pub line: u32,
    pub self_ns: u64,
    pub total_ns: u64,
    /// Native code that it called, the longest first; histories of before it was told have none.
    #[serde(default)]
    pub native: Vec<Native>,
    pub samples: u64,
}

/// A part of a function's own time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Native {
    /// The file that the code was mapped from, or `[kernel]`, or `[vdso]`.
    pub library: String,
    pub self_ns: u64,
}

impl Frame {
    /// `ask (chat.py:12)`
    pub fn label(&self) -> String {
        label(&self.function, &self.file, self.line)
    }
}

impl From<(&event::Function, Option<u32>)> for Caller {
    fn from((function, line): (&event::Function, Option<u32>)) -> Caller {
        let event::Function { name, file, line: first_line } = function;
        let (application, first_line) = (function.is_of_application(), *first_line);
        Caller { function: name.clone(), file: file.clone(), line, application, first_line }
    }
}

impl From<&event::Function> for Frame {
    fn from(event::Function { name, file, line }: &event::Function) -> Frame {
        Frame { function: name.clone(), file: file.clone(), line: *line }
    }
}

impl Function {
    pub fn frame(&self) -> Frame {
        Frame { function: self.function.clone(), file: self.file.clone(), line: self.line }
    }

    /// `ask (chat.py:12)`
    pub fn label(&self) -> String {
        label(&self.function, &self.file, self.line)
    }
}

/// A function by the name of its file; `openai/__init__.py` where that alone would say nothing. Native code by its library.
pub(crate) fn label(function: &str, file: &str, line: u32) -> String {
    if file == event::NATIVE {
        return function.to_owned();
    }
    let mut names = file.rsplitn(3, '/');
    let file = match (names.next().unwrap_or(file), names.next()) {
        (name @ ("__init__.py" | "__main__.py"), Some(folder)) => format!("{folder}/{name}"),
        (name, _) => name.to_owned(),
    };
    format!("{function} ({file}:{line})")
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Finding {
    pub kind: String,
    /// Whose it is to fix. Histories of before it was told have none.
    #[serde(default)]
    pub side: Side,
    pub title: String,
    /// How many requests it touches.
    pub requests: u64,
    pub cost_ns: u64,
    pub evidence: serde_json::Map<String, serde_json::Value>,
    pub advice: String,
}

/// Nanoseconds by bucket; `None` where no probe could see the bucket. The known ones sum to the wall time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    ns: [Option<u64>; Bucket::ALL.len()],
}

impl Buckets {
    pub fn zero() -> Self {
        Buckets { ns: [Some(0); Bucket::ALL.len()] }
    }

    pub fn get(&self, bucket: Bucket) -> Option<u64> {
        self.ns[bucket as usize]
    }

    pub fn set(&mut self, bucket: Bucket, ns: Option<u64>) {
        self.ns[bucket as usize] = ns;
    }

    /// Adds to a bucket; one that was unknown becomes known.
    pub fn add(&mut self, bucket: Bucket, ns: u64) {
        let slot = &mut self.ns[bucket as usize];
        *slot = Some(slot.unwrap_or(0) + ns);
    }

    pub fn sum(&self) -> u64 {
        self.ns.iter().flatten().sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Bucket, Option<u64>)> + '_ {
        Bucket::ALL.into_iter().map(|bucket| (bucket, self.get(bucket)))
    }
}

impl Serialize for Buckets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Bucket::ALL.len()))?;
        for (bucket, ns) in self.iter() {
            map.serialize_entry(bucket.name(), &ns)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Buckets {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let by_name = BTreeMap::<String, Option<u64>>::deserialize(deserializer)?;
        let mut buckets = Buckets::default();
        for (name, ns) in by_name {
            let bucket = Bucket::from_name(&name)
                .ok_or_else(|| serde::de::Error::custom(format!("unknown bucket `{name}`")))?;
            buckets.set(bucket, ns);
        }
        Ok(buckets)
    }
}

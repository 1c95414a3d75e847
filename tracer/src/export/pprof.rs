//! pprof's format, gzipped. Field numbers are those of
//! <https://github.com/google/pprof/blob/main/proto/profile.proto>.

use std::{collections::HashMap, io::Write as _};

use flate2::{Compression, write::GzEncoder};
use prost::Message;

use super::{
    profile,
    stack::{Place, Stack},
};
use crate::report::{
    filter::Filter,
    functions::sample_ns,
    group,
    types::{Report, Request},
};

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    r#type: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    /// The innermost first.
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    str: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
    #[prost(int64, tag = "5")]
    start_line: i64,
}

/// The stacks of each request, labelled by `request`, `route`, `bucket` and, where it is known, `vendor`.
pub fn render(report: &Report, filter: &Filter) -> Vec<u8> {
    let mut tables = Tables::new();
    let sample_type = [("samples", "count"), ("cpu", "nanoseconds"), ("wall", "nanoseconds")]
        .map(|(kind, unit)| tables.value_type(kind, unit));
    let period_type = Some(tables.value_type("cpu", "nanoseconds"));
    let default_sample_type = tables.string("wall");
    let mut sample = Vec::new();
    for request in filter.select(report) {
        for (stack, weight) in profile::of(&[request]) {
            sample.push(Sample {
                location_id: tables.locations(&group::label(request), &stack),
                value: [weight.samples, weight.cpu_ns, weight.wall_ns].map(signed).into(),
                label: tables.labels(request, &stack),
            });
        }
    }
    let profile = Profile {
        sample_type: sample_type.into(),
        sample,
        location: tables.location,
        function: tables.function,
        string_table: tables.string_table,
        time_nanos: signed(report.capture.start_unix_ns),
        duration_nanos: signed(report.capture.duration_ns),
        period_type,
        period: signed(sample_ns(report.capture.samples_per_second)),
        default_sample_type,
    };
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&profile.encode_to_vec()).expect("a Vec takes everything");
    gzip.finish().expect("a Vec takes everything")
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What samples refer to by number.
struct Tables {
    string_table: Vec<String>,
    strings: HashMap<String, i64>,
    location: Vec<Location>,
    function: Vec<Function>,
    places: HashMap<(String, String, u32), u64>,
}

impl Tables {
    fn new() -> Self {
        Tables {
            // The format wants the empty one first.
            string_table: vec![String::new()],
            strings: [(String::new(), 0)].into(),
            location: Vec::new(),
            function: Vec::new(),
            places: HashMap::new(),
        }
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(number) = self.strings.get(text) {
            return *number;
        }
        let number = self.string_table.len() as i64;
        self.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), number);
        number
    }

    fn value_type(&mut self, kind: &str, unit: &str) -> ValueType {
        ValueType { r#type: self.string(kind), unit: self.string(unit) }
    }

    fn labels(&mut self, request: &Request, stack: &Stack) -> Vec<Label> {
        let route = group::label(request);
        let known = [("request", request.id.as_str()), ("route", &route), ("bucket", stack.bucket.name())];
        let vendor = stack.vendor.map(|vendor| ("vendor", vendor));
        let labels = known.into_iter().chain(vendor);
        labels.map(|(key, text)| Label { key: self.string(key), str: self.string(text) }).collect()
    }

    fn locations(&mut self, route: &str, stack: &Stack) -> Vec<u64> {
        let leaf = stack.leaf().map(|leaf| self.place(leaf, "", 0));
        let frames = stack.frames.iter().rev();
        let frames: Vec<u64> =
            frames.map(|place: &Place| self.place(place.label(), place.file, place.line)).collect();
        let route = self.place(route.to_owned(), "", 0);
        leaf.into_iter().chain(frames).chain([route]).collect()
    }

    fn place(&mut self, name: String, file: &str, line: u32) -> u64 {
        let key = (name, file.to_owned(), line);
        if let Some(id) = self.places.get(&key) {
            return *id;
        }
        let id = self.location.len() as u64 + 1;
        let (name, filename, line) = (self.string(&key.0), self.string(file), i64::from(line));
        self.function.push(Function { id, name, filename, start_line: line });
        self.location.push(Location { id, line: vec![Line { function_id: id, line }] });
        self.places.insert(key, id);
        id
    }
}

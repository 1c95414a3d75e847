//! Where the wall time of requests went, by function: what a flame graph draws.

use std::collections::BTreeMap;

use rusqlite::{Row, types::Value};
use serde::Serialize;

use super::{
    read::{Range, Reader, of_route},
    whole::Whole,
};
use crate::{
    export::{
        profile,
        stack::{Place, Stack},
    },
    report::{bucket::Bucket, types::Request},
};

/// Requests that are looked at, the newest: what is held at once, and how long it takes, is bounded.
pub const LIMIT: usize = 1_000;

/// Boxes of less than one part in so many of the whole are left out: they could not be seen.
const PARTS: u64 = 4_000;

#[derive(Clone, Debug, Default, Serialize)]
pub struct Flame {
    /// Requests that it is of.
    pub requests: u64,
    /// Requests that there are.
    pub of_requests: u64,
    /// Of the requests that it is of.
    pub wall_ns: u64,
    /// Those that can be seen.
    pub boxes: Vec<FlameBox>,
}

/// A box: a function within those that called it, or a bucket of what is no CPU, or of CPU time without functions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlameBox {
    /// Index of the box that it stands on; it comes before.
    pub parent: Option<usize>,
    /// `None` of a bucket.
    pub function: Option<String>,
    pub file: Option<String>,
    pub line: Option<u32>,
    /// The application's own, no library's.
    pub is_of_application: bool,
    /// Of a bucket its name, else `None`.
    pub bucket: Option<&'static str>,
    pub vendor: Option<String>,
    /// With all that stands on it.
    pub wall_ns: u64,
}

impl Reader {
    /// Of the newest requests that ended within a range, of all routes or one.
    pub fn flame(&self, range: Range, route: Option<&str>) -> anyhow::Result<Flame> {
        let mut values: Vec<Value> =
            vec![(range.from_unix_ns as i64).into(), (range.to_unix_ns as i64).into()];
        let mut filter = "end_unix_ns BETWEEN ? AND ?".to_owned();
        if let Some(route) = route {
            let (part, of) = of_route(route);
            filter = format!("{filter} AND {part}");
            values.extend(of);
        }
        let count = format!("SELECT count(*) FROM requests WHERE {filter}");
        let of_requests: i64 =
            self.database.query_row(&count, rusqlite::params_from_iter(&values), |row| row.get(0))?;
        let find =
            format!("SELECT whole FROM requests WHERE {filter} ORDER BY end_unix_ns DESC LIMIT {LIMIT}");
        let mut statement = self.database.prepare_cached(&find)?;
        let mut requests = Vec::new();
        let whole = |row: &Row| row.get::<_, Vec<u8>>(0);
        for bytes in statement.query_map(rusqlite::params_from_iter(&values), whole)? {
            // One of another version has no stacks that are known.
            requests.extend(Whole::decode(&bytes?).ok().map(Whole::into_request));
        }
        Ok(of(&requests, of_requests as u64))
    }

    /// Of one request.
    pub fn flame_of(&self, id: &str) -> anyhow::Result<Option<Flame>> {
        let request = self.request(id)?.map(Whole::into_request);
        Ok(request.map(|request| of(&[request], 1)))
    }
}

fn of(requests: &[Request], of_requests: u64) -> Flame {
    let all: Vec<&Request> = requests.iter().collect();
    let mut root = Node::default();
    for (stack, weight) in profile::of(&all) {
        root.add(&stack, weight.wall_ns);
    }
    let mut flame =
        Flame { requests: requests.len() as u64, of_requests, wall_ns: root.wall_ns, boxes: Vec::new() };
    root.write(None, root.wall_ns / PARTS, &mut flame.boxes);
    flame
}

/// What a box stands for: functions first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name<'a> {
    Function(Place<'a>),
    Bucket(Bucket, Option<&'a str>),
}

#[derive(Debug, Default)]
struct Node<'a> {
    wall_ns: u64,
    above: BTreeMap<Name<'a>, Node<'a>>,
}

impl<'a> Node<'a> {
    fn add(&mut self, stack: &Stack<'a>, wall_ns: u64) {
        let functions = stack.frames.iter().map(|place| Name::Function(*place));
        let bucket = stack.leaf().map(|_| Name::Bucket(stack.bucket, stack.vendor));
        self.wall_ns = self.wall_ns.saturating_add(wall_ns);
        let mut node = self;
        for name in functions.chain(bucket) {
            node = node.above.entry(name).or_default();
            node.wall_ns = node.wall_ns.saturating_add(wall_ns);
        }
    }

    fn write(&self, parent: Option<usize>, least_ns: u64, boxes: &mut Vec<FlameBox>) {
        for (name, node) in &self.above {
            if node.wall_ns <= least_ns {
                continue;
            }
            boxes.push(name.flame_box(parent, node.wall_ns));
            node.write(Some(boxes.len() - 1), least_ns, boxes);
        }
    }
}

impl Name<'_> {
    fn flame_box(&self, parent: Option<usize>, wall_ns: u64) -> FlameBox {
        let empty = FlameBox {
            parent,
            function: None,
            file: None,
            line: None,
            is_of_application: false,
            bucket: None,
            vendor: None,
            wall_ns,
        };
        match self {
            Name::Function(place) => FlameBox {
                function: Some(place.function.to_owned()),
                file: Some(place.file.to_owned()),
                line: Some(place.line),
                is_of_application: place.is_of_application(),
                ..empty
            },
            Name::Bucket(bucket, vendor) => {
                FlameBox { bucket: Some(bucket.name()), vendor: vendor.map(str::to_owned), ..empty }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::cases::{MS, request};

    #[test]
    fn boxes_without_functions_are_the_buckets_and_sum_to_the_wall_time() {
        let flame = of(&[request("/a", 0, &[(Bucket::LlmFirstByte, 40), (Bucket::PythonCpu, 3)])], 7);
        let boxes: Vec<_> = flame.boxes.iter().map(|one| (one.bucket, one.wall_ns / MS)).collect();
        assert_eq!(boxes, [(Some("llm.first_byte"), 40), (Some("python.cpu"), 3)]);
        assert_eq!((flame.requests, flame.of_requests, flame.wall_ns), (1, 7, 43 * MS));
    }
}

//! speedscope's own format. <https://www.speedscope.app/file-format-schema.json>

use std::collections::HashMap;

use serde::Serialize;

use super::{
    profile,
    sequence::{Piece, pieces},
    stack::{Place, Stack},
};
use crate::report::{
    filter::Filter,
    group,
    text::format::printable,
    types::{Report, Request},
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: String,
    name: &'static str,
    active_profile_index: usize,
    shared: Shared,
    profiles: Vec<Profile>,
}

#[derive(Default, Serialize)]
struct Shared {
    frames: Vec<Frame>,
}

#[derive(Serialize)]
struct Frame {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    /// Indexes of frames, the outermost first.
    samples: Vec<Vec<usize>>,
    weights: Vec<u64>,
}

/// A profile for each route, of the wall time; where single requests were asked for also one for each of them, in order of
/// time.
pub fn render(report: &Report, filter: &Filter) -> String {
    let requests = filter.select(report);
    let mut frames = Frames::default();
    let mut profiles = Vec::new();
    for group in group::by_route(requests.iter().copied()) {
        let stacks = profile::of(&group.requests);
        let weighted = stacks.iter().map(|(stack, weight)| (stack, weight.wall_ns));
        profiles.push(profile(&group.label, &group.label, weighted, &mut frames));
    }
    if filter.request.is_some() || filter.slowest.is_some() {
        for request in requests {
            let pieces = pieces(request);
            let weighted = pieces.iter().map(|piece: &Piece| (&piece.stack, piece.end_ns - piece.start_ns));
            let route = group::label(request);
            profiles.push(profile(&name(request), &route, weighted, &mut frames));
        }
    }
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        exporter: format!("tracer {}", env!("CARGO_PKG_VERSION")),
        name: "tracer",
        active_profile_index: 0,
        shared: frames.shared,
        profiles,
    };
    serde_json::to_string(&file).expect("the file has string keys and no failing serializer") + "\n"
}

fn name(request: &Request) -> String {
    printable(&format!("{}, request {}, in order of time", group::label(request), request.id))
}

fn profile<'a>(
    name: &str,
    route: &str,
    stacks: impl Iterator<Item = (&'a Stack<'a>, u64)>,
    frames: &mut Frames,
) -> Profile {
    let (samples, weights): (Vec<_>, Vec<u64>) = stacks
        .filter(|(_, wall_ns)| *wall_ns > 0)
        .map(|(stack, wall_ns)| (frames.indexes(route, stack), wall_ns))
        .unzip();
    Profile {
        kind: "sampled",
        name: printable(name),
        unit: "nanoseconds",
        start_value: 0,
        end_value: weights.iter().fold(0, |sum, wall_ns| sum.saturating_add(*wall_ns)),
        samples,
        weights,
    }
}

/// Every frame, once.
#[derive(Default)]
struct Frames {
    shared: Shared,
    indexes: HashMap<(String, String, u32), usize>,
}

impl Frames {
    fn indexes(&mut self, route: &str, stack: &Stack) -> Vec<usize> {
        let leaf = stack.leaf();
        let mut indexes = vec![self.plain(&printable(route))];
        indexes.extend(stack.frames.iter().map(|place| self.place(place)));
        indexes.extend(leaf.map(|leaf| self.plain(&leaf)));
        indexes
    }

    fn plain(&mut self, name: &str) -> usize {
        self.index((name.to_owned(), String::new(), 0), || Frame {
            name: name.to_owned(),
            file: None,
            line: None,
        })
    }

    fn place(&mut self, place: &Place) -> usize {
        let name = place.label();
        self.index((name.clone(), place.file.to_owned(), place.line), || Frame {
            name,
            file: Some(place.file.to_owned()),
            line: Some(place.line),
        })
    }

    fn index(&mut self, key: (String, String, u32), frame: impl FnOnce() -> Frame) -> usize {
        *self.indexes.entry(key).or_insert_with(|| {
            self.shared.frames.push(frame());
            self.shared.frames.len() - 1
        })
    }
}

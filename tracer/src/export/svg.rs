//! A picture of where the wall time went, as an icicle: routes, below each its buckets, below those the functions.

mod draw;

use std::collections::BTreeMap;

use super::profile;
use crate::report::{
    bucket::Bucket,
    filter::Filter,
    group::{self, Side, side_of},
    types::Report,
};

/// The picture, which needs nothing beside it. Its script zooms and searches; without it the picture stands.
pub fn render(report: &Report, filter: &Filter) -> String {
    let mut root = Node::default();
    for group in group::by_route(filter.select(report)) {
        for (stack, weight) in profile::of(&group.requests) {
            let frames = stack.frames.iter().map(|place| {
                (place.label(), if place.is_of_application() { Kind::Application } else { Kind::Library })
            });
            let bucket = (stack.bucket.name().to_owned(), Kind::Bucket(stack.bucket));
            let path = [(group.label.clone(), Kind::Route), bucket].into_iter().chain(frames);
            root.add(path, weight.wall_ns);
        }
    }
    draw::draw(&root)
}

/// Wall time below a place of the picture.
#[derive(Debug, Default)]
struct Node {
    wall_ns: u64,
    below: BTreeMap<(String, Kind), Node>,
}

/// What a box stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Route,
    Bucket(Bucket),
    Application,
    Library,
}

impl Kind {
    /// The name of its style.
    fn class(self) -> &'static str {
        match self {
            Kind::Route => "route",
            Kind::Bucket(Bucket::PythonCpu | Bucket::PythonGc | Bucket::PythonImport) => "cpu",
            Kind::Bucket(bucket) => match side_of(bucket) {
                Side::Vendor => "vendor",
                Side::Own => "wait",
                Side::Other => "other",
            },
            Kind::Application => "application",
            Kind::Library => "library",
        }
    }
}

impl Node {
    fn add(&mut self, path: impl Iterator<Item = (String, Kind)>, wall_ns: u64) {
        let mut node = self;
        node.wall_ns = node.wall_ns.saturating_add(wall_ns);
        for step in path {
            node = node.below.entry(step).or_default();
            node.wall_ns = node.wall_ns.saturating_add(wall_ns);
        }
    }

    /// The largest first.
    fn by_size(&self) -> Vec<(&str, Kind, &Node)> {
        let mut below: Vec<_> =
            self.below.iter().map(|((name, kind), node)| (name.as_str(), *kind, node)).collect();
        below.sort_by_key(|(.., node)| std::cmp::Reverse(node.wall_ns));
        below
    }
}

//! What requests ran and waited for, as a tree of the application's functions.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    format,
    paint::{Paint, glyph},
    wrap,
};
use crate::{
    export::{
        profile,
        stack::{Place, Stack},
    },
    report::{
        bucket::Bucket,
        group::{Side, side_of},
        stats,
        types::Request,
    },
};

/// Functions and buckets below this share of the time are left out.
const LEAST_SHARE: f64 = 0.01;

/// What runs for every import, and says nothing of which it is.
const IMPORTLIB: &str = "<frozen importlib";

/// Columns of the share and of the time, each with the space before it.
const FIGURES: usize = 6 + 10;

/// The tree of all their wall time; nothing where no function is known. Of libraries only what the application called is shown,
/// or what ran by itself.
pub fn render(requests: &[&Request], width: usize, paint: Paint) -> String {
    let stacks = profile::of(requests);
    if stacks.iter().all(|(stack, _)| stack.frames.is_empty()) {
        return String::new();
    }
    let mut root = Node::default();
    for (stack, weight) in &stacks {
        root.add(shown(stack), stack.bucket, weight.wall_ns);
    }
    let mut text = paint.title(&wrap::words(&title(&root), "", 2, width));
    root.write(&mut text, 0, root.wall_ns, width, paint);
    text
}

fn title(root: &Node) -> String {
    let share = |side: Side| format::share(root.sides_ns[side as usize], root.wall_ns);
    format!(
        "by function: vendor {}, own {}, other {}; what is below 1 % is left out",
        share(Side::Vendor),
        share(Side::Own),
        share(Side::Other)
    )
}

/// A function, or a bucket, which come last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Function(String),
    Bucket(Bucket),
}

#[derive(Debug, Default)]
struct Node {
    wall_ns: u64,
    sides_ns: [u64; 3],
    below: BTreeMap<Name, Node>,
}

/// The way to a stack's time. Where the application called a library that is the last of it.
fn shown(stack: &Stack) -> Vec<Name> {
    let mut way: Vec<Name> = Vec::new();
    let mut calls_library = None;
    for place in &stack.frames {
        let name = Name::Function(place.label());
        if place.is_of_application() {
            calls_library = None;
            // A recursion is shown once.
            if way.last() != Some(&name) {
                way.push(name);
            }
        } else if calls_library.is_none() && !way.is_empty() && !place.file.starts_with(IMPORTLIB) {
            calls_library = Some(name);
        }
    }
    if way.is_empty() {
        calls_library = stack.frames.last().map(|place: &Place| Name::Function(place.label()));
    }
    way.extend(calls_library);
    if stack.leaf().is_some() {
        way.push(Name::Bucket(stack.bucket));
    }
    way
}

impl Node {
    fn add(&mut self, way: Vec<Name>, bucket: Bucket, wall_ns: u64) {
        self.count(bucket, wall_ns);
        let mut node = self;
        for name in way {
            node = node.below.entry(name).or_default();
            node.count(bucket, wall_ns);
        }
    }

    fn count(&mut self, bucket: Bucket, wall_ns: u64) {
        self.wall_ns = self.wall_ns.saturating_add(wall_ns);
        let side_ns = &mut self.sides_ns[side_of(bucket) as usize];
        *side_ns = side_ns.saturating_add(wall_ns);
    }

    fn write(&self, text: &mut String, depth: usize, whole_ns: u64, width: usize, paint: Paint) {
        let mut below: Vec<(&Name, &Node)> = self.below.iter().collect();
        below.sort_by_key(|(_, node)| Reverse(node.wall_ns));
        for (name, node) in below {
            if stats::ratio(node.wall_ns, whole_ns) < LEAST_SHARE {
                continue;
            }
            let (share, time) = (format::share(node.wall_ns, whole_ns), format::duration(node.wall_ns));
            // Deeper than this a name would have no room.
            let indent = (2 * depth + 2).min(width / 3);
            let name = match name {
                Name::Function(label) => {
                    format::fit(&format::printable(label), width.saturating_sub(FIGURES + indent))
                }
                Name::Bucket(bucket) => paint.keyed(glyph(*bucket), bucket.name()).0,
            };
            text.push_str(&format!("{share:>6}{time:>10}{:indent$}{name}\n", ""));
            node.write(text, depth + 1, whole_ns, width, paint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_libraries_what_the_application_called_is_shown() {
        let place = |function, file| Place { function, file, line: 1 };
        let [outer, inner, deep] =
            ["run", "dumps", "encode"].map(|name| place(name, "/usr/lib/python3.12/lib.py"));
        let [main, fib] = ["main", "fib"].map(|name| place(name, "/srv/app.py"));
        let names = |frames: &[Place<'static>], bucket| -> String {
            let stack = Stack { frames: frames.to_vec(), bucket, vendor: None };
            let names = shown(&stack).into_iter().map(|name| match name {
                Name::Function(label) => label.split(' ').next().unwrap_or_default().to_owned(),
                Name::Bucket(bucket) => bucket.name().to_owned(),
            });
            names.collect::<Vec<_>>().join(" ")
        };
        let cpu = Bucket::PythonCpu;
        assert_eq!(names(&[outer, main, outer, fib, fib, inner, deep], cpu), "main fib dumps");
        assert_eq!(names(&[outer, main, outer, fib], cpu), "main fib");
        assert_eq!(names(&[outer, inner, deep], cpu), "encode");
        assert_eq!(names(&[outer, main, inner], Bucket::PythonImport), "main dumps python.import");
        let import = place("_find_and_load", "<frozen importlib._bootstrap>");
        assert_eq!(names(&[main, import, inner], Bucket::PythonImport), "main dumps python.import");
        assert_eq!(names(&[], cpu), "python.cpu");
    }
}

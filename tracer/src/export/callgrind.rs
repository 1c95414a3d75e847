//! callgrind's format, version 1, for `callgrind_annotate` and kcachegrind: the wall time of functions and of the edges
//! between them. <https://valgrind.org/docs/manual/cl-format.html>

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Write as _,
};

use super::{
    profile::{self, Weight},
    stack::{Place, Stack},
};
use crate::report::{
    filter::Filter,
    group::{self, Side, side_of},
    text::format::printable,
    types::Report,
};

/// Columns: name, and what it says.
const EVENTS: [(&str, &str); 5] = [
    ("Wall", "wall time, ns"),
    ("Vendor", "waits for LLM vendors, ns"),
    ("Own", "application and host, ns"),
    ("Other", "other peers, the caller, and what is not known, ns"),
    ("Cpu", "CPU time by samples, ns"),
];

type Costs = [u64; EVENTS.len()];

/// A route or a bucket has no file: `~`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Function {
    file: String,
    name: String,
    line: u32,
}

#[derive(Default)]
struct Node {
    own: Costs,
    callees: BTreeMap<Function, Edge>,
}

#[derive(Default)]
struct Edge {
    /// Samples, and 1 where there are none: how often it was called is not known.
    calls: u64,
    costs: Costs,
}

/// The profile of all routes, each a function that calls what it ran and waited for.
pub fn render(report: &Report, filter: &Filter) -> String {
    let mut nodes = BTreeMap::<Function, Node>::new();
    let mut total = Costs::default();
    for group in group::by_route(filter.select(report)) {
        for (stack, weight) in profile::of(&group.requests) {
            let costs = costs(&stack, weight);
            add(&mut total, costs);
            insert(&mut nodes, path(&group.label, &stack), costs, weight.samples);
        }
    }
    write(&nodes, total)
}

fn costs(stack: &Stack, Weight { cpu_ns, wall_ns, .. }: Weight) -> Costs {
    let on = |side| if side_of(stack.bucket) == side { wall_ns } else { 0 };
    [wall_ns, on(Side::Vendor), on(Side::Own), on(Side::Other), cpu_ns]
}

fn add(sum: &mut Costs, costs: Costs) {
    sum.iter_mut().zip(costs).for_each(|(sum, ns)| *sum = sum.saturating_add(ns));
}

fn path(route: &str, stack: &Stack) -> Vec<Function> {
    let without_file = |name: &str| Function { file: "~".to_owned(), name: printable(name), line: 0 };
    let in_file = |place: &Place| Function {
        file: if place.file.is_empty() { "~".to_owned() } else { printable(place.file) },
        name: place.label(),
        line: place.line,
    };
    let leaf = stack.leaf();
    std::iter::once(without_file(route))
        .chain(stack.frames.iter().map(in_file))
        .chain(leaf.as_deref().map(without_file))
        .collect()
}

/// An edge that is on a path twice has its costs once.
fn insert(nodes: &mut BTreeMap<Function, Node>, path: Vec<Function>, costs: Costs, samples: u64) {
    let mut seen = HashSet::new();
    for edge in path.windows(2) {
        let [caller, callee] = edge else { continue };
        if seen.insert((caller, callee)) {
            let edge = nodes.entry(caller.clone()).or_default().callees.entry(callee.clone()).or_default();
            edge.calls += samples;
            add(&mut edge.costs, costs);
        }
    }
    if let Some(last) = path.into_iter().last() {
        add(&mut nodes.entry(last).or_default().own, costs);
    }
}

fn write(nodes: &BTreeMap<Function, Node>, total: Costs) -> String {
    let mut text = format!("# callgrind format\nversion: 1\ncreator: tracer {}\n", env!("CARGO_PKG_VERSION"));
    text.push_str("desc: Calls: samples; how often a function was called is not known\npositions: line\n");
    for (name, what) in EVENTS {
        put(&mut text, format_args!("event: {name} : {what}\n"));
    }
    let names = EVENTS.map(|(name, _)| name).join(" ");
    put(&mut text, format_args!("events: {names}\nsummary: {}\n", columns(total)));
    let mut names = Names::default();
    for (function, node) in nodes {
        let (file, name) = (names.file(&function.file), names.function(function));
        put(&mut text, format_args!("\nfl={file}\nfn={name}\n"));
        if node.own != Costs::default() {
            put(&mut text, format_args!("{} {}\n", function.line, columns(node.own)));
        }
        for (callee, edge) in &node.callees {
            let (file, name) = (names.file(&callee.file), names.function(callee));
            put(&mut text, format_args!("cfi={file}\ncfn={name}\n"));
            put(&mut text, format_args!("calls={} {}\n", edge.calls.max(1), callee.line));
            put(&mut text, format_args!("{} {}\n", function.line, columns(edge.costs)));
        }
    }
    text
}

fn put(text: &mut String, line: std::fmt::Arguments) {
    // A String takes everything.
    let _ = text.write_fmt(line);
}

fn columns(costs: Costs) -> String {
    costs.map(|ns| ns.to_string()).join(" ")
}

/// Names are written once, as `(1) name`, and then as `(1)`.
#[derive(Default)]
struct Names {
    files: HashMap<String, usize>,
    functions: HashMap<Function, usize>,
}

impl Names {
    fn file(&mut self, file: &str) -> String {
        let next = self.files.len() + 1;
        match self.files.get(file) {
            Some(number) => format!("({number})"),
            None => {
                self.files.insert(file.to_owned(), next);
                format!("({next}) {file}")
            }
        }
    }

    fn function(&mut self, function: &Function) -> String {
        let next = self.functions.len() + 1;
        match self.functions.get(function) {
            Some(number) => format!("({number})"),
            None => {
                self.functions.insert(function.clone(), next);
                format!("({next}) {}", function.name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::bucket::Bucket;

    #[test]
    fn a_recursion_counts_once() {
        let place = |function, line| Place { function, file: "/srv/app.py", line };
        let frames = vec![place("main", 1), place("f", 7), place("f", 7), place("f", 7)];
        let stack = Stack { frames, bucket: Bucket::PythonCpu, vendor: None };
        let mut nodes = BTreeMap::new();
        let weight = Weight { samples: 2, cpu_ns: 10, wall_ns: 8 };
        insert(&mut nodes, path("GET /", &stack), costs(&stack, weight), 2);
        let text = write(&nodes, costs(&stack, weight));
        let body = text.split_once("summary: 8 0 8 0 10\n").expect("a summary").1;
        let expected = [
            "",
            "fl=(1) /srv/app.py\nfn=(1) f (app.py:7)\n7 8 0 8 0 10\ncfi=(1)\ncfn=(1)\ncalls=2 7\n7 8 0 8 0 10\n",
            "fl=(1)\nfn=(2) main (app.py:1)\ncfi=(1)\ncfn=(1)\ncalls=2 7\n1 8 0 8 0 10\n",
            "fl=(2) ~\nfn=(3) GET /\ncfi=(1)\ncfn=(2)\ncalls=2 1\n0 8 0 8 0 10\n",
        ];
        assert_eq!(body, expected.join("\n"));
    }
}

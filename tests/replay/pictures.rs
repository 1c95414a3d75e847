//! Pictures: the one that is exported, and one that a tool makes of folded stacks.

use std::collections::BTreeMap;

use inferno::flamegraph;
use tracer::{
    export::{folded, svg},
    report::filter::Filter,
};

use super::exports::report;

#[test]
fn a_flame_graph_of_folded_stacks_has_the_wall_time() {
    let report = report("demo");
    let folded = folded::render(&report, &Filter::default());
    let mut options = flamegraph::Options::default();
    options.count_name = "ns".to_owned();
    options.factor = 1.0;
    let mut picture = Vec::new();
    flamegraph::from_lines(&mut options, folded.lines(), &mut picture).expect("inferno takes the lines");
    let picture = String::from_utf8(picture).expect("it is text");
    let wall_ns: u64 = report.requests.iter().map(|request| request.wall_ns).sum();
    let total = tracer::report::text::format::count(wall_ns);
    assert!(picture.contains(&format!("all ({total} ns, 100%)")), "{total}");
    assert!(picture.contains("burn (work.py:16) ("));
}

#[test]
fn boxes_are_as_wide_as_their_share_of_the_wall_time() {
    let report = report("demo");
    let picture = svg::render(&report, &Filter::default());
    let picture = roxmltree::Document::parse(&picture).expect("it is XML");
    let mut widths = BTreeMap::<&str, f64>::new();
    for element in picture.descendants().filter(|element| element.has_tag_name("g")) {
        let attribute = |name| element.attribute(name).unwrap_or_else(|| panic!("no {name}"));
        let part: f64 = attribute("data-w").parse().expect("a number");
        *widths.entry(attribute("data-n")).or_default() += part;
    }
    assert_eq!(widths["all requests"], 1.0);
    let wall_ns: u64 = report.requests.iter().map(|request| request.wall_ns).sum();
    for bucket in ["wait.loop", "llm.first_byte", "llm.stream"] {
        let ns = report.requests.iter().flat_map(|request| request.buckets.iter());
        let ns: u64 = ns.filter(|(of, _)| of.name() == bucket).filter_map(|(_, ns)| ns).sum();
        let share = ns as f64 / wall_ns as f64;
        assert!((widths[bucket] - share).abs() < 1e-5, "{bucket}: {} of {share}", widths[bucket]);
    }
    // Each function of the route lies within its time on CPU.
    assert!(widths["burn (work.py:16)"] > 0.0 && widths["burn (work.py:16)"] <= widths["python.cpu"]);
}

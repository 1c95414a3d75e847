//! `go tool pprof`.

use std::{collections::BTreeMap, process::Command};

use super::{Exports, folder, run};

fn pprof(arguments: &[&str], exports: &Exports) -> String {
    // What `go tool pprof` runs.
    let mut pprof = Command::new(folder("TRACER_TEST_PACKAGES").join("pprof"));
    run(pprof.arg("-unit=ns").args(arguments).arg(exports.file("pprof")))
}

#[test]
fn pprof_reads_labels_of_all_the_wall_time() {
    let exports = Exports::new();
    let tags = pprof(&["-tags"], &exports);
    let found = |tag: &str| -> BTreeMap<String, u64> {
        let section = tags.split("\n\n").find(|section| section.trim_start().starts_with(&format!("{tag}:")));
        let section = section.unwrap_or_else(|| panic!("no `{tag}` in {tags}"));
        let lines = section.trim().lines().skip(1);
        let figures = lines.map(|line| {
            let (figure, name) = line.split_once("): ").expect("a share and a name");
            let figure = figure.split("ns").next().expect("a figure").trim();
            (name.to_owned(), figure.parse().expect("a number"))
        });
        figures.collect()
    };
    let requests = &exports.report.requests;
    let walls = requests.iter().map(|request| (request.id.clone(), request.wall_ns));
    assert_eq!(found("request"), walls.collect());
    let mut buckets = BTreeMap::<String, u64>::new();
    for (bucket, ns) in requests.iter().flat_map(|request| request.buckets.iter()) {
        *buckets.entry(bucket.name().to_owned()).or_default() += ns.unwrap_or_default();
    }
    buckets.retain(|_, ns| *ns > 0);
    assert_eq!(found("bucket"), buckets);
    let vendor_ns: u64 = buckets.iter().filter(|(name, _)| name.starts_with("llm.")).map(|(_, ns)| ns).sum();
    assert_eq!(found("vendor"), [("openai".to_owned(), vendor_ns)].into());
    assert_eq!(found("route").values().sum::<u64>(), exports.wall_ns());
}

#[test]
fn pprof_names_the_function_with_the_most_cpu() {
    let exports = Exports::new();
    let top = pprof(&["-top", "-sample_index=cpu", "-nodecount=1"], &exports);
    assert!(top.contains("Type: cpu") && top.trim_end().ends_with("burn (work.py:16)"), "{top}");
}

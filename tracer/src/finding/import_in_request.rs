//! Modules that are imported while a caller waits.

use std::collections::BTreeMap;

use serde_json::json;

use super::{NOTABLE_SHARE, add, evidence, may_be_chance, named};
use crate::report::{
    bucket::Bucket,
    group,
    group::Side,
    stats,
    types::{Finding, Kind, Report, Request},
};

/// Less than this is a look into `sys.modules`, or nearly.
const SLOW_NS: u64 = 1_000_000;

/// The cost of a route is the `python.import` of its requests. A run without a server imports as it starts,
/// as it must, so it is left out.
pub fn check(report: &Report) -> Vec<Finding> {
    let served = report.requests.iter().filter(|request| request.kind == Kind::Http);
    let slow = served.filter(|request| import_ns(request) >= SLOW_NS);
    group::by_route(slow)
        .into_iter()
        .filter_map(|group| {
            let cost_ns = stats::sum(group.requests.iter().map(|request| import_ns(request)));
            if may_be_chance(report, &group, Bucket::PythonImport, cost_ns) {
                return None;
            }
            let mut modules_ns = BTreeMap::new();
            for import in group.requests.iter().flat_map(|request| &request.imports) {
                add(&mut modules_ns, import.module.clone(), import.import_ns);
            }
            modules_ns.retain(|_, ns| stats::ratio(*ns, cost_ns) >= NOTABLE_SHARE);
            let longest_ns = group.requests.iter().map(|request| import_ns(request)).max();
            Some(Finding {
                kind: "import_in_request".to_owned(),
                side: Side::Own,
                title: format!("{} imports modules while the caller waits", group.label),
                requests: group.requests.len() as u64,
                cost_ns,
                evidence: evidence([
                    ("route", json!(group.label)),
                    ("longest_ns", json!(longest_ns)),
                    ("modules_ns", named(&modules_ns)),
                    ("share", json!(stats::ratio(cost_ns, group.wall_ns()))),
                ]),
                advice:
                    "Move the import to the top of the module, or import once at start-up; under gunicorn, \
                         use --preload."
                        .to_owned(),
            })
        })
        .collect()
}

fn import_ns(request: &Request) -> u64 {
    request.buckets.get(Bucket::PythonImport).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, report, request},
        report::{
            functions::SAMPLE_NS,
            types::{Import, UnknownBucket},
        },
    };

    #[test]
    fn an_import_in_a_request_is_found() {
        let mut first = request("/chat", 0, &[(Bucket::PythonImport, 300), (Bucket::LlmFirstByte, 100)]);
        let import = |module: &str, ms| Import { module: module.to_owned(), import_ns: ms * MS };
        first.imports = vec![import("pandas", 290), import("json", 10)];
        let second = request("/chat", 500, &[(Bucket::LlmFirstByte, 100)]);
        let findings = check(&report([first, second]));
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].cost_ns, findings[0].requests), (300 * MS, 1));
        assert_eq!(findings[0].evidence["modules_ns"], json!({ "pandas": 290 * MS }));
    }

    #[test]
    fn imports_of_a_run_and_unknown_ones_are_not() {
        let mut run = request("/", 0, &[(Bucket::PythonImport, 300)]);
        run.kind = Kind::Run;
        let mut unknown = request("/chat", 0, &[(Bucket::LlmFirstByte, 100)]);
        unknown.buckets.set(Bucket::PythonImport, None);
        assert!(check(&report([run, unknown])).is_empty());
    }

    #[test]
    fn a_sample_or_two_may_be_chance() {
        let found = |n_samples| {
            let mut sampled = report([request("/chat", 0, &[(Bucket::LlmFirstByte, 100)])]);
            sampled.requests[0].buckets.set(Bucket::PythonImport, Some(n_samples * SAMPLE_NS));
            let (bucket, reason) = ("python.import".to_owned(), "no probe".to_owned());
            sampled.capture.sampled = vec![UnknownBucket { pid: sampled.requests[0].pid, bucket, reason }];
            check(&sampled).len()
        };
        assert_eq!([found(3), found(4)], [0, 1]);
    }
}

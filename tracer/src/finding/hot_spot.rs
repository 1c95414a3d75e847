//! Routes whose CPU time goes into JSON or into a tokenizer, by the names of what runs.

use std::collections::BTreeMap;

use serde_json::json;

use super::{add, evidence, named};
use crate::{
    event::Function,
    report::{
        bucket::Bucket,
        group::{self, Group, Side},
        stats,
        types::{Finding, Frame, Report, Request},
    },
    request::call_tree::OnCpu,
};

/// Every route encodes its answer; below this for each request there is little to win.
const LEAST_MEAN_NS: u64 = 10_000_000;

/// Below this share of the route's CPU time something else is the matter.
const LEAST_CPU_SHARE: f64 = 0.2;

/// A kind of work that has names of its own.
struct Work {
    kind: &'static str,
    /// Behind the route.
    title: &'static str,
    does: fn(&Function) -> bool,
    advice: &'static str,
}

const WORKS: [Work; 2] = [
    Work {
        kind: "json_hot_spot",
        title: "spends its CPU time on JSON",
        does: is_json,
        advice: "Encode and decode less: hand bytes on as they came, send pages of what is long, keep encoded what does not \
                 change; or let orjson or msgspec do it, for a fraction of the CPU time.",
    },
    Work {
        kind: "tokenizer_hot_spot",
        title: "spends its CPU time on tokenizing",
        does: is_tokenizer,
        advice: "Keep a text's count of tokens beside it, make the tokenizer once, and take the vendor's own count from \
                 `usage`; what must be tokenized, in `await loop.run_in_executor(process_pool, ...)`.",
    },
];

/// The standard library's, simplejson's, and what FastAPI and pydantic do before and after; orjson and the like have no
/// functions of Python.
fn is_json(function: &Function) -> bool {
    let files = ["/json/__init__.py", "/json/encoder.py", "/json/decoder.py", "/json/scanner.py"];
    let of_pydantic = ["model_dump_json", "model_validate_json"];
    !function.is_of_application()
        && (files.iter().any(|file| function.file.ends_with(file))
            || function.file.contains("/simplejson/")
            || function.file.ends_with("/fastapi/encoders.py")
            || function.file.contains("/pydantic/") && of_pydantic.contains(&own_name(function)))
}

/// The known libraries, and functions of anybody that say so.
fn is_tokenizer(function: &Function) -> bool {
    let libraries = [
        "/tiktoken/",
        "/tokenizers/",
        "/transformers/tokenization_",
        "/sentencepiece/",
        "/mistral_common/tokens/",
        "/nltk/tokenize/",
    ];
    let names = ["tokenize", "tokenise", "count_tokens", "num_tokens", "num_tokens_from_messages"];
    // The libraries of tiktoken, tokenizers and sentencepiece.
    let native = ["_tiktoken.", "tokenizers.", "_sentencepiece."];
    libraries.iter().any(|folder| function.file.contains(folder))
        || function.is_native() && native.iter().any(|library| function.name.starts_with(library))
        || function.is_of_application() && names.contains(&own_name(function))
}

/// `tokenize` of `Chunker.tokenize`.
fn own_name(function: &Function) -> &str {
    function.name.rsplit('.').next().unwrap_or_default()
}

/// What samples found of one kind of work.
#[derive(Default)]
struct Found<'a> {
    cost_ns: u64,
    requests: Vec<&'a Request>,
    /// By what of it was innermost, and by who of the application had called it.
    functions_ns: BTreeMap<String, u64>,
    callers_ns: BTreeMap<String, u64>,
}

/// The cost of a route is the CPU time that samples found in the work.
pub fn check(report: &Report) -> Vec<Finding> {
    let groups = group::by_route(&report.requests);
    WORKS.iter().flat_map(|work| groups.iter().filter_map(|group| of_route(work, group))).collect()
}

fn of_route(work: &Work, group: &Group) -> Option<Finding> {
    let found = search(work, group);
    let cpu_ns = group.bucket_ns(Bucket::PythonCpu)?;
    let mean_ns = found.cost_ns / (group.requests.len() as u64).max(1);
    let share = stats::ratio(found.cost_ns, cpu_ns);
    if mean_ns < LEAST_MEAN_NS || share < LEAST_CPU_SHARE {
        return None;
    }
    Some(Finding {
        kind: work.kind.to_owned(),
        side: Side::Own,
        title: format!("{} {}", group.label, work.title),
        requests: found.requests.len() as u64,
        // Samples stand for time on CPU, of which some may have been beside the wall time.
        cost_ns: found.cost_ns.min(cpu_ns),
        evidence: evidence([
            ("route", json!(group.label)),
            ("cpu_share", json!(share.min(1.0))),
            ("mean_ns", json!(mean_ns)),
            ("running_ns", named(&found.functions_ns)),
            ("called_by_ns", named(&found.callers_ns)),
        ]),
        advice: work.advice.to_owned(),
    })
}

fn search<'a>(work: &Work, group: &Group<'a>) -> Found<'a> {
    let mut found = Found::default();
    for request in &group.requests {
        let before_ns = found.cost_ns;
        for (stack, counts) in request.stacks.iter() {
            let ns = counts.get(OnCpu::Python).saturating_mul(request.stacks.sample_ns());
            // Of works within each other the innermost has it.
            let innermost = stack.iter().rposition(|function| WORKS.iter().any(|work| (work.does)(function)));
            let Some((index, function)) = innermost.and_then(|index| Some((index, *stack.get(index)?)))
            else {
                continue;
            };
            if ns == 0 || !(work.does)(function) {
                continue;
            }
            found.cost_ns = found.cost_ns.saturating_add(ns);
            add(&mut found.functions_ns, Frame::from(function).label(), ns);
            let caller = stack.iter().take(index + 1).rev().find(|function| function.is_of_application());
            if let Some(caller) = caller {
                add(&mut found.callers_ns, Frame::from(*caller).label(), ns);
            }
        }
        if found.cost_ns > before_ns {
            found.requests.push(request);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        finding::cases::{MS, report, request},
        report::{functions::SAMPLE_NS, stacks::Stacks},
        request::{FunctionId, call_tree::CallTree},
    };

    fn function(name: &str, file: &str) -> Function {
        Function { name: name.to_owned(), file: file.to_owned(), line: 7 }
    }

    /// A request of 100 ms of CPU, with `samples` of the last of the functions, which the ones before have called.
    fn sampled(route: &str, samples: usize, stack: &[(&str, &str)]) -> Request {
        let functions = stack.iter().map(|(name, file)| function(name, file)).collect();
        let innermost_first: Vec<FunctionId> = (0..stack.len() as u32).rev().map(FunctionId).collect();
        let mut tree = CallTree::default();
        for sample in 0..samples {
            tree.add(sample as u64, OnCpu::Python, &innermost_first);
        }
        let mut request = request(route, 0, &[(Bucket::PythonCpu, 100)]);
        request.stacks = Stacks::of_tree(tree, Arc::new(functions), SAMPLE_NS);
        request
    }

    const ENCODING: [(&str, &str); 3] = [
        ("export", "/srv/app.py"),
        ("dumps", "/usr/lib/python3.11/json/__init__.py"),
        ("JSONEncoder.iterencode", "/usr/lib/python3.11/json/encoder.py"),
    ];

    #[test]
    fn encoding_is_found_with_what_runs_and_who_called_it() {
        let findings = check(&report([sampled("/export", 10, &ENCODING)]));
        assert_eq!(findings.len(), 1);
        let found = &findings[0];
        assert_eq!(
            (found.kind.as_str(), found.cost_ns, found.requests),
            ("json_hot_spot", 10 * SAMPLE_NS, 1)
        );
        assert_eq!(found.evidence["running_ns"]["JSONEncoder.iterencode (encoder.py:7)"], 10 * SAMPLE_NS);
        assert_eq!(found.evidence["called_by_ns"]["export (app.py:7)"], 10 * SAMPLE_NS);
    }

    #[test]
    fn tokenizers_are_found_by_their_library_or_their_own_name() {
        let library = "/venv/lib/python3.11/site-packages/tiktoken/core.py";
        let stacks = [
            [("chat", "/srv/app.py"), ("Encoding.encode", library)],
            [("chat", "/srv/app.py"), ("Chunker.tokenize", "/srv/chunks.py")],
        ];
        for stack in stacks {
            let findings = check(&report([sampled("/chat", 10, &stack)]));
            assert_eq!(findings.iter().map(|f| f.kind.as_str()).collect::<Vec<_>>(), ["tokenizer_hot_spot"]);
        }
    }

    #[test]
    fn what_runs_within_the_other_counts_once() {
        let mut stack = vec![("count_tokens", "/srv/chunks.py")];
        stack.extend(&ENCODING[1..]);
        let kinds: Vec<String> =
            check(&report([sampled("/chat", 10, &stack)])).into_iter().map(|found| found.kind).collect();
        assert_eq!(kinds, ["json_hot_spot"]);
    }

    #[test]
    fn a_little_of_it_and_other_functions_are_not() {
        let little = sampled("/little", 1, &ENCODING);
        let other = sampled("/other", 10, &[("burn", "/srv/work.py"), ("refresh_token", "/srv/auth.py")]);
        let mut elsewhere = sampled("/elsewhere", 10, &ENCODING);
        elsewhere.buckets.set(Bucket::PythonCpu, Some(1_000 * MS));
        assert!(check(&report([little, other, elsewhere])).is_empty());
    }
}

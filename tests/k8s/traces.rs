//! A call from one traced pod to another is in one trace.

use serde_json::Value;
use tests::otlp::{CLIENT, Span};

use crate::installed::Installed;

/// Of a caller that begins a trace.
const CAME: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// More than times of the same thing differ that are read at different places.
const NEAR_NS: u64 = 25_000_000;

/// Trace and span that a `traceparent` names.
fn named(traceparent: &str) -> (&str, &str) {
    let fields: Vec<&str> = traceparent.split('-').collect();
    (fields[1], fields[2])
}

/// One pod asks another, in a trace that came to it, and in one that it begins.
pub fn check(installed: &Installed) {
    installed.apply("hops.yaml", &[("$NAME", "back"), ("$BACK", "")]);
    let back = address(installed, "back");
    installed.apply("hops.yaml", &[("$NAME", "front"), ("$BACK", &format!("http://{back}:8000"))]);
    let front = address(installed, "front");
    let ask = |name: &str, headers: &[&str]| -> String {
        let mut curl = installed.cluster.command("curl");
        curl.args(["--silent", "--fail", "--retry", "100", "--retry-connrefused", "--retry-delay", "1"]);
        curl.args(headers).arg(format!("http://{front}:8000/front/{name}"));
        let sent = installed.cluster.run(curl, "curl").expect_code(0).stdout;
        serde_json::from_str(&sent).expect("what it sent on")
    };
    // Both answer before anything is asserted.
    ask("first", &[]);
    let (begun, continued) = (ask("begun", &[]), ask("continued", &["-H", &format!("traceparent: {CAME}")]));
    let request = |path: &str| {
        let spans = installed.receiver.spans();
        spans.into_iter().find(|span| span.is_request() && span.text("url.path") == path)
    };
    for (name, sent, caller) in [("begun", &begun, None), ("continued", &continued, Some(named(CAME)))] {
        let (front_path, back_path) = (format!("/front/{name}"), format!("/back/{name}"));
        installed.cluster.wait_until(&format!("spans of {name}"), || {
            request(&front_path).is_some() && request(&back_path).is_some()
        });
        let (front, back) = (request(&front_path).expect("it came"), request(&back_path).expect("it came"));
        let spans = installed.receiver.spans();
        let of_front = |span: &&Span| {
            span.is_ours()
                && span.kind == CLIENT
                && span.text("tracer.request.id") == front.text("tracer.request.id")
        };
        let call = spans.iter().find(of_front).unwrap_or_else(|| panic!("no call of {front:?}"));
        // The trace is that of the caller, or the one which the application began.
        let (trace, client) = named(sent);
        assert_eq!([&*front.trace, &*call.trace, &*back.trace], [trace; 3], "{name}");
        assert_eq!(front.parent, caller.map_or("", |(_, span)| span), "{name}");
        assert_eq!(caller.map_or(trace, |(trace, _)| trace), trace, "{name}");
        // Both of what the kernels saw are below the span that the application made around its call.
        assert_eq!([&*call.parent, &*back.parent], [client; 2], "{name}");
        assert!(call.start_ns <= back.start_ns && back.end_ns <= call.end_ns + NEAR_NS, "{call:?}\n{back:?}");
        for (span, pod) in [(&front, "front"), (&back, "back")] {
            let resource = |key: &str| span.resource.get(key).cloned();
            assert_eq!(resource("k8s.pod.name"), Some(Value::from(pod)), "{span:?}");
            assert_eq!(resource("k8s.namespace.name"), Some(Value::from("llm")), "{span:?}");
            assert_eq!(resource("service.name"), Some(Value::from("hops")), "{span:?}");
        }
    }
    installed.cluster.kubectl(&["-n", "llm", "delete", "pod", "front", "back"]);
}

/// Where a pod is, once it runs.
fn address(installed: &Installed, pod: &str) -> String {
    let ready = format!("pod/{pod}");
    installed.cluster.kubectl(&["-n", "llm", "wait", "--for=condition=Ready", &ready, "--timeout=60s"]);
    let told = installed.cluster.get(&["pod", "-n", "llm", pod]);
    told["status"]["podIP"].as_str().expect("it has an address").to_owned()
}

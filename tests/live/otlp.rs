//! What the daemon sends by OTLP, held against the truth, at real receivers.

use std::{
    collections::{HashMap, HashSet},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{
    lab::{LIMIT, Lab},
    otlp::{Point, Receiver, Span},
    python::Python,
    serving::Serving,
    truth::Truth,
};

use crate::{
    application::{chat, instrumented},
    serve::selected,
};

pub const GRPC: &str = "http://127.0.0.1:4317";

const SECOND: Duration = Duration::from_secs(1);

/// As the application's own instrumentation would have it.
pub const ENVIRONMENT: [(&str, &str); 2] =
    [("OTEL_SERVICE_NAME", "assistant"), ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=lab")];

pub const LOAD: &str = "/chat/{id}?model=ttft=20-60,gap=2,n=8";

/// More than times of the same thing differ on two clocks of one machine, that are read at different places.
const NEAR_NS: u64 = 25_000_000;

#[test]
fn spans_are_the_truth_by_grpc_and_by_http() {
    let lab = Lab::start();
    let receiver = Receiver::start(&lab);
    let (server, selection) = selected(&lab, &chat(&Python::system()), &ENVIRONMENT);
    let (mut before, mut n_requests) = (Vec::new(), 0);
    for (protocol, endpoint, compression) in [
        ("grpc", GRPC, "gzip"),
        ("grpc", "https://localhost:4327", "none"),
        ("http", "http://127.0.0.1:4318/", "none"),
        ("http", "https://localhost:4328", "gzip"),
    ] {
        let title = format!("{protocol}-{compression}");
        let rest = format!("compression = '{compression}'\nheaders = ['Authorization: Bearer hush']");
        let otlp = otlp(protocol, endpoint, &rest);
        let serving = Serving::start(&lab, &title, &format!("history.path = ''\n{selection}{otlp}"));
        n_requests += 40;
        // Numbers are known as identifiers from the first one on.
        let prefix = n_requests.to_string();
        lab.drive(&["--requests", "40", "--concurrency", "8", "--prefix", &prefix, LOAD]);
        receiver.wait_for_requests(n_requests);
        let mut spans = receiver.spans();
        check(&spans, &lab.truth(), &title);
        spans.retain(|span| !before.contains(&span.id));
        before.extend(spans.iter().map(|span| span.id.clone()));
        assert!(spans.iter().all(|span| span.via == protocol));
        assert!(spans.iter().all(|span| span.token.as_deref() == Some("Bearer hush")));
        let resource = &spans[0].resource;
        for (key, expected) in [
            ("service.name", Value::from("assistant")),
            ("deployment.environment.name", Value::from("lab")),
            ("process.pid", Value::from(server.pid())),
            ("process.runtime.name", Value::from("cpython")),
        ] {
            assert_eq!(resource.get(key), Some(&expected), "{key} of {resource:?}");
        }
        let health = &health(&lab)["otlp"];
        assert_eq!((&health["sent_requests"], &health["sent_spans"]), (&40.into(), &spans.len().into()));
        let (finished, took) = serving.end(libc::SIGTERM);
        assert!(took < SECOND, "it took {took:?} to end:\n{}", finished.stderr);
        finished.expect_code(0);
    }
}

#[test]
fn figures_are_the_truth() {
    let lab = Lab::start();
    let receiver = Receiver::start(&lab);
    let (_server, selection) = selected(&lab, &chat(&Python::system()), &ENVIRONMENT);
    // Figures are of all requests, whatever spans are sent.
    let otlp = otlp("grpc", GRPC, "metrics = '1s'\nspans = false");
    let serving = Serving::start(&lab, "serve", &format!("history.path = ''\n{selection}{otlp}"));
    lab.drive(&["--requests", "60", "--concurrency", "10", LOAD]);
    let count =
        |metric: &str| -> u64 { receiver.points(metric).iter().filter_map(|point| point.count).sum() };
    wait_until(|| count("http.server.request.duration") == 60);
    serving.end(libc::SIGTERM).0.expect_code(0);
    let truth = lab.truth();
    assert_eq!(count("gen_ai.client.operation.duration"), truth.exchanges.len() as u64);
    assert_eq!(count("gen_ai.client.operation.time_to_first_chunk"), truth.exchanges.len() as u64);
    let tokens = receiver.points("gen_ai.client.token.usage");
    let is_output = |point: &&Point| point.attributes["gen_ai.token.type"] == "output";
    let told: f64 = tokens.iter().filter(is_output).filter_map(|point| point.sum).sum();
    let logged: u64 = truth.exchanges.iter().filter_map(|exchange| exchange.output_tokens).sum();
    assert_eq!(told, logged as f64);
    let durations = receiver.points("http.server.request.duration");
    let wall_s: f64 = durations.iter().filter_map(|point| point.sum).sum();
    let buckets: f64 =
        receiver.points("tracer.request.bucket.time").iter().filter_map(|point| point.value).sum();
    assert!((wall_s - buckets).abs() < 1e-6, "the buckets sum to {buckets} s of {wall_s} s");
    for point in durations {
        assert_eq!((point.temporality, point.unit.as_str()), (2, "s"));
        assert_eq!(point.resource["service.name"], "assistant");
        assert_eq!(point.attributes["http.route"], "/chat/{id}");
        assert!(point.start_ns < point.at_ns);
    }
    assert!(receiver.spans().is_empty());
}

#[test]
fn nothing_is_lost_while_the_receiver_is_away() {
    let lab = Lab::start();
    let mut receiver = Receiver::start(&lab);
    let (_server, selection) = selected(&lab, &chat(&Python::system()), &[]);
    for (protocol, endpoint) in [("grpc", GRPC), ("http", "http://127.0.0.1:4318")] {
        let before = receiver.spans().iter().filter(|span| span.is_request()).count();
        let otlp = otlp(protocol, endpoint, "");
        let mut serving = Serving::start(&lab, protocol, &format!("history.path = ''\n{selection}{otlp}"));
        for part in ["1", "2", "3"] {
            if part == "2" {
                receiver.go();
            }
            let prefix = format!("{before}{part}");
            lab.drive(&["--requests", "100", "--concurrency", "10", "--prefix", &prefix, LOAD]);
            if part == "2" {
                serving.wait_for_stderr("does not take spans");
                thread::sleep(3 * SECOND);
                receiver.come(&lab);
            }
        }
        receiver.wait_for_requests(before + 300);
        let health = &health(&lab)["otlp"];
        assert_eq!(health["sent_requests"], 300, "{health}");
        assert!(health["retries"].as_u64() > Some(0) && health["trouble"].is_null(), "{health}");
        let (finished, _) = serving.end(libc::SIGTERM);
        assert!(finished.stderr.contains("takes spans again"), "{}", finished.stderr);
        finished.expect_code(0);
    }
    check(&receiver.spans(), &lab.truth(), "with a receiver that went and came");
}

#[test]
fn what_has_no_room_in_the_queue_is_counted() {
    let lab = Lab::start();
    let mut receiver = Receiver::absent(&lab);
    let (_server, selection) = selected(&lab, &chat(&Python::system()), &[]);
    let otlp = otlp("grpc", GRPC, "queue_bytes = 60_000");
    let mut serving = Serving::start(&lab, "serve", &format!("history.path = ''\n{selection}{otlp}"));
    lab.drive(&["--requests", "200", "--concurrency", "4", LOAD]);
    serving.wait_for_stderr("does not take spans");
    let number = |health: &Value, key: &str| health["otlp"][key].as_u64().expect("a number");
    let lost = |health: &Value| health["otlp"]["lost_requests"]["queue"].as_u64().expect("a number");
    wait_until(|| {
        let health = health(&lab);
        number(&health, "queued_requests") + lost(&health) == 200
    });
    let lost = lost(&health(&lab));
    assert!((1..200).contains(&lost), "{lost} of 200 requests are lost");
    receiver.come(&lab);
    let spans = receiver.wait_for_requests(200 - lost as usize);
    wait_until(|| number(&health(&lab), "queued_requests") == 0);
    let health = health(&lab);
    assert_eq!((number(&health, "sent_requests"), health["lost"]["otlp"].as_u64()), (200 - lost, Some(lost)));
    assert_eq!(spans.iter().filter(|span| span.is_request()).count() as u64, 200 - lost);
    let page =
        lab.run(lab.command("curl").args(["--silent", "http://localhost:7070/metrics"]), "page").stdout;
    assert!(
        page.contains(&format!("tracer_otlp_lost_requests_total{{reason=\"queue\"}} {lost}\n")),
        "{page}"
    );
    serving.end(libc::SIGTERM).0.expect_code(0);
}

#[test]
fn what_is_left_at_the_end_is_sent_or_counted_within_a_second() {
    let lab = Lab::start();
    let receiver = Receiver::start(&lab);
    let (_server, selection) = selected(&lab, &chat(&Python::system()), &[]);
    let serving = |port| {
        let otlp = otlp("http", &format!("http://127.0.0.1:{port}"), "");
        Serving::start(&lab, &format!("serve-{port}"), &format!("history.path = ''\n{selection}{otlp}"))
    };
    // Nothing listens there.
    for (port, prefix) in [(4318, "sent"), (4319, "lost")] {
        let serving = serving(port);
        lab.drive(&["--requests", "10", "--concurrency", "10", "--prefix", prefix, LOAD]);
        let (finished, took) = serving.end(libc::SIGTERM);
        assert!(took < SECOND, "it took {took:?} to end:\n{}", finished.stderr);
        let is_told = finished.stderr.contains("10 requests were not sent before the end");
        assert_eq!(is_told, prefix == "lost", "{}", finished.stderr);
        finished.expect_code(0);
        assert_eq!(receiver.spans().iter().filter(|span| span.is_request()).count(), 10);
    }
}

#[test]
fn spans_stand_among_those_of_the_application() {
    let lab = Lab::start();
    let receiver = Receiver::start(&lab);
    let (_server, selection) = selected(&lab, &instrumented(&Python::otlp()), &ENVIRONMENT);
    let otlp = otlp("grpc", GRPC, "");
    let serving = Serving::start(&lab, "serve", &format!("history.path = ''\n{selection}{otlp}"));
    lab.drive(&["--requests", "10", "--concurrency", "4", "/relay/{id}"]);
    receiver.wait_for_requests(20);
    // The application sends its own every five seconds.
    let by = |spans: &[Span], name: &str| -> Vec<Span> {
        spans.iter().filter(|span| !span.is_ours() && span.name == name).cloned().collect()
    };
    wait_until(|| by(&receiver.spans(), "GET /relay/{identity}").len() == 10);
    let spans = receiver.spans();
    let by_id: HashMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    let parent = |span: &Span| by_id.get(span.parent.as_str()).map(|parent| (*parent).clone());
    let ours: Vec<&Span> = spans.iter().filter(|span| span.is_request()).collect();
    for (route, expected) in [("/relay/{id}", 10), ("/ask/{id}", 10)] {
        let of_route = ours.iter().filter(|span| span.text("http.route") == route);
        assert_eq!(of_route.count(), expected, "{route}");
    }
    for request in ours {
        let of_request = |span: &&Span| span.text("tracer.request.id") == request.text("tracer.request.id");
        let call =
            spans.iter().filter(of_request).find(|span| span.is_ours() && span.kind == tests::otlp::CLIENT);
        let call = call.unwrap_or_else(|| panic!("no call of {request:?}"));
        // The application's server span is of the same exchange: its caller is the same.
        let path = request.text("url.path");
        let is_same = |span: &&Span| {
            !span.is_ours() && span.kind == tests::otlp::SERVER && span.text("http.target") == path
        };
        let theirs =
            spans.iter().find(is_same).unwrap_or_else(|| panic!("the application has no span of {path}"));
        assert_eq!((&request.trace, &request.parent), (&theirs.trace, &theirs.parent), "{path}");
        assert_eq!(call.trace, theirs.trace, "{path}");
        assert_eq!(request.resource["service.name"], theirs.resource["service.name"]);
        let client = parent(call).unwrap_or_else(|| panic!("no parent of {call:?}"));
        assert!(!client.is_ours() && client.kind == tests::otlp::CLIENT, "{client:?}");
        assert!(
            client.start_ns <= call.start_ns && call.end_ns <= client.end_ns + NEAR_NS,
            "{call:?}\n{client:?}"
        );
        assert_eq!(parent(&client).map(|span| span.id), Some(theirs.id.clone()), "{path}");
        if request.text("http.route") == "/ask/{id}" {
            let caller = parent(request).expect("its caller has a span");
            assert_eq!((caller.is_ours(), caller.kind), (false, tests::otlp::CLIENT));
        }
    }
    serving.end(libc::SIGTERM).0.expect_code(0);
}

/// The table that sends to an endpoint.
pub fn otlp(protocol: &str, endpoint: &str, rest: &str) -> String {
    format!("[otlp]\nendpoint = '{endpoint}'\nprotocol = '{protocol}'\n{rest}\n")
}

fn health(lab: &Lab) -> Value {
    let mut curl = lab.command("curl");
    let page = lab.run(curl.args(["--silent", "http://localhost:7070/api/v1/health"]), "health").stdout;
    serde_json::from_str(&page).expect("JSON")
}

#[track_caller]
pub fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "it does not come true");
        thread::sleep(SECOND / 5);
    }
}

/// Every request and call of the truth has its span, in its place, with what is known of it.
#[track_caller]
pub fn check(spans: &[Span], truth: &Truth, title: &str) {
    let requests: HashMap<&str, &Span> = spans
        .iter()
        .filter(|span| span.is_request())
        .map(|span| (span.text("url.path").rsplit('/').next().unwrap_or_default(), span))
        .collect();
    let calls: Vec<&Span> = spans.iter().filter(|span| span.is_llm_call()).collect();
    assert_eq!((requests.len(), calls.len()), (truth.requests.len(), truth.exchanges.len()), "{title}");
    let ids: HashSet<(&str, &str)> =
        spans.iter().map(|span| (span.trace.as_str(), span.id.as_str())).collect();
    assert_eq!(ids.len(), spans.len(), "{title}");
    for logged in &truth.requests {
        let span = requests.get(logged.id.as_str()).unwrap_or_else(|| panic!("no span of {}", logged.id));
        assert_eq!((span.name.as_str(), span.parent.as_str(), span.is_error), ("GET /chat/{id}", "", false));
        assert_eq!(span.number("http.response.status_code"), Some(200));
        let start_ns = truth.unix_offset_ns + logged.start_ns;
        assert!(span.start_ns <= start_ns && start_ns <= span.end_ns, "{logged:?}: {span:?}");
        let of_buckets = |(key, value): (&String, &Value)| {
            key.strip_prefix("tracer.bucket.")?.strip_suffix("_ns")?;
            value.as_u64()
        };
        let sum: u64 = span.attributes.iter().filter_map(of_buckets).sum();
        assert_eq!(sum, span.end_ns - span.start_ns, "{span:?}");
    }
    for exchange in &truth.exchanges {
        let name = exchange.request_id.as_deref().expect("the vendor names it");
        let is_it = |span: &&&Span| span.text("tracer.call.vendor_request_id") == name;
        let span = calls.iter().find(is_it).unwrap_or_else(|| panic!("no span of {exchange:?}"));
        let request = requests[exchange.request()];
        assert_eq!((&span.trace, &span.parent), (&request.trace, &request.id), "{exchange:?}");
        assert_eq!(span.name, format!("chat {}", exchange.model));
        assert_eq!(
            (span.text("gen_ai.provider.name"), span.text("server.address")),
            ("openai", "api.openai.com")
        );
        assert_eq!(span.attributes["gen_ai.request.stream"], exchange.stream);
        assert_eq!(span.number("gen_ai.usage.output_tokens"), exchange.output_tokens);
        assert_eq!(span.attributes["tracer.call.background"], exchange.maker().ends_with("/background"));
        assert_eq!(span.text("code.function.name"), "stream", "{span:?}");
        assert!(
            span.text("code.file.path").ends_with("/work.py") && span.number("code.line.number").is_some()
        );
        let first_ns = truth.unix_offset_ns + exchange.content_ns.expect("it has output");
        let told_s = span.attributes["gen_ai.response.time_to_first_chunk"].as_f64().expect("it streams");
        let told_ns = span.start_ns + (told_s * 1e9) as u64;
        assert!(told_ns.abs_diff(first_ns) < NEAR_NS, "{} ns", told_ns.abs_diff(first_ns));
        let has_phases =
            ["llm.send", "llm.first_byte"].iter().all(|name| span.events.iter().any(|e| e.name == *name));
        assert!(has_phases, "{span:?}");
    }
}

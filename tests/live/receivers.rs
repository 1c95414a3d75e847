//! What others receive who were not written with the tracer in mind: rotel, a collector, Phoenix, which keeps spans, and
//! VictoriaMetrics, which keeps figures. Run by `cargo xtask test receivers`, which has them.

use std::{
    collections::BTreeSet,
    env,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tests::{
    lab::{LIMIT, Lab},
    otlp::Receiver,
    python::Python,
    running::Running,
    serving::Serving,
};

use crate::{
    application::chat,
    otlp::{ENVIRONMENT, GRPC, LOAD, check, otlp, wait_until},
    serve::selected,
};

const SECOND: Duration = Duration::from_secs(1);

/// Where Phoenix listens.
const PHOENIX: &str = "http://127.0.0.1:6006";
const PHOENIX_GRPC: &str = "http://127.0.0.1:4327";

#[test]
#[ignore = "run by `cargo xtask test receivers`"]
fn rotel_passes_on_what_is_true() {
    let lab = Lab::start();
    let receiver = Receiver::start(&lab);
    let _rotel = rotel(&lab);
    let (_server, selection) = selected(&lab, &chat(&Python::system()), &ENVIRONMENT);
    let mut received = 0;
    // As many as no other, as those of before are not taken back.
    for (protocol, endpoint, compression, requests) in
        [("grpc", "http://127.0.0.1:4337", "gzip", 40), ("http", "http://127.0.0.1:4338", "none", 50)]
    {
        let rest = format!("compression = '{compression}'\nmetrics = '1s'");
        let otlp = otlp(protocol, endpoint, &rest);
        let serving = Serving::start(&lab, protocol, &format!("history.path = ''\n{selection}{otlp}"));
        received += requests;
        // Numbers are known as identifiers from the first one on.
        let (requests_text, prefix) = (requests.to_string(), received.to_string());
        lab.drive(&["--requests", &requests_text, "--concurrency", "8", "--prefix", &prefix, LOAD]);
        let spans = receiver.wait_for_requests(received);
        check(&spans, &lab.truth(), protocol);
        assert!(spans.iter().all(|span| span.resource["service.name"] == "assistant"));
        let count = |metric: &str| -> u64 {
            let points = receiver.points(metric);
            points.iter().filter_map(|point| point.count).sum()
        };
        wait_until(|| count("http.server.request.duration") == requests as u64);
        wait_until(|| count("gen_ai.client.operation.duration") == requests as u64);
        serving.end(libc::SIGTERM).0.expect_code(0);
    }
}

/// What it makes of calls itself, by the attributes of the conventions, is right as well.
#[test]
#[ignore = "run by `cargo xtask test receivers`"]
fn phoenix_shows_what_is_true() {
    let lab = Lab::start();
    let phoenix = Phoenix::start(&lab);
    let (_server, selection) = selected(&lab, &chat(&Python::system()), &ENVIRONMENT);
    for (protocol, endpoint) in [("grpc", PHOENIX_GRPC), ("http", PHOENIX)] {
        let otlp = otlp(protocol, endpoint, "");
        let serving = Serving::start(&lab, protocol, &format!("history.path = ''\n{selection}{otlp}"));
        lab.drive(&["--requests", "40", "--concurrency", "8", "--prefix", protocol, LOAD]);
        let truth = lab.truth();
        // Each request and call of both; beside them are waits of the event loop.
        let expected = truth.requests.len() + truth.exchanges.len();
        assert!(expected >= 80, "{protocol}: {expected}");
        let is_one = |span: &Value| span["parent_id"].is_null() || span["span_kind"] == "LLM";
        let count = || phoenix.spans().into_iter().filter(|span| is_one(span)).count();
        wait_until(|| count() >= expected);
        assert_eq!(count(), expected, "{protocol}");
        let spans = phoenix.spans();
        let names: BTreeSet<&str> = spans.iter().filter_map(|span| span["name"].as_str()).collect();
        eprintln!("{protocol}: {} spans: {names:?}", spans.len());
        for exchange in &truth.exchanges {
            let id = exchange.request_id.as_deref();
            let is_it = |span: &&Value| span["attributes"]["tracer.call.vendor_request_id"].as_str() == id;
            let call =
                spans.iter().find(is_it).unwrap_or_else(|| panic!("{protocol}: no span of {exchange:?}"));
            assert_eq!(
                (&call["name"], &call["span_kind"]),
                (&json!(format!("chat {}", exchange.model)), &json!("LLM"))
            );
            let made_of = &call["attributes"];
            assert_eq!(made_of["llm.provider"], "openai", "{call}");
            assert_eq!(made_of["llm.model_name"], json!(exchange.model), "{call}");
            assert_eq!(made_of["llm.token_count.completion"], json!(exchange.output_tokens), "{call}");
            let parent = |span: &&Value| span["context"]["span_id"] == call["parent_id"];
            let request =
                spans.iter().find(parent).unwrap_or_else(|| panic!("{protocol}: {call} has no parent"));
            assert_eq!((&request["name"], &request["parent_id"]), (&json!("GET /chat/{id}"), &Value::Null));
            assert_eq!(request["context"]["trace_id"], call["context"]["trace_id"]);
            let path = request["attributes"]["url.path"].as_str().unwrap_or_default();
            assert_eq!(path.rsplit('/').next(), Some(exchange.request()), "{request}");
        }
        serving.end(libc::SIGTERM).0.expect_code(0);
    }
}

/// By OTLP and by its own scraping of `/metrics`.
#[test]
#[ignore = "run by `cargo xtask test receivers`"]
fn victoria_metrics_keeps_what_is_true() {
    let lab = Lab::start();
    let victoria = VictoriaMetrics::start(&lab);
    let (_server, selection) = selected(&lab, &chat(&Python::system()), &ENVIRONMENT);
    let otlp = otlp("http", "http://127.0.0.1:8428/opentelemetry", "metrics = '1s'\nspans = false");
    let serving = Serving::start(&lab, "serve", &format!("history.path = ''\n{selection}{otlp}"));
    lab.drive(&["--requests", "40", "--concurrency", "8", LOAD]);
    let sent = r#"{service.name="assistant",http.route="/chat/{id}"}"#;
    victoria.wait_for(&format!("sum(http.server.request.duration_count{sent})"), 40.0);
    victoria.wait_for("sum(tracer_request_duration_seconds_count{route=\"/chat/{id}\"})", 40.0);
    let truth = lab.truth();
    let tokens: u64 = truth.exchanges.iter().filter_map(|exchange| exchange.output_tokens).sum();
    for (query, expected) in [
        ("sum(gen_ai.client.operation.duration_count)", truth.exchanges.len() as f64),
        (r#"sum(gen_ai.client.token.usage_sum{gen_ai.token.type="output"})"#, tokens as f64),
        ("sum(tracer_call_duration_seconds_count)", truth.exchanges.len() as f64),
        (r#"sum(tracer_tokens_total{direction="output"})"#, tokens as f64),
        // The bound below which all are.
        (r#"sum(gen_ai.client.operation.duration_bucket{le="81.92"})"#, truth.exchanges.len() as f64),
    ] {
        assert_eq!(victoria.figure(query), Some(expected), "{query}");
    }
    let seconds = |query: &str| victoria.figure(query).unwrap_or_else(|| panic!("nothing of {query}"));
    let wall_s = seconds("sum(http.server.request.duration_sum)");
    for query in [
        "sum(tracer.request.bucket.time)",
        "sum(tracer_request_duration_seconds_sum)",
        "sum(tracer_request_bucket_seconds_sum)",
    ] {
        let of_query = seconds(query);
        assert!((of_query - wall_s).abs() < 0.001, "{query} is {of_query} s of {wall_s} s");
    }
    serving.end(libc::SIGTERM).0.expect_code(0);
}

/// The collector, which sends all that it receives to the plain receiver.
fn rotel(lab: &Lab) -> Running {
    let mut rotel = lab.command(Python::otlp().packages().join("rotel/rotel-agent"));
    rotel.args(["start", "--otlp-grpc-endpoint", "127.0.0.1:4337", "--otlp-http-endpoint", "127.0.0.1:4338"]);
    rotel.args(["--exporter", "otlp", "--otlp-exporter-endpoint", GRPC, "--otlp-exporter-protocol", "grpc"]);
    rotel.args(["--batch-timeout", "200ms"]);
    lab.start_command(&mut rotel, "rotel")
}

/// The folder that a variable names.
fn installed(variable: &str) -> PathBuf {
    let folder = env::var_os(variable);
    folder
        .map(PathBuf::from)
        .unwrap_or_else(|| panic!("{variable} names no folder: run this by `cargo xtask test receivers`"))
}

struct Phoenix<'lab> {
    lab: &'lab Lab,
    _running: Running,
}

impl Phoenix<'_> {
    fn start(lab: &Lab) -> Phoenix<'_> {
        let mut phoenix = lab.command(installed("TRACER_TEST_PHOENIX").join("bin/phoenix"));
        phoenix.arg("serve").env("PHOENIX_WORKING_DIR", lab.dir().join("phoenix"));
        phoenix.env("PHOENIX_HOST", "127.0.0.1").env("PHOENIX_PORT", "6006").env("PHOENIX_GRPC_PORT", "4327");
        let _running = lab.start_command(&mut phoenix, "phoenix");
        let phoenix = Phoenix { lab, _running };
        // Its first start makes a database.
        wait_until(|| phoenix.ask("/v1/projects").is_some());
        phoenix
    }

    /// All that it has.
    fn spans(&self) -> Vec<Value> {
        let answer = self.ask("/v1/projects/default/spans?limit=1000").expect("it answers");
        answer["data"].as_array().expect("spans").clone()
    }

    fn ask(&self, path: &str) -> Option<Value> {
        let mut curl = self.lab.command("curl");
        curl.args(["--silent", "--retry", "5", "--retry-connrefused"]).arg(format!("{PHOENIX}{path}"));
        serde_json::from_str(&self.lab.run(&mut curl, "curl").stdout).ok()
    }
}

struct VictoriaMetrics<'lab> {
    lab: &'lab Lab,
    _running: Running,
}

impl VictoriaMetrics<'_> {
    fn start(lab: &Lab) -> VictoriaMetrics<'_> {
        let scrape = "scrape_configs: [{job_name: tracer, scrape_interval: 1s, static_configs: [{targets: ['127.0.0.1:7070']}]}]";
        let configuration = lab.dir().join("victoria.yml");
        std::fs::write(&configuration, scrape).expect("write a configuration");
        let mut victoria = lab.command(installed("TRACER_TEST_RECEIVERS").join("usr/bin/victoria-metrics"));
        victoria
            .arg("-httpListenAddr=127.0.0.1:8428")
            .arg(format!("-storageDataPath={}", lab.dir().join("victoria").display()))
            .arg(format!("-promscrape.config={}", configuration.display()))
            // What came is found at once.
            .args(["-search.latencyOffset=0s", "-search.disableCache"]);
        let _running = lab.start_command(&mut victoria, "victoria-metrics");
        VictoriaMetrics { lab, _running }
    }

    /// The value of the first series that it has for a query.
    fn figure(&self, query: &str) -> Option<f64> {
        let mut curl = self.lab.command("curl");
        curl.args(["--silent", "--retry", "5", "--retry-connrefused", "--get", "--data-urlencode"]);
        curl.arg(format!("query={}", escaped(query))).arg("http://127.0.0.1:8428/api/v1/query");
        let answer: Value = serde_json::from_str(&self.lab.run(&mut curl, "curl").stdout).ok()?;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    #[track_caller]
    fn wait_for(&self, query: &str, figure: f64) {
        let deadline = Instant::now() + LIMIT;
        while self.figure(query) != Some(figure) {
            assert!(Instant::now() < deadline, "{query} is {:?}, not {figure}", self.figure(query));
            thread::sleep(SECOND / 2);
        }
    }
}

/// Its queries have a backslash before each dot of a name: those are kept as they came.
fn escaped(query: &str) -> String {
    let mut is_text = false;
    let mut escaped = String::new();
    for letter in query.chars() {
        is_text ^= letter == '"';
        if letter == '.' && !is_text {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

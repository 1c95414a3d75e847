//! Real Prometheus servers, one of which keeps native histograms, and what is shipped for them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{
    lab::{LIMIT, Lab},
    running::Running,
    serving::Serving,
};

use crate::serve::selected_server;

const SECOND: Duration = Duration::from_secs(1);

/// As the load has them.
const REQUESTS: f64 = 40.0;

const CHAT: &str = r#"{method="GET",route="/chat/{id}"}"#;

#[test]
fn prometheus_scrapes_what_promtool_finds_nothing_wrong_with() {
    let lab = Lab::start();
    let (_server, selection) = selected_server(&lab, &[]);
    let serving = Serving::start(&lab, "serve", &format!("{selection}history.path = ''"));
    let classic = Prometheus::start(&lab, 9098, &[]);
    let native = Prometheus::start(&lab, 9099, &["--enable-feature=native-histograms"]);
    lab.drive(&["--requests", "40", "--concurrency", "10", "/chat/{id}?model=ttft=50-150,gap=5-10,n=10"]);
    classic.wait_for(&format!("tracer_request_duration_seconds_count{CHAT}"), REQUESTS);
    native.wait_for(&format!("histogram_count(tracer_request_duration_seconds{CHAT})"), REQUESTS);

    let wall = classic.figure(&format!("tracer_request_duration_seconds_sum{CHAT}"));
    let buckets = classic.figure(&format!("sum(tracer_request_bucket_seconds_sum{CHAT})"));
    assert!((wall - buckets).abs() < 0.001, "the buckets sum to {buckets} s of {wall} s");
    let truth = lab.truth();
    let tokens: u64 = truth.exchanges.iter().filter_map(|exchange| exchange.output_tokens).sum();
    assert_eq!(classic.figure(r#"sum(tracer_tokens_total{direction="output"})"#), tokens as f64);
    let calls = truth.exchanges.len() as f64;
    assert_eq!(classic.figure("sum(tracer_call_duration_seconds_count)"), calls);
    assert!(classic.figure("process_resident_memory_bytes") < 60e6);
    // The server alone is traced, which listens on one port.
    for map in ["TRACED", "LAYOUTS", "LISTEN_PORTS"] {
        classic.wait_for(&format!("tracer_map_entries{{map=\"{map}\"}}"), 1.0);
    }
    check_native(&native, &classic, wall, calls);

    let page =
        lab.run(lab.command("curl").args(["--silent", "http://localhost:7070/metrics"]), "page").stdout;
    fs::write(lab.dir().join("page"), page).expect("write the page");
    let mut lint = Command::new("promtool");
    lint.args(["check", "metrics"]).stdin(fs::File::open(lab.dir().join("page")).expect("it is there"));
    let lint = Running::start(&mut lint, lab.dir(), "promtool").finish(LIMIT);
    assert_eq!((lint.status.code(), lint.stdout, lint.stderr), (Some(0), String::new(), String::new()));
    check_shipped(&classic, &native);
    let (finished, took) = serving.end(libc::SIGTERM);
    assert!(took < SECOND, "it took {took:?} to end:\n{}", finished.stderr);
    finished.expect_code(0);
}

/// Native histograms are the same figures, and tell quantiles within the width of a bucket.
#[track_caller]
fn check_native(native: &Prometheus, classic: &Prometheus, wall: f64, calls: f64) {
    assert_eq!(native.figure("histogram_count(sum(tracer_call_duration_seconds))"), calls);
    let sum = |figure: &str| native.figure(&format!("histogram_sum(sum({figure}{CHAT}))"));
    let told = sum("tracer_request_duration_seconds");
    assert!((told - wall).abs() < 1e-6, "{told} s of {wall} s");
    let buckets = sum("tracer_request_bucket_seconds");
    assert!((buckets - wall).abs() < 0.001, "the buckets sum to {buckets} s of {wall} s");
    for cause in ["llm.first_byte", "llm.stream", "python.cpu"] {
        let of = format!(r#"tracer_request_bucket_seconds{{route="/chat/{{id}}",bucket="{cause}"}}"#);
        let count = native.figure(&format!("histogram_count({of})"));
        assert_eq!(count, classic.figure(&of.replace("seconds{", "seconds_count{")), "{cause}");
    }
    // The median is between the bounds that the fixed buckets put it between, and both ends are.
    let quantile = |q: f64| {
        let query = format!("histogram_quantile({q}, tracer_request_duration_seconds{CHAT})");
        native.figure(&query)
    };
    let median = quantile(0.5);
    let below = |bound: f64| {
        let figure = r#"tracer_request_duration_seconds_bucket{method="GET",route="/chat/{id}",le="#;
        classic.figure(&format!("{figure}\"{bound}\"}}"))
    };
    let bounds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24];
    let above = bounds.iter().position(|bound| below(*bound) >= REQUESTS / 2.0).expect("half are below one");
    let range = bounds[above.saturating_sub(1)] / 1.1..bounds[above] * 1.1;
    assert!(range.contains(&median), "{median} s is not in {range:?}");
    assert!(quantile(0.0) <= median && median <= quantile(1.0));
}

/// What is shipped asks for what there is, with either kind of histogram.
fn check_shipped(classic: &Prometheus, native: &Prometheus) {
    let queries = shipped_queries();
    let deadline = Instant::now() + LIMIT;
    for query in &queries {
        // One may have scraped once more than the other, and a rate needs two scrapes.
        while classic.series(query).len() != native.series(query).len() {
            assert!(
                Instant::now() < deadline,
                "{query}: {:?}, {:?}",
                classic.series(query),
                native.series(query)
            );
            thread::sleep(SECOND / 2);
        }
    }
    for figure in ["tracer_request_duration_seconds", "tracer_request_bucket_seconds", "tracer_map_entries"] {
        let of_it: Vec<&String> = queries.iter().filter(|query| query.contains(figure)).collect();
        assert!(!of_it.is_empty() && of_it.iter().all(|query| !native.series(query).is_empty()), "{figure}");
    }
    // Figures that there are none of yet are not on the page.
    let families = include_str!("../../tracer/src/serve/metrics/families.rs");
    let alerts = fs::read_to_string(deploy("prometheus/alerts.yaml")).expect("they are shipped");
    for name in queries.iter().chain([&alerts]).flat_map(|text| figures(text)) {
        assert!(families.contains(&format!("\"{name}\"")), "there is no {name}");
    }
    let dir = classic.lab.dir();
    let mut rules = Command::new("promtool");
    rules.args(["check", "rules"]).arg(deploy("prometheus/alerts.yaml"));
    Running::start(&mut rules, dir, "promtool").finish(LIMIT).expect_code(0);

    // The token is where the pod of a Prometheus has it, and Debian's knows no Kubernetes: the rest of the job is checked.
    let job = fs::read_to_string(deploy("prometheus/kubernetes.yaml")).expect("it is shipped");
    let token = dir.join("token");
    fs::write(&token, "token").expect("write a token");
    let mut here = job;
    for (theirs, ours) in [
        ("/etc/prometheus/secrets/tracer/token", token.to_str().expect("text")),
        ("kubernetes_sd_configs:", "dns_sd_configs:"),
        ("role: pod", "names: [tracer]"),
        ("namespaces: {names: [tracer]}", "port: 7070\n        type: A"),
    ] {
        assert!(here.contains(theirs), "{theirs} is not in it");
        here = here.replace(theirs, ours);
    }
    fs::write(dir.join("kubernetes.yaml"), here).expect("write the job");
    let mut config = Command::new("promtool");
    config.args(["check", "config"]).arg(dir.join("kubernetes.yaml"));
    Running::start(&mut config, dir, "promtool").finish(LIMIT).expect_code(0);
}

/// A server that scrapes the daemon every second.
struct Prometheus<'lab> {
    lab: &'lab Lab,
    port: u16,
    _running: Running,
}

impl Prometheus<'_> {
    fn start<'lab>(lab: &'lab Lab, port: u16, options: &[&str]) -> Prometheus<'lab> {
        let scrape = "scrape_configs: [{job_name: tracer, scrape_interval: 1s, static_configs: [{targets: ['127.0.0.1:7070']}]}]";
        fs::write(lab.dir().join("prometheus.yml"), scrape).expect("write a configuration");
        let mut prometheus = lab.command("prometheus");
        prometheus
            .arg(format!("--config.file={}", lab.dir().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", lab.dir().join(format!("prometheus-{port}")).display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(options);
        let _running = lab.start_command(&mut prometheus, &format!("prometheus-{port}"));
        Prometheus { lab, port, _running }
    }

    /// What it answers to a query, a series each; nothing before it listens.
    fn series(&self, query: &str) -> Vec<Value> {
        self.ask(query).unwrap_or_else(|| panic!("no answer to {query}"))
    }

    fn ask(&self, query: &str) -> Option<Vec<Value>> {
        let mut curl = self.lab.command("curl");
        curl.args(["--silent", "--retry", "5", "--retry-connrefused", "--get", "--data-urlencode"]);
        curl.arg(format!("query={query}")).arg(format!("http://127.0.0.1:{}/api/v1/query", self.port));
        let answer: Value = serde_json::from_str(&self.lab.run(&mut curl, "curl").stdout).ok()?;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().cloned()
    }

    #[track_caller]
    fn figure(&self, query: &str) -> f64 {
        number(&self.series(query)).unwrap_or_else(|| panic!("nothing is known of {query}"))
    }

    #[track_caller]
    fn wait_for(&self, query: &str, figure: f64) {
        let deadline = Instant::now() + LIMIT;
        while self.ask(query).as_deref().and_then(number) != Some(figure) {
            assert!(Instant::now() < deadline, "{query} is not {figure}");
            thread::sleep(SECOND);
        }
    }
}

/// The value of the first series.
fn number(series: &[Value]) -> Option<f64> {
    series.first()?["value"][1].as_str()?.parse().ok()
}

/// What the dashboard that comes with the program asks for.
fn shipped_queries() -> Vec<String> {
    let read = |path| fs::read_to_string(deploy(path)).expect("it is shipped");
    let dashboard: Value = serde_json::from_str(&read("grafana/tracer.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("it has targets"));
    let shown = targets.map(|target| {
        let query = target["expr"].as_str().expect("a query");
        query.replace("$__rate_interval", "1m").replace("$method", ".*").replace("$route", ".*")
    });
    let queries: Vec<String> = shown.collect();
    assert!(queries.len() > 10, "{queries:?}");
    queries
}

/// The figures that a text names, without what Prometheus adds to their names.
fn figures(text: &str) -> Vec<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let named = words.filter(|word| word.starts_with("tracer_") || word.starts_with("process_"));
    let suffixes = ["_bucket", "_count", "_sum", "_total"];
    named.map(|name| suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)).collect()
}

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

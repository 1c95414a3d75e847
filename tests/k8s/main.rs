//! The chart in a real cluster, under what happens to one. Run by `cargo xtask test k8s`.

mod cluster;

use std::{collections::BTreeSet, fs, path::Path, process::Command, thread, time::Duration};

use serde_json::Value;
use tests::{
    compare::Comparison,
    lab::{LIMIT, PORT, folder},
    python::Python,
    recording::program,
    running::Running,
    truth::Truth,
};
use tracer::{
    event::{Owner, Pod},
    report::types::{Process, Report},
};

use cluster::{Cluster, NODE};

const CHAT: &str = "/chat/{id}?model=ttft=50-150,gap=5-10,n=10";

/// What is installed, and what is asked of it.
struct Installed {
    cluster: Cluster,
}

impl Installed {
    fn new() -> Installed {
        let cluster = Cluster::start();
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/tracer");
        let history = format!("history.hostPath={}", cluster.dir().join("history").display());
        let image = format!("image.tag={}", env!("CARGO_PKG_VERSION"));
        let options = ["--set", &history, "--set", &image, "--set", "image.pullPolicy=Never"];
        cluster.kubectl(&["create", "namespace", "tracer"]);
        cluster.kubectl(&["create", "namespace", "llm"]);
        let install = ["install", "tracer", &chart.display().to_string(), "--namespace", "tracer"];
        cluster.helm(&[&install[..], &options].concat());
        let installed = Installed { cluster };
        installed.wait_for_tracer();
        installed
    }

    fn wait_for_tracer(&self) {
        self.cluster.kubectl(&["-n", "tracer", "rollout", "status", "daemonset/tracer", "--timeout=120s"]);
    }

    /// Ends the tracer's pod, and waits until another one traces.
    fn restart_tracer(&self) {
        let before = self.tracer().0;
        self.cluster.kubectl(&["-n", "tracer", "delete", "pod", &before]);
        self.cluster.wait_until("another pod traces", || {
            let (name, is_ready) = self.tracer();
            name != before && is_ready
        });
    }

    /// The name of its pod, and whether that is ready; an empty name while there is none.
    fn tracer(&self) -> (String, bool) {
        let pods = self.cluster.get(&["pods", "-n", "tracer"]);
        let pod = &pods["items"][0];
        let is_ready = pod["status"]["containerStatuses"][0]["ready"] == true;
        (pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(), is_ready)
    }

    fn apply(&self, name: &str) {
        let text = fs::read_to_string(folder("k8s").join(name)).expect("it is there");
        let file = self.cluster.dir().join(name);
        fs::write(&file, text.replace("$DIR", &self.cluster.dir().display().to_string())).expect("write it");
        self.cluster.kubectl(&["apply", "-f", &file.display().to_string()]);
    }

    /// A page of the tracer's, asked from another pod's place.
    fn ask(&self, path: &str) -> String {
        let pods = self.cluster.get(&["pods", "-n", "tracer"]);
        let address = pods["items"][0]["status"]["podIP"].as_str().expect("it has an address").to_owned();
        let secret =
            ["-n", "tracer", "get", "secret", "tracer", "-o", "go-template={{.data.token | base64decode}}"];
        let token = self.cluster.kubectl(&secret);
        let mut curl = self.cluster.command("curl");
        curl.args(["--silent", "--fail", "-H", &format!("Authorization: Bearer {token}")]);
        curl.arg(format!("http://{address}:7070{path}"));
        self.cluster.run(curl, "curl").expect_code(0).stdout
    }

    /// What its history has.
    fn report(&self) -> Report {
        let mut command = Command::new(program());
        command.args(["report", "--format", "json", "--history"]);
        command.arg(self.cluster.dir().join("history/history.db"));
        let finished =
            Running::start(&mut command, self.cluster.dir(), "report").finish(LIMIT).expect_code(0);
        serde_json::from_str(&finished.stdout).expect("a report")
    }

    fn truth(&self) -> Truth {
        Truth::read(&self.cluster.dir().join("truth"))
    }

    /// The process that serves in a container.
    fn process(&self, container: &str) -> Option<Process> {
        let answer: Value = serde_json::from_str(&self.ask("/api/v1/processes?since=1h")).expect("JSON");
        let processes = answer["processes"].as_array().expect("a list").iter();
        let mut known = processes.filter_map(|seen| serde_json::from_value::<Process>(seen.clone()).ok());
        known.rfind(|process| pod(process).is_some_and(|pod| pod.container == container))
    }

    /// Sends requests to the chat, from within its pod's network; they go on while this goes on.
    fn drive(&self, chat: u32, prefix: &str, requests: &str) -> Running {
        let mut drive = Command::new("nsenter");
        drive.args(["--net", "--target", &chat.to_string(), "--"]).arg(Python::system().program("python"));
        drive.arg(folder("apps").join("drive.py")).args(["--port", PORT, "--truth"]);
        drive.arg(self.cluster.dir().join("truth/client.jsonl"));
        drive.args(["--prefix", prefix, "--requests", requests, "--concurrency", "5", CHAT]);
        Running::start(&mut drive, self.cluster.dir(), "drive")
    }

    /// Waits until all requests of a load are in the history.
    fn wait_for(&self, prefix: &str, requests: usize) {
        self.cluster.wait_until(&format!("{requests} requests of {prefix}"), || {
            names(&self.report(), prefix).len() == requests
        });
    }
}

fn pod(process: &Process) -> Option<&Pod> {
    process.pod.as_ref()
}

/// The names of a load's requests that a report has.
fn names(report: &Report, prefix: &str) -> BTreeSet<String> {
    let paths = report.requests.iter().filter_map(|request| request.path.as_deref());
    let names = paths.filter_map(|path| path.strip_prefix("/chat/"));
    names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect()
}

#[test]
fn every_request_of_a_pod_is_known_by_its_names_whatever_happens_to_the_cluster() {
    let mut installed = Installed::new();
    installed.apply("chat.yaml");
    installed.cluster.wait_until("the chat is traced", || installed.process("app").is_some());
    let server = || {
        let processes = installed.cluster.get(&["pods", "-n", "llm", "-l", "app=chat"]);
        processes["items"][0]["metadata"]["name"].as_str().expect("a name").to_owned()
    };
    let name = server();
    let app = installed.process("app").expect("it is known");
    installed.drive(app.pid, "first", "30").finish(LIMIT).expect_code(0);
    installed.wait_for("first", 30);

    // Requests, buckets and calls are the truth, and the process has all its names.
    let mut report = installed.report();
    report.requests.retain(|request| request.path.as_deref().is_some_and(|path| path.starts_with("/chat/")));
    Comparison::new("requests of a pod", &report, &installed.truth()).check();
    installed.cluster.wait_until("its owner is known", || {
        installed.process("app").is_some_and(|app| pod(&app).is_some_and(|pod| pod.owner.is_some()))
    });
    let app = installed.process("app").expect("it is known");
    let of_app = pod(&app).expect("it has one");
    assert_eq!((&*of_app.namespace, &*of_app.name), ("llm", &*name));
    assert_eq!(of_app.node.as_deref(), Some(NODE));
    assert_eq!(of_app.owner, Some(Owner { kind: "Deployment".to_owned(), name: "chat".to_owned() }));
    assert_eq!(of_app.labels.keys().collect::<Vec<_>>(), ["app"]);
    assert_eq!(app.image.as_deref(), Some("localhost/python:1"));
    assert_eq!(app.container_id.as_deref().map(str::len), Some(64));
    // Who opts out is not among them.
    let silent = |process: &Process| pod(process).is_some_and(|pod| pod.name == "silent");
    assert!(!installed.report().processes.iter().any(silent));
    let of_pod =
        format!("tracer_pod_requests_total{{namespace=\"llm\",pod=\"{name}\",container=\"app\"}} 30");
    let metrics = installed.ask("/metrics");
    assert!(metrics.lines().any(|line| line == of_pod), "{metrics}");

    // The tracer's pod ends under load: the load does not notice, and what was known stays.
    let before = names(&installed.report(), "");
    let load = installed.drive(app.pid, "second", "150");
    thread::sleep(Duration::from_secs(1));
    installed.restart_tracer();
    load.finish(LIMIT).expect_code(0);
    installed.drive(app.pid, "third", "20").finish(LIMIT).expect_code(0);
    installed.wait_for("third", 20);
    let after = names(&installed.report(), "");
    assert!(after.is_superset(&before), "{before:?} {after:?}");
    let of_load = names(&installed.report(), "second").len();
    assert!(of_load > 0, "nothing of the load is known");
    eprintln!("k8s: {of_load} of 150 requests are known of the load under which the tracer ended");

    // Without the API server nothing is lost but the names of whom only it knows.
    installed.cluster.stop_api_server();
    installed.drive(app.pid, "fourth", "20").finish(LIMIT).expect_code(0);
    installed.wait_for("fourth", 20);
    installed.cluster.start_api_server();
    installed.drive(app.pid, "fifth", "20").finish(LIMIT).expect_code(0);
    installed.wait_for("fifth", 20);

    // Without leave to read pods, a new tracer has the names that the runtime left.
    installed.cluster.kubectl(&["delete", "clusterrolebinding", "tracer"]);
    installed.restart_tracer();
    installed.cluster.kubectl(&["-n", "llm", "delete", "pod", "-l", "app=chat"]);
    installed.cluster.wait_until("the next chat is traced", || {
        installed.process("app").is_some_and(|app| pod(&app).is_some_and(|pod| pod.name != name))
    });
    let next = installed.process("app").expect("it is known");
    let of_next = pod(&next).expect("it has one");
    assert_eq!((&*of_next.namespace, &*of_next.container), ("llm", "app"));
    assert!(of_next.name.starts_with("chat-") && of_next.uid.is_some(), "{of_next:?}");
    assert_eq!((&of_next.owner, next.image.as_deref()), (&None, Some("localhost/python:1")));
    installed.drive(next.pid, "sixth", "20").finish(LIMIT).expect_code(0);
    installed.wait_for("sixth", 20);
    let log = installed.cluster.kubectl(&["-n", "tracer", "logs", "daemonset/tracer"]);
    assert!(log.contains("Kubernetes does not tell of pods"), "{log}");

    // Its limits hold: it was ended by nobody but this test.
    let pods = installed.cluster.get(&["pods", "-n", "tracer"]);
    assert_eq!(pods["items"][0]["status"]["containerStatuses"][0]["restartCount"], 0);
}

//! The tracer and what it traces in a cluster, and what is asked of them.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;
use tests::{
    lab::{LIMIT, PORT, folder},
    otlp::Receiver,
    python::Python,
    recording::program,
    running::Running,
    truth::Truth,
};
use tracer::{
    event::Pod,
    report::types::{Process, Report},
};

use crate::cluster::Cluster;

const CHAT: &str = "/chat/{id}?model=ttft=50-150,gap=5-10,n=10";

/// The configuration: spans go to where pods reach their node.
const VALUES: &str = "config: |
  [kubernetes]
  namespaces = ['*']
  [otlp]
  endpoint = 'http://10.97.0.1:4317'
";

/// What is installed, and what is asked of it.
pub struct Installed {
    pub receiver: Receiver,
    pub cluster: Cluster,
}

impl Installed {
    pub fn new() -> Installed {
        let cluster = Cluster::start();
        let receiver = receiver(&cluster);
        cluster.kubectl(&["create", "namespace", "tracer"]);
        cluster.kubectl(&["create", "namespace", "llm"]);
        let installed = Installed { receiver, cluster };
        installed.helm("install", &[]);
        installed.wait_for_tracer();
        installed
    }

    /// Installs the chart, or changes what was installed.
    pub fn helm(&self, what: &str, more: &[&str]) {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/tracer");
        let values = self.cluster.dir().join("values.yaml");
        fs::write(&values, VALUES).expect("write them");
        let history = format!("history.hostPath={}", self.cluster.dir().join("history").display());
        let image = format!("image.tag={}", env!("CARGO_PKG_VERSION"));
        let (chart, values) = (chart.display().to_string(), values.display().to_string());
        let install = [what, "tracer", &chart, "--namespace", "tracer", "--values", &values];
        let options = ["--set", &history, "--set", &image, "--set", "image.pullPolicy=Never"];
        self.cluster.helm(&[&install[..], &options, more].concat());
    }

    pub fn wait_for_tracer(&self) {
        self.cluster.kubectl(&["-n", "tracer", "rollout", "status", "daemonset/tracer", "--timeout=120s"]);
    }

    /// Ends the tracer's pod, and waits until another one traces.
    pub fn restart_tracer(&self) {
        let before = self.tracer().0;
        self.cluster.kubectl(&["-n", "tracer", "delete", "pod", &before]);
        self.cluster.wait_until("another pod traces", || {
            let (name, is_ready) = self.tracer();
            name != before && is_ready
        });
    }

    /// The name of its pod, and whether that is ready; an empty name while there is none.
    pub fn tracer(&self) -> (String, bool) {
        let pods = self.cluster.get(&["pods", "-n", "tracer"]);
        let pod = &pods["items"][0];
        let is_ready = pod["status"]["containerStatuses"][0]["ready"] == true;
        (pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(), is_ready)
    }

    /// Applies a file, with values in the place of words such as `$NAME`.
    pub fn apply(&self, name: &str, values: &[(&str, &str)]) {
        let mut text = fs::read_to_string(folder("k8s").join(name)).expect("it is there");
        let dir = self.cluster.dir().display().to_string();
        for (word, value) in values.iter().chain(&[("$DIR", dir.as_str())]) {
            text = text.replace(word, value);
        }
        let file = self.cluster.dir().join(name);
        fs::write(&file, text).expect("write it");
        self.cluster.kubectl(&["apply", "-f", &file.display().to_string()]);
    }

    /// What the tracer's pod has said.
    pub fn log(&self) -> String {
        self.cluster.kubectl(&["-n", "tracer", "logs", "daemonset/tracer"])
    }

    /// A page of the tracer's, asked from another pod's place.
    pub fn ask(&self, path: &str) -> String {
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
    pub fn report(&self) -> Report {
        let mut command = Command::new(program());
        command.args(["report", "--format", "json", "--history"]);
        command.arg(self.cluster.dir().join("history/history.db"));
        let finished =
            Running::start(&mut command, self.cluster.dir(), "report").finish(LIMIT).expect_code(0);
        serde_json::from_str(&finished.stdout).expect("a report")
    }

    pub fn truth(&self) -> Truth {
        Truth::read(&self.cluster.dir().join("truth"))
    }

    /// Those that were traced in the last hour.
    pub fn processes(&self) -> Vec<Process> {
        let answer: Value = serde_json::from_str(&self.ask("/api/v1/processes?since=1h")).expect("JSON");
        let processes = answer["processes"].as_array().expect("a list").iter();
        processes.filter_map(|seen| serde_json::from_value(seen.clone()).ok()).collect()
    }

    /// The process that serves in a container of that name: the latest.
    pub fn process(&self, container: &str) -> Option<Process> {
        let mut known = self.processes().into_iter();
        known.rfind(|process| pod(process).is_some_and(|pod| pod.container == container))
    }

    /// Sends requests to the chat, from within its pod's network; they go on while this goes on.
    pub fn drive(&self, chat: u32, prefix: &str, requests: &str) -> Running {
        let mut drive = Command::new("nsenter");
        drive.args(["--net", "--target", &chat.to_string(), "--"]).arg(Python::system().program("python"));
        drive.arg(folder("apps").join("drive.py")).args(["--port", PORT, "--truth"]);
        drive.arg(self.cluster.dir().join("truth/client.jsonl"));
        drive.args(["--prefix", prefix, "--requests", requests, "--concurrency", "5", CHAT]);
        Running::start(&mut drive, self.cluster.dir(), "drive")
    }

    /// Waits until all requests of a load are in the history.
    pub fn wait_for(&self, prefix: &str, requests: usize) {
        self.cluster.wait_until(&format!("{requests} requests of {prefix}"), || {
            names(&self.report(), prefix).len() == requests
        });
    }
}

pub fn pod(process: &Process) -> Option<&Pod> {
    process.pod.as_ref()
}

/// The names of a load's requests that a report has.
pub fn names(report: &Report, prefix: &str) -> BTreeSet<String> {
    let paths = report.requests.iter().filter_map(|request| request.path.as_deref());
    let names = paths.filter_map(|path| path.strip_prefix("/chat/"));
    names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect()
}

/// A receiver of OTLP in the node's network.
fn receiver(cluster: &Cluster) -> Receiver {
    let certificate = cluster.dir().join("receiver.pem");
    let mut openssl = cluster.command("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=receiver", "-keyout"]);
    openssl.arg(&certificate).arg("-out").arg(cluster.dir().join("receiver.crt"));
    cluster.run(openssl, "openssl").expect_code(0);
    let public = fs::read_to_string(cluster.dir().join("receiver.crt")).expect("it was made");
    let private = fs::read_to_string(&certificate).expect("it was made");
    fs::write(&certificate, private + &public).expect("write it");
    Receiver::start_by(cluster.command(Python::otlp().program("python")), cluster.dir(), &certificate)
}

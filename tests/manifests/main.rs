//! What is shipped for Kubernetes, held against its schemas and against the program. Run by `cargo xtask test manifests`.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;
use tests::golden;
use tracer::serve::config::Config;

/// Versions of Kubernetes whose schemas there are.
const VERSIONS: [&str; 13] =
    ["1.25", "1.26", "1.27", "1.28", "1.29", "1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37"];

/// What the plain manifests are rendered with: nothing in them is drawn at random.
const PLAIN: [&str; 4] = ["--kube-version", "1.37", "--set", "web.existingSecret=tracer"];

/// From this version on there is a field for what was an annotation before.
const PLAIN_FITS_FROM: &str = "1.30";

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

fn tool(variable: &str) -> Command {
    let path = env::var_os(variable);
    Command::new(path.unwrap_or_else(|| panic!("{variable}: run these by `cargo xtask test manifests`")))
}

fn helm(arguments: &[&str]) -> Output {
    let output = tool("TRACER_TEST_HELM").args(arguments).arg(deploy("helm/tracer")).output();
    output.expect("helm starts")
}

fn template(options: &[&str]) -> String {
    let output = helm(&[&["template", "--namespace", "tracer", "tracer"][..], options].concat());
    assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Whether manifests are of the schemas of a version, with nothing else in them.
fn is_valid(manifests: &str, version: &str) -> bool {
    let folder = TempDir::new().expect("make a folder");
    let file = folder.path().join("manifests.yaml");
    fs::write(&file, manifests).expect("write them");
    let mut validate = tool("TRACER_TEST_VALIDATE");
    validate.args(["--strict", "--quiet", "-k", version]).arg(&file).status().expect("it starts").success()
}

#[test]
fn the_chart_is_valid_for_every_version_of_kubernetes() {
    let lint = helm(&["lint", "--strict"]);
    assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stdout));
    for version in VERSIONS {
        let manifests = template(&["--kube-version", version]);
        assert!(is_valid(&manifests, version), "{version}:\n{manifests}");
        let everything = [
            "history.hostPath=",
            "priorityClassName=high",
            "podLabels.a=b",
            "podAnnotations.a=b",
            "criSocket=/run/a.sock",
        ];
        let set = everything.iter().flat_map(|value| ["--set", value]);
        let more = ["--set", "imagePullSecrets[0].name=x", "--kube-version", version];
        let manifests = template(&set.chain(more).collect::<Vec<_>>());
        assert!(is_valid(&manifests, version), "{version}:\n{manifests}");
    }
    let wrong = template(&[]).replace("hostPID", "hostPid");
    assert!(!is_valid(&wrong, "1.37"), "a field that there is not");
}

#[test]
fn values_that_can_not_be_are_refused() {
    let digest = format!("image.digest=sha256:{}", "0f".repeat(32));
    assert!(
        template(&["--set", &digest])
            .contains(&format!("image: localhost/tracer@sha256:{}", "0f".repeat(32)))
    );
    for wrong in [
        "image.digest=1",
        "image.pullPolicy=Sometimes",
        "web.port=0",
        "history.hostPath=a",
        "criSocket=a",
        "webb.port=1",
    ] {
        assert!(!helm(&["template", "tracer", "--set", wrong]).status.success(), "{wrong}");
    }
}

#[test]
fn the_plain_manifests_are_what_the_chart_renders() {
    let manifests = template(&PLAIN);
    golden::assert_matches("../../deploy/kubernetes/tracer.yaml", &manifests);
    for version in VERSIONS.into_iter().skip_while(|version| *version != PLAIN_FITS_FROM) {
        assert!(is_valid(&manifests, version), "{version}");
    }
}

#[test]
fn the_collector_of_the_example_is_valid_and_the_tracer_can_be_told_of_it() {
    let manifests = fs::read_to_string(deploy("opentelemetry/collector.yaml")).expect("it is there");
    for version in VERSIONS {
        assert!(is_valid(&manifests, version), "{version}");
    }
    let (service, port) = ("http://collector.tracer.svc", "4317");
    let document = fs::read_to_string(deploy("../docs/kubernetes.md")).expect("it is there");
    let (_, lines) = document.split_once("```toml\n[otlp]\n").expect("it says how");
    let lines = lines.lines().take_while(|line| *line != "```");
    let config = format!("[otlp]\n{}", lines.collect::<Vec<_>>().join("\n"));
    Config::parse(&config).expect(&config);
    assert!(config.contains(&format!("{service}:{port}")), "{config}");
    assert!(manifests.contains("name: collector\n  namespace: tracer") && manifests.contains(port));
}

#[test]
fn the_configuration_in_the_chart_is_one() {
    let manifests = template(&["--show-only", "templates/configmap.yaml"]);
    let (_, text) = manifests.split_once("tracer.toml: |\n").expect("it is there");
    let text: String = text.lines().map(|line| format!("{}\n", line.trim_start())).collect();
    let config = Config::parse(&text).expect(&text);
    assert_eq!(config.web.listen.map(|address| address.port()), Some(7070));
    assert!(config.web.token_file.is_some());
}

/// It is as good as root on the node.
#[test]
fn the_runtimes_socket_is_mounted_only_where_it_is_asked_for() {
    let daemon_set =
        |options: &[&str]| template(&[&["--show-only", "templates/daemonset.yaml"][..], options].concat());
    let without = daemon_set(&[]);
    assert!(!without.contains("Socket") && !without.contains("RUNTIME"), "{without}");
    let with = daemon_set(&["--set", "criSocket=/run/crio/crio.sock"]);
    for part in ["value: unix:///run/crio/crio.sock", "mountPath: /run/crio/crio.sock", "type: Socket"] {
        assert!(with.contains(part), "{part}: {with}");
    }
}

/// The unit of systemd and the chart give reasons for each; both have the same.
#[test]
fn capabilities_are_those_of_the_unit() {
    let unit = fs::read_to_string(deploy("tracer.service")).expect("it is there");
    let set = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).expect("it has some");
    // What kernels before 5.11 need is not given by default.
    let of_unit =
        set.split(' ').filter_map(|name| name.strip_prefix("CAP_")).filter(|name| *name != "SYS_RESOURCE");
    let manifests = template(&["--show-only", "templates/daemonset.yaml"]);
    let (_, added) = manifests.split_once("add:\n").expect("it adds some");
    let of_chart = added.lines().map_while(|line| line.trim_start().strip_prefix("- "));
    assert_eq!(of_unit.collect::<BTreeSet<_>>(), of_chart.collect::<BTreeSet<_>>());
}

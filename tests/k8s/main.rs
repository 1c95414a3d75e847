//! The chart in a real cluster, under what happens to one. Run by `cargo xtask test k8s`.

mod cluster;
mod installed;
mod opting_out;
mod traces;

use std::{thread, time::Duration};

use tests::{compare::Comparison, lab::LIMIT};
use tracer::{event::Owner, report::types::Process};

use cluster::NODE;
use installed::{Installed, names, pod};

#[test]
fn every_request_of_a_pod_is_known_by_its_names_whatever_happens_to_the_cluster() {
    let mut installed = Installed::new();
    installed.apply("chat.yaml", &[]);
    installed.apply("silent.yaml", &[("$NAME", "silent")]);
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

    opting_out::check(&installed, &name, app.pid);
    traces::check(&installed);

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
    let of_next = pod(&next).expect("it has one").clone();
    assert_eq!((&*of_next.namespace, &*of_next.container), ("llm", "app"));
    assert!(of_next.name.starts_with("chat-") && of_next.uid.is_some(), "{of_next:?}");
    assert_eq!((&of_next.owner, next.image.as_deref()), (&None, Some("localhost/python:1")));
    installed.drive(next.pid, "sixth", "20").finish(LIMIT).expect_code(0);
    installed.wait_for("sixth", 20);
    let log = installed.log();
    assert!(log.contains("Kubernetes does not tell of pods"), "{log}");

    // With the runtime's socket it has their labels and annotations, too.
    installed.helm(
        "upgrade",
        &["--set", &format!("criSocket={}", installed.cluster.dir().join("containerd.sock").display())],
    );
    installed.wait_for_tracer();
    installed.cluster.kubectl(&["delete", "clusterrolebinding", "tracer"]);
    installed.restart_tracer();
    installed.apply("silent.yaml", &[("$NAME", "mute")]);
    installed.cluster.kubectl(&["-n", "llm", "wait", "--for=condition=Ready", "pod/mute", "--timeout=60s"]);
    installed.cluster.kubectl(&["-n", "llm", "delete", "pod", "-l", "app=chat"]);
    let is_last = |process: &Process| {
        pod(process).is_some_and(|pod| pod.name != of_next.name && !pod.labels.is_empty())
    };
    installed.cluster.wait_until("the labels of the last chat are known", || {
        installed.process("app").is_some_and(|app| is_last(&app))
    });
    let last = installed.process("app").expect("it is known");
    let of_last = pod(&last).expect("it has one");
    assert!(of_last.name.starts_with("chat-"), "{of_last:?}");
    assert_eq!((of_last.node.as_deref(), &of_last.owner), (Some(NODE), &None));
    assert_eq!(of_last.labels.keys().collect::<Vec<_>>(), ["app"]);
    assert_eq!(last.image.as_deref(), Some("localhost/python:1"));
    installed.drive(last.pid, "seventh", "20").finish(LIMIT).expect_code(0);
    installed.wait_for("seventh", 20);
    let log = installed.log();
    assert!(log.contains("containerd.sock tells of pods"), "{log}");
    let mute = |process: &Process| pod(process).is_some_and(|pod| pod.name == "mute");
    assert!(!installed.processes().iter().any(mute), "it opts out");

    // Its limits hold: it was ended by nobody but this test.
    let pods = installed.cluster.get(&["pods", "-n", "tracer"]);
    assert_eq!(pods["items"][0]["status"]["containerStatuses"][0]["restartCount"], 0);
}

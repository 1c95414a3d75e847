//! Python in containers: with process ids, mounts and network of its own.

use std::{collections::BTreeMap, fs, fs::File, io::BufReader, path::Path, thread, time::Duration};

use tests::{
    container::{Containerd, IMAGE, Image},
    lab::{LIMIT, Lab},
    recording::Recording,
    running::Running,
};
use tracer::{
    capture::Capture,
    event::Body,
    report::types::{Process, Report},
};

/// What each of them does.
const REQUESTS: &str = "5";
const COLLECTIONS: &str = "7";
const ALL: usize = 7;

/// More than it takes from the start of a program until it is attached, on a busy machine.
const TO_ATTACH: Duration = Duration::from_secs(2);

fn wait_for_start(running: &mut Running) {
    running.wait_for_stderr("started", LIMIT);
}

/// How many collections there were, when it has ended.
fn truth(running: Running) -> usize {
    let finished = running.finish(LIMIT).expect_code(0);
    finished.stdout.trim().parse().expect("it prints a number")
}

/// How often the beginning of a collection was told, by process.
fn collections(capture: &Path) -> BTreeMap<u32, usize> {
    let file = File::open(capture).expect("it was recorded");
    let capture = Capture::read(BufReader::new(file)).expect("it is a capture");
    let mut counts = BTreeMap::new();
    for event in capture.events.iter().filter(|event| event.body == Body::GcStart) {
        *counts.entry(event.tgid).or_default() += 1;
    }
    counts
}

/// The processes of a container.
fn of<'report>(report: &'report Report, id: &str) -> Vec<&'report Process> {
    report.processes.iter().filter(|process| process.container_id.as_deref() == Some(id)).collect()
}

#[test]
fn containers_of_one_image_are_all_attached_and_nothing_is_told_twice() {
    let lab = Lab::start();
    let image = Image::make(&lab);
    let names = ["before-0", "before-1", "before-2", "deleted", "replaced", "after-0", "after-1", "later"];
    let containers = names.map(|name| image.container(name, &[REQUESTS, COLLECTIONS, "/go"]));
    let mut started: Vec<_> = containers[..5].iter().map(|container| container.start()).collect();
    started.iter_mut().for_each(wait_for_start);
    containers[3].change("rm $root/usr/bin/python3.*");
    containers[4].change("cd $root/usr/bin; python=$(echo python3.*); cp $python new; mv new $python");

    let mut recording = Recording::start(&lab, "host", [] as [&str; 0]);
    recording.wait_ready();
    let mut after: Vec<_> = containers[5..].iter().map(|container| container.start()).collect();
    after.iter_mut().for_each(wait_for_start);
    let mut exec = containers[7].exec(&["/contained.py", "0", COLLECTIONS, "/go"]);
    wait_for_start(&mut exec);
    thread::sleep(TO_ATTACH);
    for container in &containers {
        container.change("touch $root/go");
    }
    let truths: Vec<usize> = started.into_iter().chain(after).map(truth).collect();
    let exec = truth(exec);
    let capture = recording.capture().to_owned();
    let report = recording.interrupt();
    let collections = collections(&capture);
    for ((container, name), truth) in containers.iter().zip(names).zip(truths) {
        let processes = of(&report, &container.id);
        let n_processes = if name == "later" { 2 } else { 1 };
        assert_eq!(processes.len(), n_processes, "{name}: {:?}", report.processes);
        for process in &processes {
            assert_eq!(process.exe.rsplit('/').next().map(|exe| exe.starts_with("python3.")), Some(true));
            // Those while it started were before the tracer, or while it was attached.
            let all = if name.starts_with("after") || name == "later" { truth.max(exec) } else { ALL };
            let told = collections.get(&process.pid).copied().unwrap_or_default();
            assert!((ALL..=all).contains(&told), "{name}: {told} collections of {all}");
        }
        let served = report.requests.iter().filter(|request| {
            processes.iter().any(|process| process.pid == request.pid)
                && request.path.as_deref().is_some_and(|path| path.starts_with("/work/"))
        });
        assert_eq!(served.count(), 5, "{name}: its requests");
    }
    assert_eq!(report.capture.lost_events, BTreeMap::new());
}

#[test]
fn a_container_that_lives_for_200_ms_is_known() {
    let lab = Lab::start();
    let image = Image::make(&lab);
    let mut recording = Recording::start(&lab, "host", [] as [&str; 0]);
    recording.wait_ready();
    // Each lives as long as starting Python and ten requests take.
    let containers = ["one", "two", "three"].map(|name| image.container(name, &["10", COLLECTIONS]));
    let truths = containers.each_ref().map(|container| truth(container.start()));
    let capture = recording.capture().to_owned();
    let report = recording.interrupt();
    let collections = collections(&capture);
    for (container, truth) in containers.iter().zip(truths) {
        let [process] = of(&report, &container.id)[..] else { panic!("{:?}", report.processes) };
        let told = collections.get(&process.pid).copied().unwrap_or_default();
        assert!((ALL..=truth).contains(&told), "{told} collections of {truth}");
        let served = report.requests.iter().filter(|request| {
            request.pid == process.pid
                && request.path.as_deref().is_some_and(|path| path.starts_with("/work/"))
        });
        assert_eq!(served.count(), 10, "its requests");
    }
}

/// With containerd, which has a process of its own look after each container, and notes what Kubernetes calls it.
#[test]
fn containers_of_containerd_have_their_image_and_pod() {
    let lab = Lab::start();
    let image = Image::make(&lab);
    let containerd = Containerd::start(&lab, &image);
    let mut started = ["one", "two", "three"].map(|name| containerd.run(&lab, name));
    started.iter_mut().for_each(wait_for_start);
    let mut recording = Recording::start(&lab, "host", [] as [&str; 0]);
    recording.wait_ready();
    let mut after = containerd.run(&lab, "four");
    wait_for_start(&mut after);
    thread::sleep(TO_ATTACH);
    fs::write(lab.dir().join("shared/go"), "").expect("write it");
    let mut truths = started.into_iter().chain([after]).map(truth).collect::<Vec<_>>();
    truths[..3].fill(ALL);
    let capture = recording.capture().to_owned();
    let report = recording.interrupt();
    let collections = collections(&capture);
    for (name, truth) in ["one", "two", "three", "four"].into_iter().zip(truths) {
        let id = format!("tracer-test-{}-{name}", std::process::id());
        let [process] = of(&report, &id)[..] else { panic!("{name}: {:?}", report.processes) };
        assert_eq!(process.image.as_deref(), Some(IMAGE));
        let pod = process.pod.as_ref().expect("it was noted");
        assert_eq!((&*pod.namespace, &*pod.name, &*pod.container), ("llm", name, "app"));
        let told = collections.get(&process.pid).copied().unwrap_or_default();
        assert!((ALL..=truth).contains(&told), "{name}: {told} collections of {truth}");
    }
}

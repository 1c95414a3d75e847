//! The daemon, when the disk of its history fails it.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use tests::{
    history::History,
    lab::{LIMIT, Lab},
    python::Python,
    serving::Serving,
};

use crate::{application::chat, serve::selected_server};

const SECOND: Duration = Duration::from_secs(1);
const LOAD: [&str; 5] = ["--requests", "20", "--concurrency", "10", "/chat/{id}?model=ttft=5-20,gap=1,n=5"];

#[test]
fn a_disk_that_is_full_is_told_and_the_daemon_goes_on() {
    let lab = Lab::start();
    let python = Python::system();
    let history = History::new(&lab, "small/history.db");
    fs::create_dir(lab.dir().join("small")).expect("make a directory");
    let mount = |options: &str, name: &str| {
        let mut mount = lab.command("mount");
        lab.run(mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(lab.dir().join("small")), name);
    };
    mount("size=200k", "mount");
    let command = chat(&python);
    let server = lab.start_command(lab.command(&command[0]).args(&command[1..]), "server");
    let mut serving = Serving::start(&lab, "serve", &history.configuration());
    let load = ["--requests", "100", "--concurrency", "20", "/chat/{id}?model=ttft=5-20,gap=1,n=5"];
    lab.drive(&load);
    serving.wait_for_stderr("can't write the history");
    mount("remount,size=50m", "remount");
    lab.drive(&[&["--prefix", "more"][..], &load].concat());
    serving.wait_for_stderr("is written again");
    thread::sleep(3 * SECOND);
    let report = history.read(&lab, true);
    let kept = report.requests.iter().filter(|request| request.pid == server.pid()).count() as u64;
    let lost = report.capture.lost_events.get("history").copied().unwrap_or_default();
    assert!(lost > 0 && kept >= 1, "{kept} kept, {lost} lost");
    let (finished, _) = serving.end(libc::SIGTERM);
    assert!(finished.stderr.contains("free some space"), "{}", finished.stderr);
    finished.expect_code(0);
}

/// An error of the file system makes it read-only, as does a disk that was mounted so.
#[test]
fn a_file_system_that_is_read_only_is_told_and_the_daemon_goes_on() {
    let lab = Lab::start();
    let (server, selection) = selected_server(&lab, &[]);
    let folder = lab.dir().join("of");
    fs::create_dir(&folder).expect("make a directory");
    let mount = |options: &str, name: &str| {
        let mut mount = lab.command("mount");
        lab.run(mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&folder), name).expect_code(0);
    };
    mount("ro", "mount");
    let history = History::new(&lab, "of/history.db");
    let mut serving = Serving::start(&lab, "serve", &format!("{selection}{}", history.configuration()));
    lab.drive(&LOAD);
    serving.wait_for_stderr("can't write the history");
    let health = || {
        let mut curl = lab.command("curl");
        let answer = lab.run(curl.args(["--silent", "http://127.0.0.1:7070/api/v1/health"]), "health").stdout;
        serde_json::from_str::<serde_json::Value>(&answer).expect("JSON")
    };
    let trouble = health()["history"]["trouble"].as_str().map(str::to_owned);
    assert!(trouble.is_some_and(|trouble| trouble.contains("history.db")), "{}", health());
    let deadline = Instant::now() + LIMIT;
    while health()["lost"]["history"].as_u64() < Some(20) {
        assert!(Instant::now() < deadline, "20 requests are lost: {}", health());
        thread::sleep(SECOND / 4);
    }
    mount("remount,rw", "remount");
    serving.wait_for_stderr("is written again");
    lab.drive(&[&["--prefix", "more"][..], &LOAD].concat());
    thread::sleep(3 * SECOND);
    let report = history.read(&lab, true);
    assert_eq!(report.requests.iter().filter(|request| request.pid == server.pid()).count(), 20);
    assert_eq!(report.capture.lost_events.get("history"), Some(&20));
    assert!(health()["history"]["trouble"].is_null(), "{}", health());
    serving.end(libc::SIGTERM).0.expect_code(0);
}

#[test]
fn a_history_that_is_damaged_is_kept_aside_and_a_new_one_begun() {
    let lab = Lab::start();
    let (server, selection) = selected_server(&lab, &[]);
    let history = History::new(&lab, "of/history.db");
    let configuration = format!("{selection}{}", history.configuration());
    let serve = |name: &str, says: Option<&str>| {
        let mut serving = Serving::start(&lab, name, &configuration);
        lab.drive(&[&["--prefix", name][..], &LOAD].concat());
        says.into_iter().for_each(|says| serving.wait_for_stderr(says));
        history.wait_for(&lab, &server, 20);
        serving.end(libc::SIGTERM).0.expect_code(0);
    };
    serve("whole", None);
    let whole = fs::read(history.path()).expect("read it");
    let damages = [whole[..whole.len() / 2].to_vec(), b"no database ".repeat(10_000)];
    for (damage, number) in damages.iter().zip(1..) {
        fs::write(history.path(), damage).expect("write it");
        let aside = format!("{}.{number}.damaged", history.path().display());
        serve(&format!("damaged-{number}"), Some(&format!("moved to {aside}")));
        let kept = fs::read(&aside).expect("it is kept");
        assert!(kept.starts_with(&damage[..100]) && kept.len() >= damage.len(), "{} bytes", kept.len());
        let report = history.of(&lab, &server);
        assert_eq!((report.requests.len(), report.capture.lost_events.get("history")), (20, None));
    }
}

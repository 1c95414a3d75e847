//! `tracer top` in a real terminal, with a real daemon and the truth of what it serves.

use std::fs;

use tests::{lab::Lab, recording::program, serving::Serving, terminal::Terminal};
use tracer::report::bucket::Bucket;

/// Around what a terminal shows at once (synchronized output), and what clears it.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";
const CLEAR: &str = "\x1b[2J";

const CHAT: &str = "GET /chat/{id}";

fn top(lab: &Lab, options: &[&str], columns: u16, rows: u16) -> Terminal {
    let mut command = lab.command(program());
    command.arg("top").args(options).env("TERM", "xterm-256color").env_remove("NO_COLOR");
    Terminal::start(command, columns, rows)
}

#[test]
fn top_shows_what_is_served_from_the_routes_down_to_one_request() {
    let lab = Lab::start();
    let (_server, selection) = crate::serve::selected_server(&lab, &[]);
    let mut top = top(&lab, &[], 120, 30);
    top.wait_for("no daemon answers at 127.0.0.1:7070: Connection refused");
    assert!(top.is_changed());
    let history = format!("{selection}history.path = '{}'\n", lab.dir().join("of/history.db").display());
    let serving = Serving::start(&lab, "serve", &history);
    top.wait_until("no trouble any more", |screen| !screen.contains("no daemon"));
    lab.drive(&["--requests", "60", "--concurrency", "12", "/chat/{id}?model=ttft=50-150,gap=5-10,n=10"]);

    let of_route = |screen: &str| -> Vec<String> {
        let row = screen.lines().find(|row| row.starts_with(CHAT)).unwrap_or_default();
        row[CHAT.len().min(row.len())..].split_whitespace().map(str::to_owned).collect()
    };
    // Requests a second, requests, errors, percentiles.
    let is_all = |screen: &str| of_route(screen).get(1).is_some_and(|requests| requests == "60");
    let screen = top.wait_until("60 requests", is_all);
    assert_eq!(of_route(&screen).get(2).map(String::as_str), Some("0"), "{screen}");
    assert!(Bucket::ALL.iter().any(|bucket| screen.contains(bucket.name())), "{screen}");
    top.keys("\t");
    let screen = top.wait_for("api.openai.com");
    assert!(screen.lines().any(|row| row.starts_with("openai") && row.contains(" 60 ")), "{screen}");
    top.keys("\x1b[Z");
    top.wait_for(CHAT);
    top.keys("\r");
    let screen = top.wait_for(&format!("of {CHAT}"));
    assert!(screen.contains("requests"), "{screen}");
    top.wait_until("a list of requests", |screen| {
        screen.lines().filter(|row| row.contains(CHAT)).count() > 20
    });
    top.keys("s");
    top.wait_for("s by slowest");
    top.keys("\x1b[B\r");
    let screen = top.wait_for("where it went");
    assert!(screen.contains("api.openai.com") && screen.contains("first byte"), "{screen}");

    top.resize(70, 20);
    let screen = top.wait_until("a narrower page", |screen| {
        screen.contains("where it went") && screen.lines().last().is_some_and(|row| row.starts_with("? help"))
    });
    assert!(screen.lines().all(|row| row.chars().count() <= 70) && screen.lines().count() <= 20, "{screen}");
    top.keys("?");
    top.wait_for("┌ keys");
    top.keys("\x1b");
    top.wait_until("no help", |screen| !screen.contains("┌ keys"));
    top.keys("1");
    top.wait_for(CHAT);
    let n_before = top.bytes().len();
    let load = [
        "--requests",
        "40",
        "--concurrency",
        "4",
        "--prefix",
        "more",
        "/chat/{id}?model=ttft=100,gap=5,n=10",
    ];
    lab.drive(&load);
    top.wait_for("0.0 requests/s");
    let written = String::from_utf8_lossy(&top.bytes().split_off(n_before)).into_owned();
    assert!(written.contains(BEGIN) && !written.contains(CLEAR), "what stays is not drawn again");
    let all = String::from_utf8_lossy(&top.bytes()).into_owned();
    let between = all.split(BEGIN).map(|part| part.split_once(END).map_or("", |(_, after)| after));
    let between: String = between.collect();
    assert!(!between.contains(CLEAR) && !between.contains(CHAT), "changes are whole: {between:?}");

    serving.end(libc::SIGTERM).0.expect_code(0);
    let screen = top.wait_for("no daemon answers");
    assert!(screen.contains(CHAT) && screen.contains("`sudo tracer serve`"), "{screen}");
    top.keys("q");
    assert_eq!(top.finish().code(), Some(0));
    top.wait_until("the screen of before", |screen| screen.trim().is_empty());
    assert!(!top.is_changed());
}

#[test]
fn top_says_what_is_missing_and_leaves_the_terminal_as_it_was_after_a_signal() {
    let lab = Lab::start();
    let serving = Serving::start(&lab, "serve", "history.path = ''\nweb.token = 'hush'\n");
    let without = top(&lab, &[], 80, 24);
    without.wait_for("wants a token");
    drop(without);
    let wrong = top(&lab, &["--token", "hust"], 80, 24);
    wrong.wait_for("takes another token");
    drop(wrong);
    let file = lab.dir().join("token");
    fs::write(&file, "hush\n").expect("write the token");
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let mut top = top(&lab, &["--token-file", file.to_str().expect("text")], 80, 24);
        let screen = top.wait_for("no history is kept");
        assert!(screen.contains("set history.path in /etc/tracer/tracer.toml"), "{screen}");
        top.keys("5");
        top.wait_for("Python processes");
        assert!(top.is_changed());
        top.signal(signal);
        assert_eq!(top.finish().code(), Some(0));
        top.wait_until("the screen of before", |screen| screen.trim().is_empty());
        assert!(!top.is_changed());
    }
    serving.end(libc::SIGTERM).0.expect_code(0);
}

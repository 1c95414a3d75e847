//! The daemon's page in a browser, while requests come in.

use std::{env, path::Path, thread, time::Duration};

use tests::{
    lab::{LIMIT, Lab},
    python::Python,
    serving::Serving,
};

use crate::application::chat;

/// It shows what finishes as it finishes, from the probes to the screen.
#[test]
fn the_page_follows_what_happens() {
    let lab = Lab::start();
    let name = format!("lab:{}", std::process::id());
    let command = chat(&Python::system());
    let mut server = lab.command(&command[0]);
    let _server = lab.start_command(server.args(&command[1..]).args(["--header", &name]), "server");
    let history = lab.dir().join("history.db");
    let configuration =
        format!("history.path = '{}'\nselect.command_lines = ['*{name}']\n", history.display());
    let serving = Serving::start(&lab, "serve", &configuration);
    let load = |prefix: &str| {
        let route = "/chat/{id}?model=ttft=50-150,gap=5-10,n=10";
        lab.drive(&["--requests", "20", "--concurrency", "10", "--prefix", prefix, route]);
    };
    load("before");
    let mut browser = lab.command("npm");
    browser
        .args(["run", "--silent", "test", "--prefix"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../web"))
        .env(
            "PATH",
            env::var_os("TRACER_TEST_NODE").unwrap_or_else(|| env::var_os("PATH").unwrap_or_default()),
        )
        .env("TRACER_TEST_OUTPUT", lab.dir().join("browser"))
        .env("TRACER_TEST_LIVE", "http://127.0.0.1:7070");
    let mut browser = lab.start_command(&mut browser, "browser");
    browser.wait_for_stderr("the page is open", LIMIT);
    thread::sleep(Duration::from_secs(1));
    load("after");
    browser.finish(LIMIT).expect_code(0);
    serving.end(libc::SIGTERM).0.expect_code(0);
}

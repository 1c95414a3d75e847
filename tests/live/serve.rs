//! The daemon, held against the truth of the applications that it traces.

use std::time::Duration;

use tests::{
    lab::{LIMIT, Lab},
    python::Python,
    serving::Serving,
};

use crate::application::chat;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn it_tells_the_service_manager_and_ends_within_a_second() {
    let lab = Lab::start();
    let python = Python::system();
    let command = chat(&python);
    let server = lab.start_command(lab.command(&command[0]).args(&command[1..]), "server");
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let serving = Serving::start(&lab, &format!("serve-{signal}"), "");
        lab.drive(&["--requests", "20", "--concurrency", "10", "/chat/{id}?model=ttft=5-20,gap=1,n=5"]);
        assert_eq!([serving.told(), serving.told()], ["WATCHDOG=1", "WATCHDOG=1"]);
        let (finished, took) = serving.end(signal);
        assert!(took < SECOND, "it took {took:?} to end:\n{}", finished.stderr);
        finished.expect_code(0);
    }
    // The application goes on.
    lab.drive(&["--requests", "5", "/chat/{id}?model=ttft=5-20,gap=1,n=5"]);
    server.signal(libc::SIGTERM);
    server.finish(LIMIT);
}

//! What is traced meanwhile: a server that passes on what a vendor sends.

use tests::{
    lab::{Lab, PORT},
    python::Python,
    running::Running,
};

/// Half a second each, and a little more on a busy machine.
const ROUTE: &str = "/relay/{id}?model=ttft=100,gap=20,n=20";
const REQUEST_SECONDS: f64 = 0.6;

/// What the command line of the server has, and no other's.
pub fn marker() -> String {
    format!("lab:{}", std::process::id())
}

pub fn serve(lab: &Lab, workers: u32) -> Running {
    let mut server = lab.command(Python::system().program("python"));
    server.env_remove("TRUTH_FILE").args(["-m", "uvicorn", "relay:app", "--port", PORT, "--no-access-log"]);
    server.args(["--workers", &workers.to_string(), "--header", &marker()]);
    lab.start_command(&mut server, "server")
}

pub fn drive(lab: &Lab, requests: u32, rate: u32, prefix: &str) {
    let concurrency = (f64::from(rate) * REQUEST_SECONDS).ceil() + 10.0;
    let options = [
        ("--requests", requests.to_string()),
        ("--rate", rate.to_string()),
        ("--concurrency", concurrency.to_string()),
        ("--prefix", prefix.to_owned()),
    ];
    let options: Vec<&str> = options.iter().flat_map(|(name, value)| [*name, value]).chain([ROUTE]).collect();
    lab.drive(&options);
}

//! The built `tracer`, run as a user would.

use std::{
    env,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

/// Path of the `tracer` of this build; built first, for cargo does not build the binaries of other packages
/// for a test.
pub fn path() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let test = env::current_exe().expect("a running test has a path");
        let profile = test.ancestors().nth(2).expect("tests are in TARGET/PROFILE/deps").to_owned();
        let target = profile.parent().expect("profiles are in TARGET");
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "--quiet", "--package", "tracer", "--bin", "tracer", "--target-dir"])
            .arg(target);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("run cargo").success(), "building tracer failed");
        profile.join("tracer")
    })
}

/// Runs `tracer` without a terminal, 100 columns wide.
pub fn run(arguments: &[&str]) -> Output {
    command(arguments).output().expect("run tracer")
}

/// `tracer`, ready to run without a terminal.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(path());
    command.args(arguments).env("COLUMNS", "100").stdin(Stdio::null());
    command
}

/// What it wrote to standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What it wrote to standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

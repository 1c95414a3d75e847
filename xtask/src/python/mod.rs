//! The Pythons that the tests and measurements run on: the system's, pyenv's, Debian sid's, and some that are built
//! from source.

mod archive;
mod conda;
pub mod debian;
mod debian_11;
mod musl;
pub mod package;
mod programs;
mod pyenv;
mod source;

pub use archive::Archive;
pub use debian_11::debian_11;

use std::path::{Path, PathBuf};

use anyhow::Result;

pub use programs::{Programs, programs};

use crate::{
    need,
    workspace::{command, output, say},
};

/// A Python of this machine.
#[derive(Debug)]
pub struct Interpreter {
    pub program: PathBuf,
    /// The root folder that it runs in, where that is one of its own.
    pub root: Option<PathBuf>,
    /// Beside `tests/apps`.
    pub requirements: &'static str,
    /// Of the name of its environment, after the version.
    pub suffix: &'static str,
}

impl Interpreter {
    fn new(program: PathBuf) -> Interpreter {
        Interpreter { program, root: None, requirements: "requirements.txt", suffix: "" }
    }
}

/// The system's.
pub fn system(task: &str) -> Result<Interpreter> {
    let python = Path::new("/usr/bin/python3");
    // Debian has pip's seed in a package of its own.
    if output(command(python).args(["-c", "import ensurepip, venv"])).is_err() {
        need::packages(task, "Python with virtual environments", &["python3", "python3-venv"])?;
    }
    Ok(Interpreter::new(python.to_path_buf()))
}

/// pyenv's versions that the live tests run on, and those that are measured.
pub const TEST_VERSIONS: [&str; 2] = ["3.12", "3.13"];
pub const BENCH_VERSIONS: [&str; 5] = ["3.8", "3.9", "3.10", "3.12", "3.13"];

/// The system's, and pyenv's of these versions.
pub fn common(task: &str, pyenv_versions: &[&str]) -> Result<Vec<Interpreter>> {
    let mut pythons = vec![system(task)?];
    pythons.extend(pyenv::installed(pyenv_versions).into_iter().map(Interpreter::new));
    Ok(pythons)
}

/// Those that the clients of vendors run on: the system's, an old one and the newest.
pub fn sdks(task: &str) -> Result<Vec<Interpreter>> {
    let with_sdks = |python| Interpreter { requirements: "requirements-sdks.txt", suffix: "-sdks", ..python };
    Ok(common(task, &["3.9", "3.13"])?.into_iter().map(with_sdks).collect())
}

/// The system's, for the tools that exports are opened in.
pub fn tools(task: &str) -> Result<Interpreter> {
    Ok(Interpreter { requirements: "requirements-tools.txt", suffix: "-tools", ..system(task)? })
}

/// The system's, for the tool that knows the schemas of Kubernetes.
pub fn kubernetes(task: &str) -> Result<Interpreter> {
    let requirements = "requirements-kubernetes.txt";
    Ok(Interpreter { requirements, suffix: "-kubernetes", ..system(task)? })
}

/// The system's, for the profilers that this one is compared with.
pub fn profilers(task: &str) -> Result<Interpreter> {
    let requirements = "requirements-profilers.txt";
    Ok(Interpreter { requirements, suffix: "-profilers", ..system(task)? })
}

/// The system's, for what receives OTLP.
pub fn otlp(task: &str) -> Result<Interpreter> {
    Ok(Interpreter { requirements: "requirements-otlp.txt", suffix: "-otlp", ..system(task)? })
}

/// The system's, for what keeps spans of calls to models.
pub fn phoenix(task: &str) -> Result<Interpreter> {
    Ok(Interpreter { requirements: "requirements-phoenix.txt", suffix: "-phoenix", ..system(task)? })
}

/// The system's, for a model server.
pub fn model(task: &str) -> Result<Interpreter> {
    Ok(Interpreter { requirements: "requirements-model.txt", suffix: "-model", ..system(task)? })
}

/// Builds that most hosts have none of; on other distributions than Debian and Ubuntu there are none. Needs root.
pub fn builds(task: &str) -> Result<Vec<Interpreter>> {
    if !need::is_debian() {
        say(task, "skipped Debian sid's Pythons and those built from source: this is not Debian or Ubuntu");
        return Ok(Vec::new());
    }
    let mut pythons = debian::sid(task)?;
    pythons.extend(source::built(task)?);
    Ok(pythons)
}

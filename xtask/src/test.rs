//! Runs the tests, part by part.

use std::{
    ffi::OsString,
    path::PathBuf,
    thread::{self, JoinHandle},
};

use anyhow::{Result, anyhow, bail};
use clap::ValueEnum;

use crate::{
    build::{build, lint_probes},
    fuzz::fuzz,
    k8s, kernels, manifests, model_server, need, python, receivers, tools, venv, web,
    workspace::{cargo, run, say},
};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Source is formatted
    Format,
    /// clippy finds nothing
    Lint,
    /// Tests that need no root: unit tests, replay of captures, the command line
    Unit,
    /// Exports, opened in the tools they are for
    Tools,
    /// The web page, built from its sources and used in a browser
    Web,
    /// What is shipped for Kubernetes, against its schemas
    Manifests,
    /// Every decoder on bytes that nobody meant, for a short time
    Fuzz,
    /// Real applications under real probes; as root
    Live,
    /// The same on the kernels that the tracer is for, old and new, in emulated machines
    Kernels,
    /// A real cluster of one node; as root, and only where it is named: building Kubernetes takes four minutes at first
    K8s,
    /// What is sent by OTLP, at receivers of others; as root, and only where it is named: they are downloads of 400 MB
    Receivers,
    /// Calls to a real model server, llama.cpp's; as root, and only where it is named: a download of 60 MB
    ModelServer,
}

/// For each target, in all tests.
const FUZZ_SECONDS: u32 = 10;

/// Those that run only where they are named.
const NAMED: [Part; 3] = [Part::K8s, Part::Receivers, Part::ModelServer];

/// Runs the given parts, or all but those that are to be named. Stops at the first that fails.
pub fn test(parts: &[Part]) -> Result<()> {
    let wanted = |part| parts.is_empty() && !NAMED.contains(&part) || parts.contains(&part);
    if wanted(Part::Format) {
        say("test", "format");
        run(cargo().args(["fmt", "--all", "--check"]))?;
    }
    if wanted(Part::Lint) {
        say("test", "lint");
        let everything = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--features",
            "tests/live,tests/tools,tests/manifests,tests/k8s,tests/kernels",
            "--quiet",
        ];
        run(cargo().args(everything).args(["--", "-D", "warnings"]))?;
        say("test", "lint of the probes");
        lint_probes()?;
    }
    // Beside the parts that come first: much of it is downloads, and scripts that use one CPU.
    let pythons = (wanted(Part::Live) && need::is_root()).then(|| thread::spawn(Pythons::prepare));
    if wanted(Part::Unit) {
        say("test", "unit, replay and command line tests");
        run(cargo().args(["test", "--workspace", "--exclude", "fuzz", "--quiet"]))?;
    }
    if wanted(Part::Tools) {
        tools::test()?;
    }
    if wanted(Part::Web) {
        web::test(false)?;
    }
    if wanted(Part::Manifests) {
        manifests::test()?;
    }
    if wanted(Part::Fuzz) {
        fuzz(None, FUZZ_SECONDS)?;
    }
    if wanted(Part::Live) {
        let Some(pythons) = pythons else {
            bail!(
                "not run: the live tests (they load probes into the kernel) and the build they need; everything \
                 else that was asked for passed. Run them by `sudo -E env PATH=\"$PATH\" cargo xtask test live`"
            );
        };
        live(pythons)?;
    }
    if wanted(Part::Kernels) {
        kernels::test()?;
    }
    if wanted(Part::K8s) {
        k8s::test()?;
    }
    if wanted(Part::Receivers) {
        receivers::test()?;
    }
    if wanted(Part::ModelServer) {
        model_server::test()?;
    }
    Ok(())
}

/// Writes the expected outputs anew.
pub fn golden() -> Result<()> {
    say("golden", "writing the expected outputs anew");
    run(cargo().args(["test", "--package", "tests", "--quiet"]).env("UPDATE_GOLDEN", "1"))
}

/// Records the named captures of the replay tests anew, or all.
pub fn capture(names: &[String]) -> Result<()> {
    if !need::is_root() {
        bail!("recording loads probes into the kernel: run `sudo -E env PATH=\"$PATH\" cargo xtask capture`");
    }
    let tracer = build()?;
    let venv = venv::venv("capture", &python::system("capture")?)?;
    say("capture", "recording; each capture is kept when its report agrees with the truth");
    run(cargo()
        .args(["run", "--quiet", "--package", "tests", "--features", "live", "--example", "capture", "--"])
        .args(names)
        .env("TRACER", tracer)
        .env("TRACER_TEST_VENVS", venv)
        .env("PYTHONDONTWRITEBYTECODE", "1"))?;
    say("capture", "now `cargo xtask golden` writes their reports anew");
    Ok(())
}

/// What the live tests need beside the tracer.
struct Pythons {
    venvs: OsString,
    builds: OsString,
    sdks: OsString,
    programs: python::Programs,
    /// What receives OTLP.
    otlp: PathBuf,
    debian_11: Option<PathBuf>,
}

impl Pythons {
    fn prepare() -> Result<Pythons> {
        Ok(Pythons {
            venvs: venv::venvs("test", &python::common("test", &python::TEST_VERSIONS)?)?,
            builds: venv::venvs("test", &python::builds("test")?)?,
            sdks: venv::venvs("test", &python::sdks("test")?)?,
            programs: python::programs("test")?,
            otlp: venv::venv("test", &python::otlp("test")?)?,
            debian_11: python::debian_11("test"),
        })
    }
}

/// What the live tests start: a program, what that is, and the package of Debian that has it.
const PROGRAMS: [(&str, &str, &str); 5] = [
    ("promtool", "Prometheus", "prometheus"),
    ("buildah", "buildah", "buildah"),
    ("bpftrace", "bpftrace", "bpftrace"),
    ("runc", "runc", "runc"),
    ("containerd", "containerd", "containerd"),
];

fn live(pythons: JoinHandle<Result<Pythons>>) -> Result<()> {
    let tracer = build()?;
    for (program, what, package) in PROGRAMS {
        if !need::is_there(program) {
            need::packages("test", what, &[package])?;
        }
    }
    let node = web::prepare("test")?;
    let Pythons { venvs, builds, sdks, programs, otlp, debian_11 } =
        pythons.join().map_err(|_| anyhow!("a thread panicked"))??;
    say("test", "live tests");
    run(cargo()
        .args(["test", "--package", "tests", "--features", "live", "--test", "live"])
        // One at a time: they measure time.
        .args(["--", "--test-threads=1", "--nocapture"])
        .env("TRACER", tracer)
        .env("TRACER_TEST_NODE", node)
        .env("TRACER_TEST_VENVS", venvs)
        .env("TRACER_TEST_BUILDS", builds)
        .env("TRACER_TEST_SDKS", sdks)
        .env("TRACER_TEST_PROGRAM", programs.pyinstaller)
        .env("TRACER_TEST_NUITKA", programs.nuitka)
        .env("TRACER_TEST_CONDA", programs.conda.unwrap_or_default())
        .env("TRACER_TEST_OTLP", otlp)
        .env("TRACER_TEST_DEBIAN_11", debian_11.unwrap_or_default())
        .env("PYTHONDONTWRITEBYTECODE", "1"))
}

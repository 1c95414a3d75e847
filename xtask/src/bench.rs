//! Measures what reports are worth, and what tracing costs.

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::{
    build::build,
    need, python, venv,
    workspace::{cargo, run, say},
};

#[derive(Subcommand)]
pub enum Bench {
    /// How exact reports are: servers, styles of concurrency and Pythons against the truth; as root
    Truth {
        /// What to measure; `-- --help` lists the choices
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// What tracing costs the traced process, by application and by probe; as root
    Cost {
        /// What to measure; `-- --help` lists the choices
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// What the daemon takes, by thread, at several rates of requests; as root
    Daemon {
        /// What to measure; `-- --help` lists the choices
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// What a streamed call costs the application under tracers that are put into it, and under this one; as root
    Tracers {
        /// What to measure; `-- --help` lists the choices
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// What profilers of the field cost, and how exact the shares are that they tell of functions; as root
    Profilers {
        /// What to measure; `-- --help` lists the choices
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

pub fn bench(bench: &Bench) -> Result<()> {
    if !need::is_root() {
        bail!("measuring loads probes into the kernel: run `sudo -E env PATH=\"$PATH\" cargo xtask bench`");
    }
    let (example, arguments) = match bench {
        Bench::Truth { arguments } => ("bench-truth", arguments),
        Bench::Cost { arguments } => ("bench-cost", arguments),
        Bench::Daemon { arguments } => ("bench-daemon", arguments),
        Bench::Tracers { arguments } => ("bench-tracers", arguments),
        Bench::Profilers { arguments } => ("bench-profilers", arguments),
    };
    let tracer = build()?;
    let venvs = venv::venvs("bench", &python::common("bench", &python::BENCH_VERSIONS)?)?;
    // Each takes minutes to install, and is for some of them alone.
    let (builds, sdks, profilers) = match bench {
        Bench::Tracers { .. } => (Vec::new(), python::sdks("bench")?, Vec::new()),
        Bench::Truth { .. } | Bench::Cost { .. } => (python::builds("bench")?, Vec::new(), Vec::new()),
        Bench::Daemon { .. } => (Vec::new(), Vec::new(), Vec::new()),
        Bench::Profilers { .. } => {
            if !need::is_there("bpftrace") {
                need::packages("bench", "bpftrace", &["bpftrace"])?;
            }
            (Vec::new(), Vec::new(), vec![python::profilers("bench")?])
        }
    };
    let [builds, sdks, profilers] = [builds, sdks, profilers].map(|pythons| venv::venvs("bench", &pythons));
    say("bench", "measuring; the whole takes minutes (cost) or hours (truth)");
    run(cargo()
        .args(["run", "--quiet", "--package", "tests", "--features", "live", "--example", example, "--"])
        .args(arguments)
        .env("TRACER", tracer)
        .env("TRACER_TEST_VENVS", venvs)
        .env("TRACER_TEST_BUILDS", builds?)
        .env("TRACER_TEST_SDKS", sdks?)
        .env("TRACER_TEST_PROFILERS", profilers?)
        .env("PYTHONDONTWRITEBYTECODE", "1"))
}

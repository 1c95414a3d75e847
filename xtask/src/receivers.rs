//! Runs the tests that send to receivers of others, and installs those.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::{
    build::build,
    need, python,
    python::package::Package,
    venv,
    workspace::{cargo, command, output, run, say, target},
};

/// VictoriaMetrics of Debian 13; what Debian 12 has takes no OTLP.
const VICTORIA_METRICS: Package = Package {
    path: "pool/main/v/victoriametrics/victoria-metrics_1.112.0+ds1-2_amd64.deb",
    sha256: "1d3717f1a8ab5bf690271095dd286730f6fb0761cc8c09c0fc8f529c9838f346",
};

/// Runs the tests. Needs root.
pub fn test() -> Result<()> {
    if !need::is_root() {
        bail!(
            "the receivers get what real probes see: run `sudo -E env PATH=\"$PATH\" cargo xtask test receivers`"
        );
    }
    let tracer = build()?;
    let otlp = venv::venv("test", &python::otlp("test")?)?;
    let phoenix = venv::venv("test", &python::phoenix("test")?)?;
    can_start_rotel()?;
    let receivers = victoria_metrics()?;
    say("test", "receivers of others");
    run(cargo()
        .args(["test", "--package", "tests", "--features", "live", "--test", "live"])
        .args(["--", "--test-threads=1", "--nocapture", "--ignored", "receivers::"])
        .env("TRACER", tracer)
        .env("TRACER_TEST_VENVS", venv::venv("test", &python::system("test")?)?)
        .env("TRACER_TEST_OTLP", otlp)
        .env("TRACER_TEST_PHOENIX", phoenix)
        .env("TRACER_TEST_RECEIVERS", receivers)
        .env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// rotel runs Python within itself, by the library of the version that it was installed for.
fn can_start_rotel() -> Result<()> {
    let ask =
        "import sysconfig; print(sysconfig.get_config_var('INSTSONAME'), sysconfig.get_python_version())";
    let answer = output(command("/usr/bin/python3").args(["-c", ask]))?;
    let (library, version) = answer.trim().split_once(' ').context("Python does not say which it is")?;
    if !output(command("ldconfig").arg("--print-cache"))?.contains(library) {
        need::packages("test", "Python's library", &[&format!("libpython{version}")])?;
    }
    Ok(())
}

/// The folder that it is unpacked in.
fn victoria_metrics() -> Result<PathBuf> {
    let folder = target().join("receivers").join(&VICTORIA_METRICS.sha256[..16]);
    if !folder.join("usr/bin/victoria-metrics").exists() {
        say("test", "fetching VictoriaMetrics (41 MB)");
        VICTORIA_METRICS.unpack("test", &folder)?;
    }
    Ok(folder)
}

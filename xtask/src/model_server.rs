//! Runs the test against a real model server, and installs that.

use anyhow::{Result, bail};

use crate::{
    build::build,
    need, python, venv,
    workspace::{cargo, run, say},
};

/// Runs the test. Needs root.
pub fn test() -> Result<()> {
    if !need::is_root() {
        bail!(
            "its clients are traced by real probes: run `sudo -E env PATH=\"$PATH\" cargo xtask test model-server`"
        );
    }
    let tracer = build()?;
    let model = venv::venv("test", &python::model("test")?)?;
    let venvs = venv::venvs("test", &python::common("test", &python::TEST_VERSIONS)?)?;
    say("test", "a model server");
    run(cargo()
        .args(["test", "--package", "tests", "--features", "live", "--test", "live"])
        .args(["--", "--test-threads=1", "--nocapture", "--ignored", "model_server::"])
        .env("TRACER", tracer)
        .env("TRACER_TEST_VENVS", venvs)
        .env("TRACER_TEST_MODEL", model)
        .env("PYTHONDONTWRITEBYTECODE", "1"))
}

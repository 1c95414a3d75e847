//! Shows the main job: an LLM application under `tracer record`, and the report.

use anyhow::{Result, bail};

use crate::{
    build::build,
    need, python, venv,
    workspace::{command, root, run, say, target},
};

pub fn demo() -> Result<()> {
    if !need::is_root() {
        bail!("the demo loads probes into the kernel: run `sudo -E env PATH=\"$PATH\" cargo xtask demo`");
    }
    let tracer = build()?;
    let venv = venv::venv("demo", &python::system("demo")?)?;
    say("demo", "FastAPI on uvicorn, the openai SDK and a vendor on loopback; the report comes in some 20 s");
    let lab = root().join("tests/lab");
    run(command(venv.join("bin/python"))
        .arg(lab.join("lab.py"))
        .arg(target().join("demo"))
        .arg(lab.join("demo.sh"))
        .arg(tracer)
        .arg(venv.join("bin"))
        .env("PYTHONDONTWRITEBYTECODE", "1"))
}

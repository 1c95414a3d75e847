//! Which container a process runs in, and what the runtime that started it says of that, without asking any service.

mod annotations;
mod bundle;
mod cgroup;

use std::fs;

use crate::event::Container;

/// The id of the container that a process runs in, by its control groups: of Docker, containerd, CRI-O and Podman alike. Where
/// those have no such id, the name that it was given, if a bundle of that name was found.
pub fn id(tgid: u32) -> Option<String> {
    let cgroup = fs::read_to_string(format!("/proc/{tgid}/cgroup")).ok()?;
    if let Some(id) = cgroup::id(&cgroup) {
        return Some(id.to_owned());
    }
    // Only runtimes give a process numbers of its own, and most processes are in no container.
    if !has_own_pids(tgid) {
        return None;
    }
    let mut names = cgroup::names(&cgroup).into_iter();
    names.find(|name| bundle::of(tgid, name).is_some()).map(str::to_owned)
}

/// What the runtime left on disk of the container that a process runs in.
pub fn describe(tgid: u32, id: &str) -> Container {
    let found = bundle::of(tgid, id).unwrap_or_default();
    Container { id: id.to_owned(), image: found.image, pod: found.pod }
}

fn has_own_pids(tgid: u32) -> bool {
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/pid")).ok();
    namespace(&tgid.to_string()) != namespace("self")
}

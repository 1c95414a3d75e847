//! The container runtime as a source of pods: what the kubelet told it of each (the Container Runtime Interface, CRI).
//!
//! It knows namespace, name, labels and annotations as they were when a pod began, but no owner.

mod client;
mod messages;
mod read;
#[cfg(test)]
mod server;
mod turns;

use std::{
    env,
    path::{Path, PathBuf},
};

pub use self::turns::ask_in_turns;

/// Where runtimes have their sockets unless they are told otherwise: containerd, CRI-O, k3s, and what stands before Docker.
const PATHS: [&str; 4] = [
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/cri-dockerd.sock",
];

/// The variable that tells `crictl` the socket, as a URL.
const ENDPOINT: &str = "CONTAINER_RUNTIME_ENDPOINT";

/// Which socket is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Socket {
    Never,
    /// The first that there is.
    Found,
    At(PathBuf),
}

impl Socket {
    /// As the configuration names it.
    pub fn of(option: &str) -> Socket {
        match option {
            "" => Socket::Never,
            "auto" => Socket::Found,
            path => Socket::At(without_scheme(path).into()),
        }
    }

    /// Where it is, if it is anywhere.
    fn path(&self) -> Option<PathBuf> {
        match self {
            Socket::Never => None,
            Socket::At(path) => Some(path.clone()),
            Socket::Found => {
                let named = env::var(ENDPOINT).ok().filter(|endpoint| !endpoint.is_empty());
                let found =
                    || PATHS.into_iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned);
                named.map(|endpoint| without_scheme(&endpoint).into()).or_else(found)
            }
        }
    }
}

fn without_scheme(endpoint: &str) -> &str {
    endpoint.strip_prefix("unix://").unwrap_or(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_named_by_its_path_or_as_a_url() {
        let path = Path::new("/run/x.sock");
        for option in ["/run/x.sock", "unix:///run/x.sock"] {
            assert_eq!(Socket::of(option).path().as_deref(), Some(path));
        }
        assert_eq!((Socket::of(""), Socket::of("auto")), (Socket::Never, Socket::Found));
        assert_eq!(Socket::Never.path(), None);
    }
}

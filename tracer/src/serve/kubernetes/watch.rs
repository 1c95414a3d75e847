//! Asks the API server for the pods of this node, and for what changes.

use std::{path::PathBuf, sync::mpsc, time::Duration};

use anyhow::Context as _;
use futures_util::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use tokio::sync::watch;

use super::{Directory, reader::Reader, tell};
use crate::record::pipeline::Input;

/// How long after an access that could not be set up it is tried again.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the API server is reached.
pub enum Access {
    /// As a pod does, with its service account.
    Pod,
    /// As a kubeconfig says.
    File(PathBuf),
}

/// Never ends. `tells` says whether all pods are known now.
pub async fn watch(
    access: &Access,
    reader: &Reader,
    directory: &Directory,
    input: &mpsc::Sender<Input>,
    tells: &watch::Sender<bool>,
) {
    let client = loop {
        match client(access).await {
            Ok(client) => break client,
            Err(error) => eprintln!("tracer: Kubernetes is not asked for the names of pods: {error:#}"),
        }
        tokio::time::sleep(PATIENCE).await;
    };
    let of_node = watcher::Config::default()
        .fields(&format!("spec.nodeName={}", reader.node.as_deref().unwrap_or_default()));
    let changes = watcher::watcher(Api::<Pod>::all(client), of_node).default_backoff();
    pin_mut!(changes);
    let mut is_in_trouble = false;
    while let Some(change) = changes.next().await {
        if let Err(error) = &change {
            if !is_in_trouble {
                eprintln!(
                    "tracer: Kubernetes does not tell of pods: {error}; what was known stays, and new pods have the \
                     names that their runtime gives them, until it does"
                );
            }
        } else if is_in_trouble {
            eprintln!("tracer: Kubernetes tells of pods again");
        }
        is_in_trouble = change.is_err();
        match &change {
            // A list is told of bit by bit; what ended is gone on with by what changed meanwhile.
            Ok(Event::Init | Event::InitApply(_)) => {}
            change => drop(tells.send_replace(change.is_ok())),
        }
        let mut pods = directory.pods();
        match change {
            Ok(Event::Init) => pods.relist(),
            Ok(Event::InitDone) => pods.listed(),
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                for container in reader.containers(&pod) {
                    tell(input, container);
                }
                pods.put(reader.name(&pod), reader.pod(&pod));
            }
            Ok(Event::Delete(pod)) => pods.remove(&reader.name(&pod)),
            Err(_) => {}
        }
    }
}

async fn client(access: &Access) -> anyhow::Result<Client> {
    let config = match access {
        Access::Pod => Config::incluster().context("as a pod")?,
        Access::File(path) => {
            let read = Kubeconfig::read_from(path).with_context(|| format!("by {}", path.display()))?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("by {}", path.display()))?
        }
    };
    Client::try_from(config).context("make a client of the API")
}

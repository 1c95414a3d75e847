//! What is known of a container.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A container, as its runtime or Kubernetes knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// As in [`super::ProcessFacts::container_id`].
    pub id: String,
    /// The name of what it was made of.
    pub image: Option<String>,
    pub pod: Option<Pod>,
}

/// A container's place in Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    #[serde(default)]
    pub uid: Option<String>,
    /// The container's name within the pod.
    pub container: String,
    pub node: Option<String>,
    /// What made it; a Deployment rather than its ReplicaSet.
    #[serde(default)]
    pub owner: Option<Owner>,
    /// Those of its labels that the configuration asks for.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// An object of Kubernetes that makes pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Owner {
    pub kind: String,
    pub name: String,
}

impl Container {
    /// Takes in what else became known. Who knows less takes nothing back.
    pub fn learn(&mut self, newer: &Container) {
        if newer.image.is_some() {
            self.image.clone_from(&newer.image);
        }
        let Some(newer) = &newer.pod else { return };
        let pod = self.pod.get_or_insert_with(|| newer.clone());
        let Pod { namespace, name, uid, container, node, owner, labels } = newer.clone();
        let (node, owner, uid) =
            (node.or(pod.node.take()), owner.or(pod.owner.take()), uid.or(pod.uid.take()));
        let labels = if labels.is_empty() { std::mem::take(&mut pod.labels) } else { labels };
        *pod = Pod { namespace, name, uid, container, node, owner, labels };
    }
}

//! Takes from the API's objects what is kept of pods.

use std::collections::BTreeMap;

use anyhow::Context as _;
use globset::{Glob, GlobSet, GlobSetBuilder};
use k8s_openapi::{api::core::v1 as api, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use super::pods::{Name, Pod};
use crate::event::{self, Container, Owner};

/// What an annotation says of a pod that is not to be traced.
const OUT: &str = "false";

/// The label by which a Deployment tells its ReplicaSets apart; it is the end of their names.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// The annotation by which the API server shows a pod that the kubelet has from a file: the uid that the kubelet gave it, and the
/// runtime knows. What stands for it there has another.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Takes what is of interest.
pub struct Reader {
    pub node: Option<String>,
    /// Labels that are told.
    pub keep: GlobSet,
    /// The annotation by which a pod opts out.
    pub annotation: String,
}

impl Reader {
    pub fn name(&self, pod: &api::Pod) -> Name {
        let ObjectMeta { namespace, name, .. } = &pod.metadata;
        (namespace.clone().unwrap_or_default(), name.clone().unwrap_or_default())
    }

    pub fn pod(&self, pod: &api::Pod) -> Pod {
        Pod {
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            uid: uid(&pod.metadata),
            labels: pod.metadata.labels.clone().unwrap_or_default(),
            opts_out: pod.metadata.annotations.as_ref().is_some_and(|annotations| self.opts_out(annotations)),
            containers: statuses(pod).filter_map(id).map(str::to_owned).collect(),
        }
    }

    /// Whether annotations say that their pod is not to be traced.
    pub fn opts_out(&self, annotations: &BTreeMap<String, String>) -> bool {
        annotations.get(&self.annotation).is_some_and(|value| value == OUT)
    }

    /// Those of a pod's labels that are told.
    pub fn kept(&self, labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let kept = labels.iter().filter(|(key, _)| self.keep.is_match(key.as_str()));
        kept.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// What is told of its containers: those that were started.
    pub fn containers(&self, pod: &api::Pod) -> Vec<Container> {
        let (namespace, name) = self.name(pod);
        let of_pod = event::Pod {
            namespace,
            name,
            uid: uid(&pod.metadata),
            container: String::new(),
            node: self.node.clone(),
            owner: owner(&pod.metadata),
            labels: pod.metadata.labels.as_ref().map(|labels| self.kept(labels)).unwrap_or_default(),
        };
        let container = |status: &api::ContainerStatus| {
            Some(Container {
                id: id(status)?.to_owned(),
                image: Some(status.image.clone()).filter(|image| !image.is_empty()),
                pod: Some(event::Pod { container: status.name.clone(), ..of_pod.clone() }),
            })
        };
        statuses(pod).filter_map(container).collect()
    }
}

fn statuses(pod: &api::Pod) -> impl Iterator<Item = &api::ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| {
        let kinds = [
            &status.container_statuses,
            &status.init_container_statuses,
            &status.ephemeral_container_statuses,
        ];
        kinds.into_iter().flatten().flatten()
    })
}

fn uid(metadata: &ObjectMeta) -> Option<String> {
    let of_file = metadata.annotations.as_ref().and_then(|annotations| annotations.get(MIRROR));
    of_file.or(metadata.uid.as_ref()).cloned()
}

/// `containerd://ID`.
fn id(status: &api::ContainerStatus) -> Option<&str> {
    status.container_id.as_deref()?.split_once("://").map(|(_, id)| id)
}

/// Who makes such pods. A ReplicaSet's name is that of its Deployment with the hash of the template.
fn owner(metadata: &ObjectMeta) -> Option<Owner> {
    let owner = metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    let hash = metadata.labels.as_ref().and_then(|labels| labels.get(TEMPLATE_HASH));
    let deployment = hash
        .filter(|_| owner.kind == "ReplicaSet")
        .and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-').map(str::to_owned));
    Some(match deployment {
        Some(name) => Owner { kind: "Deployment".to_owned(), name },
        None => Owner { kind: owner.kind.clone(), name: owner.name.clone() },
    })
}

/// Patterns as the configuration has them.
pub fn globs(patterns: &[String]) -> anyhow::Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).with_context(|| format!("the pattern `{pattern}`"))?);
    }
    Ok(set.build()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reader() -> Reader {
        let keep = globs(&["app.kubernetes.io/*".to_owned(), "app".to_owned()]).expect("patterns");
        Reader { node: Some("n1".to_owned()), keep, annotation: "tracer/trace".to_owned() }
    }

    /// As an API server of Kubernetes 1.20 gives it, shortened.
    fn chat() -> api::Pod {
        serde_json::from_value(json!({
            "metadata": {
                "name": "chat-6d4b75cb6d-x2x7z", "namespace": "llm", "uid": "1b1c5a4e-6a0f-4f67-9c61-8f3f6f6b7a10",
                "labels": {"app": "chat", "pod-template-hash": "6d4b75cb6d", "team": "ml"},
                "annotations": {"tracer/trace": "false"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-6d4b75cb6d",
                    "uid": "0", "controller": true, "blockOwnerDeletion": true}],
            },
            "spec": {"nodeName": "n1", "containers": [{"name": "app", "image": "localhost/chat:1"}]},
            "status": {"phase": "Running",
                "initContainerStatuses": [{"name": "setup", "ready": true, "restartCount": 0, "imageID": "x",
                    "image": "localhost/setup:1", "containerID": "containerd://0e"}],
                "containerStatuses": [
                    {"name": "app", "ready": true, "restartCount": 0, "imageID": "sha256:1",
                        "image": "localhost/chat:1", "containerID": "containerd://0f"},
                    {"name": "waits", "ready": false, "restartCount": 0, "imageID": "", "image": "localhost/x:1"}]},
        }))
        .expect("a pod")
    }

    #[test]
    fn a_pods_containers_have_its_names() {
        let containers = reader().containers(&chat());
        let names = containers.iter().map(|container| {
            let pod = container.pod.as_ref().expect("it has one");
            (container.id.as_str(), container.image.as_deref().unwrap_or_default(), pod.container.as_str())
        });
        let names: Vec<_> = names.collect();
        assert_eq!(names, [("0f", "localhost/chat:1", "app"), ("0e", "localhost/setup:1", "setup")]);
        let pod = containers[0].pod.as_ref().expect("it has one");
        assert_eq!((&*pod.namespace, &*pod.name), ("llm", "chat-6d4b75cb6d-x2x7z"));
        assert_eq!(pod.node.as_deref(), Some("n1"));
        let owner = pod.owner.as_ref().expect("it has one");
        assert_eq!((&*owner.kind, &*owner.name), ("Deployment", "chat"));
        assert_eq!(pod.labels, BTreeMap::from([("app".to_owned(), "chat".to_owned())]));
    }

    #[test]
    fn an_owner_that_is_no_replica_set_has_its_own_name() {
        let mut pod = chat();
        let owners = pod.metadata.owner_references.as_mut().expect("it has one");
        (owners[0].kind, owners[0].name) = ("StatefulSet".to_owned(), "db".to_owned());
        let owner = owner(&pod.metadata).expect("it has one");
        assert_eq!((&*owner.kind, &*owner.name), ("StatefulSet", "db"));
        pod.metadata.owner_references = None;
        assert_eq!(super::owner(&pod.metadata), None);
    }

    #[test]
    fn what_a_pod_says_of_itself_is_kept() {
        let mut chat = chat();
        let pod = reader().pod(&chat);
        assert_eq!((&*pod.namespace, pod.opts_out, pod.labels.len()), ("llm", true, 3));
        assert_eq!(
            (pod.uid, pod.containers),
            (chat.metadata.uid.clone(), vec!["0f".to_owned(), "0e".to_owned()])
        );
        // The kubelet has it from a file.
        let annotations = chat.metadata.annotations.get_or_insert_default();
        annotations.insert(MIRROR.to_owned(), "of the file".to_owned());
        annotations.insert("tracer/trace".to_owned(), "true".to_owned());
        let pod = reader().pod(&chat);
        assert_eq!((pod.uid.as_deref(), pod.opts_out), (Some("of the file"), false));
    }

    #[test]
    fn a_pod_without_anything_is_survived() {
        let pod = api::Pod::default();
        assert_eq!(reader().containers(&pod), []);
        assert_eq!(reader().pod(&pod), Pod::default());
    }
}

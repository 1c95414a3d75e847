//! What is kept of the pods that Kubernetes tells of.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use globset::{Glob, GlobSet, GlobSetBuilder};
use k8s_openapi::{api::core::v1 as api, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use crate::event::{self, Container, Owner};

/// What an annotation says of a pod that is not to be traced.
const OUT: &str = "false";

/// The label by which a Deployment tells its ReplicaSets apart; it is the end of their names.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// A node has 110 pods by default, and rarely more than 500. Beyond, pods are not known.
const MOST: usize = 2_048;

/// A pod as it is judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pod {
    pub namespace: String,
    /// What tells it from an earlier one of the same name.
    pub uid: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub opts_out: bool,
    /// Ids of its containers.
    pub containers: Vec<String>,
}

impl Pod {
    /// Whether it is the one with this uid, if both are known.
    fn is(&self, uid: Option<&str>) -> bool {
        self.uid.as_deref().zip(uid).is_none_or(|(one, other)| one == other)
    }
}

/// Namespace and name.
pub type Name = (String, String);

/// The pods that are known.
#[derive(Debug, Default)]
pub struct Pods {
    by_name: HashMap<Name, Pod>,
    /// While all are listed anew: those that were not listed yet.
    stale: HashMap<Name, Pod>,
    /// Those that run, as the container runtime tells while the API server does not.
    running: HashMap<Name, Pod>,
    /// Whether those that there are will be told of.
    is_awaited: bool,
    version: u64,
}

impl Pods {
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether it is too early to say of a pod that it is not known.
    pub fn is_awaited(&self) -> bool {
        self.is_awaited
    }

    /// Somebody is about to tell of pods.
    pub fn wait(&mut self) {
        self.is_awaited = true;
    }

    /// All that is to be known for now has been told.
    pub fn wait_no_more(&mut self) {
        if std::mem::take(&mut self.is_awaited) {
            self.version += 1;
        }
    }

    /// A pod by its name, and its uid where that is known.
    pub fn named(&self, namespace: &str, name: &str, uid: Option<&str>) -> Option<&Pod> {
        let key = (namespace.to_owned(), name.to_owned());
        self.all().find_map(|pods| pods.get(&key).filter(|pod| pod.is(uid)))
    }

    pub fn of_container(&self, id: &str) -> Option<&Pod> {
        self.all()
            .flat_map(HashMap::values)
            .find(|pod| pod.containers.iter().any(|container| container == id))
    }

    /// Whether the API server has told of a container.
    pub fn has_container(&self, id: &str) -> bool {
        let mut told = self.by_name.values().chain(self.stale.values());
        told.any(|pod| pod.containers.iter().any(|container| container == id))
    }

    /// What the API server told comes first: the runtime has labels and annotations as they once were.
    fn all(&self) -> impl Iterator<Item = &HashMap<Name, Pod>> {
        [&self.by_name, &self.stale, &self.running].into_iter()
    }

    /// These run, and no others.
    pub fn run(&mut self, running: HashMap<Name, Pod>) {
        self.wait_no_more();
        if self.running != running {
            self.running = running;
            self.version += 1;
        }
    }

    /// All are told of anew.
    pub fn relist(&mut self) {
        self.stale.extend(std::mem::take(&mut self.by_name));
    }

    /// All were told of.
    pub fn listed(&mut self) {
        self.stale.clear();
        self.running.clear();
        self.wait_no_more();
        self.version += 1;
    }

    pub fn put(&mut self, name: Name, pod: Pod) {
        let before = self.stale.remove(&name).or_else(|| self.by_name.get(&name).cloned());
        if self.by_name.len() < MOST || self.by_name.contains_key(&name) {
            // Most changes are of what is not kept, as times and conditions.
            self.version += u64::from(before.as_ref() != Some(&pod));
            self.by_name.insert(name, pod);
        }
    }

    pub fn remove(&mut self, name: &Name) {
        self.by_name.remove(name);
        self.stale.remove(name);
    }
}

/// Takes from the API's objects what is of interest.
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
            uid: pod.metadata.uid.clone(),
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
            uid: pod.metadata.uid.clone(),
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
    fn pods_are_found_by_name_and_container_until_they_are_gone() {
        let (reader, chat) = (reader(), chat());
        let mut pods = Pods::default();
        let name = reader.name(&chat);
        pods.relist();
        pods.put(name.clone(), reader.pod(&chat));
        pods.listed();
        assert!(pods.named(&name.0, &name.1, None).is_some_and(|pod| pod.opts_out));
        assert!(pods.of_container("0e").is_some() && pods.of_container("00").is_none());
        // While all are listed anew nothing is forgotten; afterwards what was not listed is gone.
        pods.relist();
        assert!(pods.of_container("0e").is_some());
        pods.listed();
        assert_eq!((pods.named(&name.0, &name.1, None), pods.by_name.len()), (None, 0));
        pods.put(name.clone(), reader.pod(&chat));
        pods.remove(&name);
        assert_eq!(pods.by_name.len(), 0);
        for number in 0..MOST + 10 {
            pods.put((String::new(), number.to_string()), Pod::default());
        }
        assert_eq!(pods.by_name.len(), MOST);
    }

    #[test]
    fn what_the_runtime_tells_is_of_pods_that_the_api_server_does_not_know() {
        let (reader, chat) = (reader(), chat());
        let mut pods = Pods::default();
        let (name, told) = (reader.name(&chat), reader.pod(&chat));
        pods.put(name.clone(), told.clone());
        let older = Pod { opts_out: false, ..told.clone() };
        pods.run(HashMap::from([(name.clone(), older.clone())]));
        let uid = told.uid.as_deref();
        assert_eq!(pods.named(&name.0, &name.1, uid), Some(&told), "its annotation came later");
        // Another of the same name, as of a StatefulSet.
        let next = Pod { uid: Some("2".to_owned()), containers: vec!["aa".to_owned()], ..older };
        let version = pods.version();
        for _ in 0..2 {
            pods.run(HashMap::from([(name.clone(), next.clone())]));
            assert_eq!(pods.version(), version + 1);
        }
        assert_eq!(pods.named(&name.0, &name.1, Some("2")), Some(&next));
        assert_eq!(pods.of_container("aa"), Some(&next));
        assert!(pods.has_container("0f") && !pods.has_container("aa"));
        pods.listed();
        assert_eq!(pods.of_container("aa"), None, "the API server has told of all there are");
    }

    #[test]
    fn a_pod_without_anything_is_survived() {
        let pod = api::Pod::default();
        assert_eq!(reader().containers(&pod), []);
        assert_eq!(reader().pod(&pod), Pod::default());
    }
}

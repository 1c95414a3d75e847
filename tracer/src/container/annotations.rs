//! What is of interest in the files that runtimes keep of a container.

use std::collections::HashMap;

use serde::Deserialize;

use crate::event::Pod;

/// What is known of a container beside its id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    pub image: Option<String>,
    pub pod: Option<Pod>,
}

/// A `config.json` as the runtime specification of the Open Container Initiative has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Spec {
    annotations: HashMap<String, String>,
    root: Root,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Root {
    path: String,
}

/// Docker's `config.v2.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DockerContainer {
    config: DockerConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct DockerConfig {
    image: Option<String>,
    labels: HashMap<String, String>,
}

/// An entry of `containers.json`, which Podman and CRI-O keep in their storage.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StoredContainer {
    id: String,
    /// JSON of its own.
    metadata: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct StoredMetadata {
    image_name: Option<String>,
}

/// Names of a pod among annotations or labels: namespace, name, uid, container.
const POD: [[&str; 4]; 2] = [
    // containerd.
    [
        "io.kubernetes.cri.sandbox-namespace",
        "io.kubernetes.cri.sandbox-name",
        "io.kubernetes.cri.sandbox-uid",
        "io.kubernetes.cri.container-name",
    ],
    // The kubelet, as Docker's labels and CRI-O's annotations have it.
    [
        "io.kubernetes.pod.namespace",
        "io.kubernetes.pod.name",
        "io.kubernetes.pod.uid",
        "io.kubernetes.container.name",
    ],
];

/// Names of the image: containerd's, CRI-O's.
const IMAGE: [&str; 2] = ["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"];

impl Spec {
    pub fn known(&self) -> Known {
        let image = IMAGE.iter().find_map(|key| self.annotations.get(*key)).cloned();
        Known { image, pod: pod(&self.annotations) }
    }

    /// The folder of the storage that the container's file system lies in, as Podman has it: `STORAGE/overlay/LAYER/merged`.
    pub fn storage(&self) -> Option<&str> {
        self.root.path.split_once("/overlay/").map(|(storage, _)| storage)
    }
}

impl DockerContainer {
    pub fn known(&self) -> Known {
        Known { image: self.config.image.clone(), pod: pod(&self.config.labels) }
    }
}

/// The image of a container among those of a storage.
pub fn stored_image(containers: &[StoredContainer], id: &str) -> Option<String> {
    let container = containers.iter().find(|container| container.id == id)?;
    serde_json::from_str::<StoredMetadata>(&container.metadata).ok()?.image_name
}

fn pod(annotations: &HashMap<String, String>) -> Option<Pod> {
    POD.iter().find_map(|[namespace, name, uid, container]| {
        Some(Pod {
            namespace: annotations.get(*namespace)?.clone(),
            name: annotations.get(*name)?.clone(),
            uid: annotations.get(*uid).cloned(),
            container: annotations.get(*container).cloned().unwrap_or_default(),
            ..Pod::default()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_container_is_known_by_what_containerd_and_cri_o_note() {
        for text in [
            r#"{"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "annotations": {
                "io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.container-type": "container",
                "io.kubernetes.cri.image-name": "localhost/py:1", "io.kubernetes.cri.sandbox-id": "0f",
                "io.kubernetes.cri.sandbox-name": "chat-0", "io.kubernetes.cri.sandbox-namespace": "llm",
                "io.kubernetes.cri.sandbox-uid": "1111"}}"#,
            r#"{"annotations": {"io.kubernetes.container.name": "app", "io.kubernetes.pod.name": "chat-0",
                "io.kubernetes.cri-o.ImageName": "localhost/py:1", "io.kubernetes.pod.namespace": "llm",
                "io.kubernetes.pod.uid": "1111", "other": "x"}}"#,
        ] {
            let Known { image, pod } = serde_json::from_str::<Spec>(text).expect(text).known();
            assert_eq!(image.as_deref(), Some("localhost/py:1"));
            let pod = pod.expect(text);
            assert_eq!((&*pod.namespace, &*pod.name, &*pod.container), ("llm", "chat-0", "app"));
            assert_eq!((pod.uid.as_deref(), pod.node), (Some("1111"), None));
        }
        assert_eq!(serde_json::from_str::<Spec>("{}").expect("a spec").known(), Known::default());
    }

    #[test]
    fn docker_and_podman_keep_the_image_beside() {
        let docker =
            r#"{"ID": "0f", "Config": {"Image": "chat:2", "Labels": {"maintainer": "x"}}, "State": {}}"#;
        let known = serde_json::from_str::<DockerContainer>(docker).expect("Docker's").known();
        assert_eq!(known, Known { image: Some("chat:2".to_owned()), pod: None });

        let spec = r#"{"root": {"path": "/var/lib/containers/storage/overlay/9a/merged"}}"#;
        let spec: Spec = serde_json::from_str(spec).expect("a spec");
        assert_eq!(spec.storage(), Some("/var/lib/containers/storage"));
        let stored = r#"[{"id": "0e", "metadata": "{}"},
            {"id": "0f", "names": ["x"], "metadata": "{\"image-name\":\"localhost/chat:3\",\"name\":\"x\"}"}]"#;
        let stored: Vec<StoredContainer> = serde_json::from_str(stored).expect("a storage");
        assert_eq!(stored_image(&stored, "0f").as_deref(), Some("localhost/chat:3"));
        assert_eq!((stored_image(&stored, "0e"), stored_image(&stored, "1")), (None, None));
    }
}

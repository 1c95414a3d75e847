//! Makes of what a runtime tells what the API server would tell of the same pods.

use std::collections::{HashMap, hash_map::Entry};

use super::{
    client::Running,
    messages::{self, ImageSpec, PodSandbox, PodSandboxMetadata},
};
use crate::{
    event::{self, Container},
    serve::kubernetes::{
        pods::{Name, Pod},
        reader::Reader,
    },
};

/// What digests begin with.
const DIGEST: &str = "sha256:";

/// The pods that run, and their containers.
pub fn read(running: Running, reader: &Reader) -> (HashMap<Name, Pod>, Vec<Container>) {
    let newest = newest(running.sandboxes);
    let mut pods: HashMap<Name, Pod> =
        newest.iter().map(|(name, sandbox)| (name.clone(), pod(sandbox, reader))).collect();
    let by_id: HashMap<&str, (&Name, &PodSandbox)> =
        newest.iter().map(|(name, sandbox)| (sandbox.id.as_str(), (name, sandbox))).collect();
    let mut containers = Vec::new();
    for told in running.containers {
        let Some((name, sandbox)) = by_id.get(told.pod_sandbox_id.as_str()) else { continue };
        if let Some(pod) = pods.get_mut(*name) {
            pod.containers.push(told.id.clone());
        }
        containers.push(container(told, sandbox, reader));
    }
    (pods, containers)
}

/// A pod whose sandbox failed may have several.
fn newest(sandboxes: Vec<PodSandbox>) -> HashMap<Name, PodSandbox> {
    let mut newest: HashMap<Name, PodSandbox> = HashMap::new();
    for sandbox in sandboxes {
        let Some(PodSandboxMetadata { name, namespace, .. }) = sandbox.metadata.clone() else { continue };
        match newest.entry((namespace, name)) {
            Entry::Vacant(entry) => drop(entry.insert(sandbox)),
            Entry::Occupied(mut entry) if entry.get().created_at < sandbox.created_at => {
                entry.insert(sandbox);
            }
            Entry::Occupied(_) => {}
        }
    }
    newest
}

fn pod(sandbox: &PodSandbox, reader: &Reader) -> Pod {
    let metadata = sandbox.metadata.as_ref();
    Pod {
        namespace: metadata.map(|metadata| metadata.namespace.clone()).unwrap_or_default(),
        uid: metadata.map(|metadata| metadata.uid.clone()),
        labels: sandbox.labels.clone(),
        opts_out: reader.opts_out(&sandbox.annotations),
        containers: Vec::new(),
    }
}

fn container(told: messages::Container, sandbox: &PodSandbox, reader: &Reader) -> Container {
    let PodSandboxMetadata { name, uid, namespace } = sandbox.metadata.clone().unwrap_or_default();
    let pod = event::Pod {
        namespace,
        name,
        uid: Some(uid),
        container: told.metadata.unwrap_or_default().name,
        node: reader.node.clone(),
        owner: None,
        labels: reader.kept(&sandbox.labels),
    };
    Container { id: told.id, image: told.image.and_then(image_name), pod: Some(pod) }
}

/// The name of an image, where it is one: containerd has a digest in its place, and what the runtime left on disk has the name.
fn image_name(ImageSpec { image, user_specified_image }: ImageSpec) -> Option<String> {
    let mut names = [user_specified_image, image].into_iter();
    names.find(|name| !name.is_empty() && !name.starts_with(DIGEST))
}

#[cfg(test)]
mod tests {
    use super::{super::server, *};
    use crate::serve::kubernetes::reader;

    fn reader() -> Reader {
        let keep = reader::globs(&["app".to_owned()]).expect("patterns");
        Reader { node: Some("n1".to_owned()), keep, annotation: "tracer/trace".to_owned() }
    }

    fn running() -> Running {
        let told = server::chat();
        Running { sandboxes: told.sandboxes, containers: told.containers }
    }

    #[test]
    fn a_container_has_the_names_of_its_pod() {
        let (pods, containers) = read(running(), &reader());
        let app = containers[0].clone();
        assert_eq!((&*app.id, app.image.as_deref()), ("app", Some("localhost/app:1")));
        let pod = app.pod.expect("it has one");
        assert_eq!((&*pod.namespace, &*pod.name, &*pod.container), ("llm", "app", "main"));
        assert_eq!((pod.uid.as_deref(), pod.node.as_deref(), pod.owner), (Some("uid-app"), Some("n1"), None));
        assert_eq!(pod.labels.keys().collect::<Vec<_>>(), ["app"]);
        let of_name = |name: &str| &pods[&("llm".to_owned(), name.to_owned())];
        assert_eq!(of_name("app").containers, ["app"]);
        assert!(!of_name("app").opts_out && of_name("silent").opts_out);
    }

    #[test]
    fn a_digest_is_no_name_of_an_image() {
        let of = |image: &str, asked_for: &str| {
            image_name(ImageSpec { image: image.to_owned(), user_specified_image: asked_for.to_owned() })
        };
        assert_eq!(of("sha256:62e30d", ""), None);
        assert_eq!(of("sha256:62e30d", "chat:1").as_deref(), Some("chat:1"));
        assert_eq!(of("localhost/chat:1", "").as_deref(), Some("localhost/chat:1"));
        assert_eq!(of("", ""), None);
    }

    #[test]
    fn of_several_sandboxes_of_a_pod_the_newest_counts() {
        let mut running = running();
        let mut newer = PodSandbox { id: "newer".to_owned(), created_at: 2, ..running.sandboxes[0].clone() };
        newer.annotations.insert("tracer/trace".to_owned(), "false".to_owned());
        running.sandboxes.insert(0, newer);
        running.sandboxes.push(PodSandbox::default());
        running.containers[0].image = None;
        let (pods, containers) = read(running, &reader());
        assert!(pods[&("llm".to_owned(), "app".to_owned())].opts_out);
        assert_eq!((pods.len(), containers.len()), (3, 2), "what is left of the older is no container of it");
    }
}

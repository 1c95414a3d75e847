//! The pods that are known.

use std::collections::{BTreeMap, HashMap};

use super::unknown::Unknown;

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
    /// Those that run of which the runtime may still tell.
    unknown: Unknown,
    version: u64,
}

impl Pods {
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether it is too early to say of a container that nothing is known of its pod.
    pub fn may_be_told(&mut self, container: &str) -> bool {
        self.is_awaited || self.unknown.may_be_told(container)
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

    /// The runtime is asked what runs.
    pub fn ask_runtime(&mut self) {
        self.unknown.ask();
    }

    /// It does not tell that, or is not asked any more.
    pub fn runtime_is_silent(&mut self) {
        self.version += u64::from(self.unknown.silent());
    }

    /// It has told that these run, and no others.
    pub fn run(&mut self, running: HashMap<Name, Pod>) {
        self.wait_no_more();
        let decides = self.unknown.answered();
        if decides || self.running != running {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        ("llm".to_owned(), "chat-0".to_owned())
    }

    /// A pod of one container.
    fn chat(uid: &str, container: &str) -> Pod {
        Pod {
            namespace: "llm".to_owned(),
            uid: Some(uid.to_owned()),
            containers: vec![container.to_owned()],
            ..Pod::default()
        }
    }

    #[test]
    fn pods_are_found_by_name_and_container_until_they_are_gone() {
        let (mut pods, name) = (Pods::default(), name());
        pods.relist();
        pods.put(name.clone(), chat("1", "0e"));
        pods.listed();
        assert_eq!(pods.named(&name.0, &name.1, None), Some(&chat("1", "0e")));
        assert!(pods.of_container("0e").is_some() && pods.of_container("00").is_none());
        // While all are listed anew nothing is forgotten; afterwards what was not listed is gone.
        pods.relist();
        assert!(pods.of_container("0e").is_some());
        pods.listed();
        assert_eq!((pods.named(&name.0, &name.1, None), pods.by_name.len()), (None, 0));
        pods.put(name.clone(), chat("1", "0e"));
        pods.remove(&name);
        assert_eq!(pods.by_name.len(), 0);
        for number in 0..MOST + 10 {
            pods.put((String::new(), number.to_string()), Pod::default());
        }
        assert_eq!(pods.by_name.len(), MOST);
    }

    #[test]
    fn what_the_runtime_tells_is_of_pods_that_the_api_server_does_not_know() {
        let (mut pods, name) = (Pods::default(), name());
        let told = Pod { opts_out: true, ..chat("1", "0f") };
        pods.put(name.clone(), told.clone());
        pods.run(HashMap::from([(name.clone(), chat("1", "0f"))]));
        assert_eq!(pods.named(&name.0, &name.1, Some("1")), Some(&told), "its annotation came later");
        // Another of the same name, as of a StatefulSet.
        let (next, version) = (chat("2", "aa"), pods.version());
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
}

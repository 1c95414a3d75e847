//! What is known of containers.

use lru::LruCache;

use crate::event::Container;

/// Containers that are known at once: several times what runs on a node. Beyond, what was told of longest ago is forgotten.
const MOST: std::num::NonZeroUsize = std::num::NonZeroUsize::new(2_048).expect("it is more than 0");

#[derive(Clone, Debug)]
pub struct Containers(LruCache<String, Container>);

impl Default for Containers {
    fn default() -> Self {
        Containers(LruCache::new(MOST))
    }
}

impl Containers {
    pub fn learn(&mut self, told: &Container) {
        let known = || Container { id: told.id.clone(), ..Container::default() };
        self.0.get_or_insert_mut_ref(&told.id, known).learn(told);
    }

    pub fn get(&self, id: &str) -> Option<&Container> {
        self.0.peek(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Owner, Pod};

    #[test]
    fn who_knows_less_takes_nothing_back() {
        let by_runtime = Container {
            id: "0f".to_owned(),
            image: Some("chat:1".to_owned()),
            pod: Some(Pod { namespace: "llm".to_owned(), name: "chat-0".to_owned(), ..Pod::default() }),
        };
        let mut pod = by_runtime.pod.clone().expect("it has one");
        pod.owner = Some(Owner { kind: "Deployment".to_owned(), name: "chat".to_owned() });
        pod.labels.insert("team".to_owned(), "ml".to_owned());
        let by_kubernetes = Container { image: None, pod: Some(pod.clone()), ..by_runtime.clone() };
        for told in [[&by_runtime, &by_kubernetes], [&by_kubernetes, &by_runtime]] {
            let mut containers = Containers::default();
            told.into_iter().for_each(|container| containers.learn(container));
            let known = containers.get("0f").expect("it was told of");
            assert_eq!((known.image.as_deref(), known.pod.as_ref()), (Some("chat:1"), Some(&pod)));
        }
    }

    #[test]
    fn what_was_told_of_longest_ago_is_forgotten() {
        let mut containers = Containers::default();
        for number in 0..MOST.get() + 10 {
            containers.learn(&Container { id: number.to_string(), ..Container::default() });
            containers.learn(&Container { id: "0".to_owned(), ..Container::default() });
        }
        assert!(containers.get("0").is_some() && containers.get("1").is_none());
    }
}

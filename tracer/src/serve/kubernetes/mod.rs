//! What Kubernetes knows of the pods of this node: their names for reports, and which of them are traced.
//!
//! The API server is asked for the pods of this node alone, and says what changes. Where it can't be reached, what was known
//! stays, and the container runtime is asked for what runs, if its socket is there. Else new containers have the names that their
//! runtime left on disk.

mod cri;
mod pods;
mod reader;
mod rules;
mod unknown;
mod watch;

use std::{
    env,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::sync::oneshot;

use self::{cri::Socket, pods::Pods};
use crate::{
    event::{self, Body, Container, Event},
    record::pipeline::{Input, monotonic_ns},
    serve::config,
};

pub use self::rules::Rules;

/// The variable that tells a pod the name of its node: there is no other way for it to know.
const NODE: &str = "NODE_NAME";

/// The variable that every pod has which may ask the API server.
const IN_CLUSTER: &str = "KUBERNETES_SERVICE_HOST";

/// How long pods that run already are left alone at the start until it is known whether they opt out. As long as the runtime takes
/// where the API server does not tell.
const PATIENCE: Duration = Duration::from_secs(4);

/// Pods as they are known now, shared by who watches and who asks.
#[derive(Clone, Default)]
pub struct Directory(Arc<Mutex<Pods>>);

impl Directory {
    fn pods(&self) -> MutexGuard<'_, Pods> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rises with every change of what [`Directory::judge`] may say.
    pub fn version(&self) -> u64 {
        self.pods().version()
    }

    /// What the rules say of a container, by its id and what its runtime left on disk; `None` while that can't be told.
    pub fn judge(&self, rules: &Rules, container: &Container) -> Option<bool> {
        let mut pods = self.pods();
        let known =
            container.pod.as_ref().and_then(|pod| pods.named(&pod.namespace, &pod.name, pod.uid.as_deref()));
        match (known.or_else(|| pods.of_container(&container.id)), &container.pod) {
            (Some(pod), _) => Some(rules.want(&pod.namespace, Some(&pod.labels), pod.opts_out)),
            (None, Some(event::Pod { namespace, .. })) => {
                let is_wanted = rules.want_unknown(namespace);
                // Its annotations are about to be told.
                is_wanted.filter(|is_wanted| !is_wanted || !pods.may_be_told(&container.id))
            }
            // It is no pod's, or nobody knows yet that it is.
            (None, None) => Some(true),
        }
    }
}

/// Watches the pods of this node, on a thread of its own.
pub struct Kubernetes {
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Kubernetes {
    /// Begins to watch, where the configuration says so; containers are told to `input`.
    ///
    /// # Errors
    /// When there is no name of the node.
    pub fn start(
        config: &config::Kubernetes,
        directory: Directory,
        input: mpsc::Sender<Input>,
    ) -> anyhow::Result<Option<Kubernetes>> {
        let access = match config.api.as_str() {
            "never" => None,
            "auto" => env::var_os(IN_CLUSTER).map(|_| watch::Access::Pod),
            path => Some(watch::Access::File(path.into())),
        };
        let socket = Socket::of(&config.cri_socket);
        if access.is_none() && !matches!(socket, Socket::At(_)) {
            return Ok(None);
        }
        let node = config.node.clone().or_else(|| env::var(NODE).ok().filter(|node| !node.is_empty()));
        let keep = reader::globs(&config.keep_labels).context("kubernetes.keep_labels")?;
        let reader = reader::Reader { node, keep, annotation: config.annotation.clone() };
        if access.is_some() && reader.node.is_none() {
            bail!("set kubernetes.node, or the variable {NODE} (valueFrom: fieldRef: spec.nodeName)");
        }
        directory.pods().wait();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("tracer-pods".to_owned()).spawn(move || {
            let (tells, told) = tokio::sync::watch::channel(false);
            runtime.block_on(async {
                let by_api = async {
                    match &access {
                        Some(access) => watch::watch(access, &reader, &directory, &input, &tells).await,
                        None => std::future::pending().await,
                    }
                };
                let given_up = async {
                    tokio::time::sleep(PATIENCE).await;
                    directory.pods().wait_no_more();
                    std::future::pending().await
                };
                tokio::select! {
                    () = given_up => {}
                    () = by_api => {}
                    () = cri::ask_in_turns(&socket, told, &reader, &directory, &input) => {}
                    _ = ended => {}
                }
            });
            // A lookup of a name that hangs is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Some(Kubernetes { end, thread }))
    }

    /// Ends it.
    pub fn end(self) {
        let _ = self.end.send(());
        let _ = self.thread.join();
    }
}

/// Tells what is known of a container.
fn tell(input: &mpsc::Sender<Input>, container: Container) {
    let (ts_ns, body) = (monotonic_ns(), Body::Container(Box::new(container)));
    // The thread is gone only when recording has ended.
    let _ = input.send(Input::Event(Event { ts_ns, tgid: 0, tid: 0, body }));
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{pods::Pod, *};
    use crate::serve::config::Config;

    fn rules(text: &str) -> Rules {
        Rules::new(&Config::parse(text).expect(text).kubernetes).expect(text)
    }

    fn container() -> Container {
        let pod =
            event::Pod { namespace: "llm".to_owned(), name: "chat".to_owned(), ..event::Pod::default() };
        Container { id: "0f".to_owned(), image: None, pod: Some(pod) }
    }

    fn put(directory: &Directory, opts_out: bool) {
        let name = ("llm".to_owned(), "chat".to_owned());
        directory.pods().put(name, Pod { namespace: "llm".to_owned(), opts_out, ..Pod::default() });
    }

    #[test]
    fn what_a_pod_says_counts_from_when_it_says_so() {
        let (directory, rules) = (Directory::default(), rules(""));
        let mut version = directory.version();
        for opts_out in [false, true, false] {
            put(&directory, opts_out);
            assert_eq!(directory.judge(&rules, &container()), Some(!opts_out));
            assert_eq!(directory.version(), version + 1);
            version = directory.version();
            put(&directory, opts_out);
            assert_eq!(directory.version(), version, "it is as it was");
        }
        // So it is where all are listed anew.
        directory.pods().relist();
        put(&directory, false);
        assert_eq!(directory.version(), version);
    }

    #[test]
    fn nothing_is_said_of_a_pod_before_its_annotations_may_be_known() {
        let directory = Directory::default();
        let all = rules("");
        directory.pods().wait();
        assert_eq!(directory.judge(&all, &container()), None);
        assert_eq!(directory.judge(&rules("kubernetes.namespaces = ['x']"), &container()), Some(false));
        let of_no_pod = Container { pod: None, ..container() };
        assert_eq!(directory.judge(&all, &of_no_pod), Some(true));
        let version = directory.version();
        directory.pods().wait_no_more();
        assert_eq!((directory.judge(&all, &container()), directory.version()), (Some(true), version + 1));
        // So it is of a new one while the runtime is who tells.
        let ask = |pods: HashMap<_, _>| {
            directory.pods().ask_runtime();
            directory.pods().run(pods);
        };
        ask(HashMap::new());
        assert_eq!(directory.judge(&all, &container()), None);
        let version = directory.version();
        ask(HashMap::new());
        assert_eq!((directory.judge(&all, &container()), directory.version()), (Some(true), version + 1));
        let name = ("llm".to_owned(), "chat".to_owned());
        ask(HashMap::from([(name, Pod { opts_out: true, ..Pod::default() })]));
        assert_eq!(directory.judge(&all, &container()), Some(false));
    }
}

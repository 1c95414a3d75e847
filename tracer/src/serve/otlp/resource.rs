//! Of whom something is told: a process, its service, its container and its host.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    fs,
};

use opentelemetry_proto::tonic::{common::v1::InstrumentationScope, resource::v1::Resource};

use super::{
    attributes::Attributes,
    names::resource::{
        CONTAINER_ID, CONTAINER_IMAGE_NAME, HOST_ID, HOST_NAME, K8S_CONTAINER_NAME, K8S_NAMESPACE_NAME,
        K8S_NODE_NAME, K8S_POD_NAME, K8S_POD_UID, PROCESS_COMMAND_LINE, PROCESS_EXECUTABLE_PATH, PROCESS_PID,
        PROCESS_RUNTIME_NAME, PROCESS_RUNTIME_VERSION, SERVICE_INSTANCE_ID, SERVICE_NAME,
        TELEMETRY_SDK_LANGUAGE, TELEMETRY_SDK_NAME, TELEMETRY_SDK_VERSION, k8s_owner,
    },
    service::{self, Surroundings},
};
use crate::report::types::Process;

const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The host that the daemon runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    pub name: String,
    /// machine-id(5), else the name.
    pub id: String,
}

impl Host {
    pub fn read() -> Host {
        let line = |path| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let name = line("/proc/sys/kernel/hostname");
        let id = line("/etc/machine-id");
        Host { id: if id.is_empty() { name.clone() } else { id }, name }
    }
}

/// A process as its spans have it, and what of it the figures of its service have.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub service: String,
    pub resource: Resource,
}

/// What a resource was made of.
struct Seen {
    process: Process,
    surroundings: Surroundings,
    known: Known,
}

/// What is known of processes, each looked at when it is first told of. What is told of its pod later is put to that.
pub struct Resources {
    host: Host,
    look: fn(u32) -> Surroundings,
    /// By pid and start time.
    seen: BTreeMap<(u32, u64), Seen>,
}

impl Resources {
    /// `look` gives the surroundings of a process.
    pub fn new(host: Host, look: fn(u32) -> Surroundings) -> Resources {
        Resources { host, look, seen: BTreeMap::new() }
    }

    /// Looks at those that are new, and forgets those that are gone. Those of which requests are told are among them.
    pub fn update(&mut self, processes: &[Process]) {
        let key = |process: &Process| (process.pid, process.start_unix_ns);
        let alive: HashMap<(u32, u64), &Process> =
            processes.iter().map(|process| (key(process), process)).collect();
        self.seen.retain(|key, _| alive.contains_key(key));
        for (key, process) in alive {
            match self.seen.entry(key) {
                Entry::Vacant(entry) => {
                    let surroundings = (self.look)(process.pid);
                    let known = known(process, &surroundings, &self.host);
                    entry.insert(Seen { process: process.clone(), surroundings, known });
                }
                Entry::Occupied(mut entry) if entry.get().process != *process => {
                    let seen = entry.get_mut();
                    seen.known = known(process, &seen.surroundings, &self.host);
                    seen.process = process.clone();
                }
                Entry::Occupied(_) => {}
            }
        }
    }

    /// By pid, of the process that has it now.
    pub fn of(&self, pid: u32) -> Option<&Known> {
        self.seen.range((pid, 0)..=(pid, u64::MAX)).next_back().map(|(_, seen)| &seen.known)
    }

    /// The name of the service of the process that has a pid now.
    pub fn service(&self, pid: u32) -> String {
        self.of(pid).map_or_else(|| service::UNKNOWN.to_owned(), |known| known.service.clone())
    }

    /// Of the processes of a service on this host, together.
    pub fn of_service(&self, service: &str) -> Resource {
        let mut attributes = Attributes::default();
        attributes
            .set(SERVICE_NAME, service)
            // What tells the same service on several hosts apart.
            .set(SERVICE_INSTANCE_ID, &self.host.id)
            .set(HOST_NAME, &self.host.name)
            .set(HOST_ID, &self.host.id);
        told_by(&mut attributes);
        Resource { attributes: attributes.take(), ..Resource::default() }
    }
}

fn known(process: &Process, surroundings: &Surroundings, host: &Host) -> Known {
    let service = service::name(process, surroundings);
    let mut attributes = Attributes::default();
    attributes
        .set(SERVICE_NAME, &service)
        .set(HOST_NAME, &host.name)
        .set(HOST_ID, &host.id)
        .set(PROCESS_PID, process.pid)
        .set(PROCESS_EXECUTABLE_PATH, &process.exe)
        .set(PROCESS_COMMAND_LINE, &process.cmdline)
        .set(PROCESS_RUNTIME_NAME, "cpython")
        .maybe(PROCESS_RUNTIME_VERSION, process.python.as_ref())
        .maybe(CONTAINER_ID, process.container_id.as_ref())
        .maybe(CONTAINER_IMAGE_NAME, process.image.as_ref());
    if let Some(pod) = &process.pod {
        attributes
            .set(K8S_NAMESPACE_NAME, &pod.namespace)
            .set(K8S_POD_NAME, &pod.name)
            .set(K8S_CONTAINER_NAME, &pod.container)
            .maybe(K8S_POD_UID, pod.uid.as_ref())
            .maybe(K8S_NODE_NAME, pod.node.as_ref());
        if let Some(owner) = &pod.owner
            && let Some(key) = k8s_owner(&owner.kind)
        {
            attributes.set(key, &owner.name);
        }
    }
    told_by(&mut attributes);
    let mut attributes = attributes.take();
    let others = surroundings
        .attributes
        .iter()
        .fold(Attributes::default(), |mut others, (key, value)| {
            if attributes.iter().all(|attribute| attribute.key != *key) {
                others.set(key, value);
            }
            others
        })
        .take();
    attributes.extend(others);
    Known { service, resource: Resource { attributes, ..Resource::default() } }
}

fn told_by(attributes: &mut Attributes) {
    attributes
        .set(TELEMETRY_SDK_NAME, NAME)
        .set(TELEMETRY_SDK_LANGUAGE, "python")
        .set(TELEMETRY_SDK_VERSION, VERSION);
}

/// Who tells it.
pub fn scope() -> InstrumentationScope {
    InstrumentationScope { name: NAME.to_owned(), version: VERSION.to_owned(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Owner, Pod};

    #[test]
    fn what_is_told_late_of_a_pod_is_in_what_is_sent_from_then_on() {
        let mut resources = Resources::new(Host::default(), |_| Surroundings::default());
        let mut process = Process { pid: 7, pod: Some(Pod::default()), ..Process::default() };
        let has_owner = |resources: &Resources| {
            let resource = &resources.of(7).expect("it is known").resource;
            resource.attributes.iter().any(|attribute| attribute.key == "k8s.deployment.name")
        };
        resources.update(std::slice::from_ref(&process));
        assert!(!has_owner(&resources));
        let owner = Some(Owner { kind: "Deployment".to_owned(), name: "chat".to_owned() });
        process.pod = Some(Pod { owner, ..Pod::default() });
        resources.update(&[process]);
        assert!(has_owner(&resources));
        resources.update(&[]);
        assert!(resources.of(7).is_none());
    }
}

//! When a runtime is asked: as long as the API server does not tell, one time after the other.

use std::{collections::HashSet, sync::mpsc, time::Duration};

use tokio::sync::watch;

use super::{Socket, client, read::read};
use crate::{
    record::pipeline::Input,
    serve::kubernetes::{Directory, reader::Reader, tell},
};

/// How long the API server may be silent before the runtime is asked: at the start, and when its connection ended.
const GRACE: Duration = Duration::from_secs(2);

/// Between two times: how long the names of a new pod may be missing.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long a runtime may take for all that it is asked.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the API server tells of pods. After an error it does once it has listed them anew, or told of the next change.
type Told = watch::Receiver<bool>;

/// Asks while the API server does not tell. Ends when nobody asks that any more.
pub async fn ask_in_turns(
    socket: &Socket,
    mut told: Told,
    reader: &Reader,
    directory: &Directory,
    input: &mpsc::Sender<Input>,
) {
    let mut runtime = Runtime { reader, directory, input, known: HashSet::new(), is_telling: None };
    while told.wait_for(|is_told| !is_told).await.is_ok() {
        let mut pause = GRACE;
        while !is_told_within(pause, &mut told).await {
            runtime.ask(socket, &told).await;
            pause = INTERVAL;
        }
        runtime.is_telling = None;
        directory.pods().runtime_is_silent();
    }
}

/// Waits for so long, or until the API server tells.
async fn is_told_within(pause: Duration, told: &mut Told) -> bool {
    matches!(tokio::time::timeout(pause, told.wait_for(|is_told| *is_told)).await, Ok(Ok(_)))
}

struct Runtime<'all> {
    reader: &'all Reader,
    directory: &'all Directory,
    input: &'all mpsc::Sender<Input>,
    /// Containers that were told of before.
    known: HashSet<String>,
    /// Whether it told of pods when it was last asked, since the API server does not.
    is_telling: Option<bool>,
}

impl Runtime<'_> {
    async fn ask(&mut self, socket: &Socket, told: &Told) {
        let Some(path) = socket.path() else { return };
        self.directory.pods().ask_runtime();
        let running = match client::list(&path, TIMEOUT).await {
            Ok(running) => running,
            Err(error) => {
                self.directory.pods().runtime_is_silent();
                if self.is_telling.replace(false) != Some(false) {
                    eprintln!("tracer: {} does not tell of pods: {error:#}", path.display());
                }
                return;
            }
        };
        // What the API server has told meanwhile is newer.
        if *told.borrow() {
            return;
        }
        if self.is_telling.replace(true) != Some(true) {
            eprintln!("tracer: {} tells of pods", path.display());
        }
        let (pods, containers) = read(running, self.reader);
        let running = containers.iter().map(|container| container.id.clone()).collect();
        let known = std::mem::replace(&mut self.known, running);
        let mut directory = self.directory.pods();
        for container in containers {
            if !known.contains(&container.id) && !directory.has_container(&container.id) {
                tell(self.input, container);
            }
        }
        directory.run(pods);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{self, Body, Container},
        serve::{
            config::Config,
            kubernetes::{Rules, cri::server, reader},
        },
    };

    /// What is told of a container, if anything is.
    fn told_of(inputs: &mpsc::Receiver<Input>) -> Option<Container> {
        match inputs.try_recv().ok()? {
            Input::Event(event::Event { body: Body::Container(container), .. }) => Some(*container),
            _ => None,
        }
    }

    #[tokio::test]
    async fn a_runtime_is_asked_while_the_api_server_is_silent_and_rules_hold_for_what_it_tells() {
        let folder = tempfile::tempdir().expect("make a folder");
        let path = folder.path().join("cri.sock");
        server::start(&path, server::chat());
        let keep = reader::globs(&["app".to_owned()]).expect("patterns");
        let reader = Reader { node: None, keep, annotation: "tracer/trace".to_owned() };
        let (directory, (input, inputs)) = (Directory::default(), mpsc::channel());
        let (_tells, told) = watch::channel(false);
        let rules = Config::parse("kubernetes.labels = ['app=chat']").expect("a configuration").kubernetes;
        let rules = Rules::new(&rules).expect("rules");
        let judge = |id: &str| {
            let pod =
                event::Pod { namespace: "llm".to_owned(), name: id.to_owned(), ..event::Pod::default() };
            let container = Container { id: id.to_owned(), image: None, pod: Some(pod) };
            directory.judge(&rules, &container)
        };
        assert_eq!(judge("app"), None, "its labels are not known");
        let socket = Socket::At(path);
        tokio::select! {
            () = ask_in_turns(&socket, told, &reader, &directory, &input) => unreachable!("it never ends"),
            () = async {
                while directory.version() == 0 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                assert_eq!([judge("app"), judge("silent"), judge("vendor")], [Some(true), Some(false), Some(false)]);
            } => {}
        }
        let containers: Vec<Container> = std::iter::from_fn(|| told_of(&inputs)).collect();
        let names: Vec<&str> = containers.iter().map(|container| container.id.as_str()).collect();
        assert_eq!(names, ["app", "silent", "vendor"]);
    }
}

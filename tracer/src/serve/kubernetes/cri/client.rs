//! Asks a container runtime by its socket: gRPC over HTTP/2, by a connection for each time.
//!
//! Whatever is at the other end, asking takes bounded time and memory, and nothing of it goes on afterwards.

use std::{
    future::Future,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use hyper::{
    Request, Response, Uri,
    body::Incoming,
    client::conn::http2::{self, SendRequest},
    http::uri::PathAndQuery,
    rt::Executor,
};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::{net::UnixStream, task::JoinSet};
use tonic::{Code, Status, body::Body, client::Grpc, codegen::Service};
use tonic_prost::ProstCodec;

use super::messages::{CONTAINER_RUNNING, Container, List, ListRequest, PodSandbox, SANDBOX_READY};

/// Bytes of an answer: what the kubelet takes of a runtime.
const MOST_BYTES: usize = 16 << 20;

const SANDBOXES: &str = "/runtime.v1.RuntimeService/ListPodSandbox";
const CONTAINERS: &str = "/runtime.v1.RuntimeService/ListContainers";

/// What runs on a node.
#[derive(Debug, Default)]
pub struct Running {
    pub sandboxes: Vec<PodSandbox>,
    pub containers: Vec<Container>,
}

/// The pods that are ready, and the containers that run.
///
/// # Errors
/// When the socket can't be connected to, or does not answer as it should within `timeout`.
pub async fn list(socket: &Path, timeout: Duration) -> anyhow::Result<Running> {
    let listed = tokio::time::timeout(timeout, ask(socket)).await;
    listed.unwrap_or_else(|_| Err(anyhow!("no answer within {timeout:?}")))
}

async fn ask(socket: &Path) -> anyhow::Result<Running> {
    let stream = UnixStream::connect(socket).await.context("can't connect")?;
    let tasks = Arc::new(Mutex::new(JoinSet::new()));
    let spawn = Spawn(Arc::downgrade(&tasks));
    let handshake = http2::handshake(spawn.clone(), TokioIo::new(stream)).await;
    let (sender, connection) = handshake.context("it does not speak HTTP/2")?;
    spawn.execute(connection);
    let mut grpc = Grpc::with_origin(Sender(sender), Uri::from_static("http://localhost"))
        .max_decoding_message_size(MOST_BYTES);
    let sandboxes = list_of(&mut grpc, SANDBOXES, SANDBOX_READY).await?;
    let containers = list_of(&mut grpc, CONTAINERS, CONTAINER_RUNNING).await?;
    Ok(Running { sandboxes, containers })
}

async fn list_of<T: Message + Default + 'static>(
    grpc: &mut Grpc<Sender>,
    path: &'static str,
    state: i32,
) -> anyhow::Result<Vec<T>> {
    grpc.ready().await.context("it ended the connection")?;
    let codec = ProstCodec::<ListRequest, List<T>>::default();
    let request = tonic::Request::new(ListRequest::in_state(state));
    let answer = grpc.unary(request, PathAndQuery::from_static(path), codec).await;
    Ok(answer.map_err(explained)?.into_inner().items)
}

fn explained(status: Status) -> anyhow::Error {
    let error = anyhow!("{:?}: {}", status.code(), status.message());
    match status.code() {
        Code::Unimplemented => {
            error.context("it has no CRI v1, as containerd has from 1.6 on where its plugin `cri` is not off")
        }
        _ => error,
    }
}

/// Runs what hyper makes of a connection, as long as whoever asks is there: all of it ends with that.
#[derive(Clone)]
struct Spawn(Weak<Mutex<JoinSet<()>>>);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Spawn {
    fn execute(&self, future: F) {
        let Some(tasks) = self.0.upgrade() else { return };
        tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(async { drop(future.await) });
    }
}

/// A connection as tonic takes it.
struct Sender(SendRequest<Body>);

impl Service<Request<Body>> for Sender {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut task::Context) -> task::Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::UnixListener,
    };

    use super::{super::server, *};

    const TIMEOUT: Duration = Duration::from_millis(500);

    async fn refusal(path: &Path) -> String {
        format!("{:#}", list(path, TIMEOUT).await.expect_err("it is none"))
    }

    #[tokio::test]
    async fn a_runtime_tells_what_runs() {
        let folder = tempfile::tempdir().expect("make a folder");
        let path = folder.path().join("cri.sock");
        let told = server::chat();
        server::start(&path, told.clone());
        let running = list(&path, TIMEOUT).await.expect("it answers");
        assert_eq!((running.sandboxes, running.containers), (told.sandboxes, told.containers));
    }

    #[tokio::test]
    async fn who_is_no_runtime_is_asked_in_vain_and_in_bounded_time() {
        let folder = tempfile::tempdir().expect("make a folder");
        let path = |name: &str| folder.path().join(name);
        assert!(refusal(&path("none")).await.contains("No such file"));
        fs::write(path("file"), "").expect("write it");
        assert!(refusal(&path("file")).await.contains("refused"));
        // It takes a connection, and nothing from it.
        let hung = UnixListener::bind(path("hung")).expect("a socket");
        assert_eq!(refusal(&path("hung")).await, "no answer within 500ms");
        drop(hung);
        // It writes without end what is no HTTP/2.
        let noise = UnixListener::bind(path("noise")).expect("a socket");
        let noisy = tokio::spawn(async move {
            let (mut stream, _) = noise.accept().await.expect("a connection");
            while stream.write_all(&[0xff; 4_096]).await.is_ok() {}
        });
        refusal(&path("noise")).await;
        noisy.await.expect("its connection ended");
        // It takes all there is, and never answers: its connection ends, too.
        let silent = UnixListener::bind(path("silent")).expect("a socket");
        let ended = tokio::spawn(async move {
            let (mut stream, _) = silent.accept().await.expect("a connection");
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await
        });
        assert_eq!(refusal(&path("silent")).await, "no answer within 500ms");
        ended.await.expect("it ran").expect("its connection ended");
    }

    #[tokio::test]
    async fn what_a_runtime_refuses_or_tells_too_much_of_is_said() {
        let folder = tempfile::tempdir().expect("make a folder");
        let path = folder.path().join("old.sock");
        server::start(&path, server::Told { has_v1: false, ..server::Told::default() });
        assert!(refusal(&path).await.starts_with("it has no CRI v1"));
        let path = folder.path().join("large.sock");
        let mut told = server::chat();
        told.sandboxes[0].annotations.insert("large".to_owned(), "x".repeat(MOST_BYTES));
        server::start(&path, told);
        assert!(refusal(&path).await.contains("message length too large"));
    }
}

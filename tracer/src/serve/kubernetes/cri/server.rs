//! A runtime for tests: a server of gRPC at a socket, which answers what it was given.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::{Ready, ready},
    path::Path,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::{Request, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::UnixListener;
use tonic::{Response, Status, codegen::Service, server::Grpc};
use tonic_prost::ProstCodec;

use super::messages::{
    CONTAINER_RUNNING, Container, ContainerMetadata, ImageSpec, List, ListRequest, PodSandbox,
    PodSandboxMetadata, SANDBOX_READY,
};

/// What it tells.
#[derive(Clone, Default)]
pub struct Told {
    pub has_v1: bool,
    pub sandboxes: Vec<PodSandbox>,
    pub containers: Vec<Container>,
}

/// Pods of one container, by whose name they go: one that is labelled, one that opts out, and one with neither.
pub fn chat() -> Told {
    let texts = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let pods = [
        ("app", texts(&[("app", "chat"), ("io.kubernetes.pod.name", "app")]), texts(&[])),
        ("silent", texts(&[("app", "chat")]), texts(&[("tracer/trace", "false")])),
        ("vendor", texts(&[]), texts(&[])),
    ];
    let mut told = Told { has_v1: true, ..Told::default() };
    for (name, labels, annotations) in pods {
        let metadata = PodSandboxMetadata {
            name: name.to_owned(),
            uid: format!("uid-{name}"),
            namespace: "llm".to_owned(),
        };
        told.sandboxes.push(PodSandbox {
            id: format!("sandbox-{name}"),
            metadata: Some(metadata),
            created_at: 1,
            labels,
            annotations,
        });
        told.containers.push(Container {
            id: name.to_owned(),
            pod_sandbox_id: format!("sandbox-{name}"),
            metadata: Some(ContainerMetadata { name: "main".to_owned() }),
            image: Some(ImageSpec {
                image: format!("localhost/{name}:1"),
                user_specified_image: String::new(),
            }),
        });
    }
    told
}

/// Answers at a socket until the test's runtime ends.
pub fn start(path: &Path, told: Told) {
    let listener = UnixListener::bind(path).expect("make the socket");
    let told = Arc::new(told);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let told = told.clone();
            let answer = service_fn(move |request| answer(told.clone(), request));
            let server = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), answer));
        }
    });
}

async fn answer(
    told: Arc<Told>,
    request: Request<Incoming>,
) -> Result<hyper::Response<tonic::body::Body>, Infallible> {
    Ok(match request.uri().path() {
        "/runtime.v1.RuntimeService/ListPodSandbox" if told.has_v1 => {
            list(SANDBOX_READY, &told.sandboxes, request).await
        }
        "/runtime.v1.RuntimeService/ListContainers" if told.has_v1 => {
            list(CONTAINER_RUNNING, &told.containers, request).await
        }
        _ => Status::unimplemented("unknown service").into_http(),
    })
}

async fn list<T: Message + Clone + Default + 'static>(
    state: i32,
    items: &[T],
    request: Request<Incoming>,
) -> hyper::Response<tonic::body::Body> {
    let codec = ProstCodec::<List<T>, ListRequest>::default();
    Grpc::new(codec).unary(Lists { state, list: List { items: items.to_vec() } }, request).await
}

/// Gives a list to who asks for those in a state.
struct Lists<T> {
    state: i32,
    list: List<T>,
}

impl<T: Clone> Service<tonic::Request<ListRequest>> for Lists<T> {
    type Response = Response<List<T>>;
    type Error = Status;
    type Future = Ready<Result<Response<List<T>>, Status>>;

    fn poll_ready(&mut self, _: &mut Context) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<ListRequest>) -> Self::Future {
        let is_expected = *request.get_ref() == ListRequest::in_state(self.state);
        ready(match is_expected {
            true => Ok(Response::new(self.list.clone())),
            false => Err(Status::invalid_argument("another state")),
        })
    }
}

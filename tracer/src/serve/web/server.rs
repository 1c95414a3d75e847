//! Accepts connections and answers them, with bounds on what a caller may cost.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, bail};
use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::{
    header::CONTENT_TYPE,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::{
    Site,
    callers::{Callers, Connected},
    router,
};
use crate::hint::Hint as _;

/// Connections at once. For another one, the one that is silent longest is closed.
pub const CONNECTIONS: usize = 64;

/// A head that takes longer ends its connection, and so does silence between two requests.
pub const HEAD_TIME: Duration = Duration::from_secs(5);

/// The type of an answer without end.
const EVENTS: &str = "text/event-stream";

/// Bytes of a head.
const HEAD_BYTES: usize = 16 << 10;

/// The server, on a thread of its own.
pub struct Web {
    address: SocketAddr,
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Web {
    /// Listens, and answers from then on.
    ///
    /// # Errors
    /// When the address can't be listened on, or is none of loopback and there is no token.
    pub fn start(address: SocketAddr, site: Site) -> anyhow::Result<Web> {
        if !address.ip().is_loopback() && site.config.token.is_none() {
            bail!(
                "web.listen {address} can be reached from other hosts: set web.token, or listen on {}",
                SocketAddr::new(IpAddr::from([127, 0, 0, 1]), address.port())
            );
        }
        let listener = std::net::TcpListener::bind(address)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .with_context(|| format!("can't listen on {address}"))
            .hint("set web.listen to another address, or to \"\" for none")?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("tracer-web".to_owned()).spawn(move || {
            let served = runtime.block_on(async {
                let site = Arc::new(site);
                tokio::spawn(site.clone().watch());
                tokio::select! {
                    served = accept(listener, site) => served,
                    _ = ended => Ok(()),
                }
            });
            if let Err(error) = served {
                eprintln!("tracer: the page is no longer served: {error:#}");
            }
            // What is being answered is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Web { address, end, thread })
    }

    /// Where it listens: with the port that was chosen, where any would do.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends what is being answered.
    pub fn end(self) {
        // It has ended already where nobody listens.
        let _ = self.end.send(());
        let _ = self.thread.join();
    }
}

async fn accept(listener: std::net::TcpListener, site: Arc<Site>) -> anyhow::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let router = router(site);
    let callers = Callers::new(CONNECTIONS);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Of a connection that is gone, or for want of file descriptors, which others give back.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let connected = callers.admit().await;
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(answer(stream, connected, service));
    }
}

async fn answer(stream: TcpStream, connected: Connected, service: TowerToHyperService<axum::Router>) {
    let caller = &connected.caller;
    let service = service_fn(|request| {
        let answering = caller.answering();
        let answer = service.call(request);
        async {
            let answer = answer.await?;
            if answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == EVENTS) {
                answering.has_no_end();
            }
            let until_the_last = |body: Body| {
                body.map_frame(move |frame| {
                    let _held = &answering;
                    frame
                })
            };
            Ok::<_, Infallible>(answer.map(until_the_last))
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_BYTES);
    tokio::select! {
        // A caller that does not speak HTTP, or goes away, is nobody's error.
        _ = http.serve_connection(TokioIo::new(stream), service) => {}
        () = caller.goes() => {}
    }
}

//! Shows a history without tracing.

use std::{path::Path, process::ExitCode};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    config::Config,
    web::{Site, Web},
};
use crate::hint::Hint as _;

/// Serves the page and the API until SIGTERM or Ctrl-C.
///
/// # Errors
/// When the history can't be read, or the address can't be listened on.
pub fn run(config: Config, history: &Path) -> anyhow::Result<ExitCode> {
    let address = config
        .web
        .listen
        .context("web.listen is empty")
        .hint("set it to the address that the history is to be shown on")?;
    let web = Web::start(address, Site::of_past(config, history.to_owned())?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        eprintln!("tracer: serving {} at http://{}", history.display(), web.address());
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        anyhow::Ok(())
    })?;
    web.end();
    Ok(ExitCode::SUCCESS)
}

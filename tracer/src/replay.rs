//! From ordered events to the report: the same code for a live run and for a capture.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;

use crate::{
    capture::Capture,
    event::Event,
    model::{Model, Patience},
    report::{
        build::{Origin, assemble, build},
        types::Report,
    },
    vendor::VendorTable,
};

/// Follows events as they come, and makes the report of them at the end.
pub struct Replay {
    vendors: Arc<VendorTable>,
    model: Model,
    last_ns: u64,
}

impl Replay {
    pub fn new(vendors: Arc<VendorTable>) -> Self {
        Replay { model: Model::new(vendors.clone()), vendors, last_ns: 0 }
    }

    pub fn apply(&mut self, event: &Event) {
        self.last_ns = self.last_ns.max(event.ts_ns);
        self.model.apply(event);
    }

    pub fn model(&mut self) -> &mut Model {
        &mut self.model
    }

    /// Requests that are done at `at_ns`, and what else there is to tell since the last time, without what needs other
    /// requests beside them.
    pub fn hand_out(&mut self, origin: &Origin, at_ns: u64, patience: &Patience) -> Report {
        let outcome = self.model.hand_out(at_ns, patience);
        assemble(origin, at_ns, &outcome, &self.vendors)
    }

    /// As [`Replay::hand_out`], of all that is left.
    pub fn hand_out_rest(self, origin: &Origin, end_ns: u64) -> Report {
        assemble(origin, end_ns, &self.model.finish(end_ns), &self.vendors)
    }

    /// The report, of a recording that ended at `end_ns`, or with its last event where that is not known.
    pub fn finish(self, origin: &Origin, end_ns: Option<u64>) -> Report {
        let end_ns = end_ns.unwrap_or(self.last_ns);
        let outcome = self.model.finish(end_ns);
        build(origin, end_ns, &outcome, &self.vendors)
    }
}

/// The report of a capture file, and what is wrong with the file, if anything.
pub fn report(path: &Path, vendors: Arc<VendorTable>) -> anyhow::Result<(Report, Option<String>)> {
    let file = std::fs::File::open(path).with_context(|| {
        format!("can't open the capture {}: `tracer record -o FILE` writes one", path.display())
    })?;
    let capture =
        Capture::read(std::io::BufReader::new(file)).with_context(|| format!("{}", path.display()))?;
    let mut replay = Replay::new(vendors);
    for event in &capture.events {
        replay.apply(event);
    }
    let damage = capture.damage.map(|damage| {
        format!("{}: {damage} after {} events; the report covers those", path.display(), capture.events.len())
    });
    Ok((replay.finish(&capture.origin, capture.end_ns), damage))
}

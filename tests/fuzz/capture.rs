//! Capture files: whatever can be read of one gives a report, in which buckets sum to the wall time.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use tracer::{capture::Capture, replay::Replay, vendor::VendorTable};

static VENDORS: LazyLock<Arc<VendorTable>> = LazyLock::new(|| Arc::new(VendorTable::builtin()));

fuzz_target!(|data: &[u8]| {
    let Ok(capture) = Capture::read(data) else { return };
    let mut replay = Replay::new(VENDORS.clone());
    capture.events.iter().for_each(|event| replay.apply(event));
    let report = replay.finish(&capture.origin, capture.end_ns);
    for request in &report.requests {
        assert_eq!(request.buckets.sum(), request.wall_ns);
    }
});

//! Plaintext of TLS sessions: HTTP and the contents of bodies.

#![no_main]

use std::sync::{Arc, LazyLock};

use fuzz::{Transfers, check};
use libfuzzer_sys::fuzz_target;
use tracer::{vendor::VendorTable, wire::Wire};

static VENDORS: LazyLock<Arc<VendorTable>> = LazyLock::new(|| Arc::new(VendorTable::builtin()));

fuzz_target!(|data: &[u8]| {
    let mut wire = Wire::new(VENDORS.clone());
    for (direction, length, copied) in Transfers::new(data) {
        check(&wire.reduce_plain((1, 2), direction, length, copied), copied);
    }
});

//! Records of the ring buffer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::ingest::decode::decode;

fuzz_target!(|data: &[u8]| {
    if let Ok(raw) = decode(data) {
        assert!(raw.copied.len() <= data.len());
    }
});

//! What is known of a process.

use serde::{Deserialize, Serialize};

use crate::report::bucket::Bucket;

/// What is known of a process that runs Python.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessFacts {
    /// Since the epoch.
    pub start_unix_ns: u64,
    pub exe: String,
    /// Arguments, shortened; values that look like secrets are not kept.
    pub cmdline: String,
    /// `3.11.2`, or `3.11` where only that is known.
    pub python: Option<String>,
    pub container_id: Option<String>,
    /// First address of `_PyRuntime` in the process, and the one behind its last: a futex inside is the GIL.
    pub runtime: Option<(u64, u64)>,
    /// Buckets that no probe can see in this process, with the reason.
    pub unknown: Vec<Unknown>,
    /// Those that samples tell of instead, as [`super::Body::Sampled`] says.
    #[serde(skip)]
    pub sampled: Vec<Unknown>,
}

impl ProcessFacts {
    /// Samples tell of a bucket that no probe can see.
    pub fn is_sampled(&mut self, bucket: &str) {
        self.sampled.extend(self.unknown.extract_if(.., |unknown| unknown.bucket == bucket));
    }

    /// Whether only samples tell of a bucket.
    pub fn samples(&self, bucket: Bucket) -> bool {
        self.sampled.iter().any(|sampled| sampled.bucket == bucket.name())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unknown {
    /// A bucket's name, as in the report.
    pub bucket: String,
    pub reason: String,
}

//! An annotation that comes to a pod which runs.

use std::cell::Cell;

use tests::lab::LIMIT;

use crate::installed::{Installed, names};

/// Tracing of the pod ends with the annotation, and begins again without it. `app` is a process in it.
pub fn check(installed: &Installed, pod: &str, app: u32) {
    let annotate = |annotation: &str| {
        installed.cluster.kubectl(&["-n", "llm", "annotate", "pod", pod, annotation]);
    };
    annotate("tracer/trace=false");
    installed.cluster.wait_until("the pod is left", || {
        installed.log().contains(&format!("process {app} is not traced any more"))
    });
    installed.drive(app, "hidden", "10").finish(LIMIT).expect_code(0);
    annotate("tracer/trace-");
    let tries = Cell::new(0);
    installed.cluster.wait_until("the pod is traced again", || {
        tries.set(tries.get() + 1);
        let prefix = format!("again{}-", tries.get());
        installed.drive(app, &prefix, "1").finish(LIMIT).expect_code(0);
        !names(&installed.report(), "again").is_empty()
    });
    installed.drive(app, "shown", "20").finish(LIMIT).expect_code(0);
    installed.wait_for("shown", 20);
    assert!(names(&installed.report(), "hidden").is_empty(), "it was traced against its will");
}

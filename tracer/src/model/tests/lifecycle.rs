//! Stories of threads and processes that end.

use super::*;

const OTHER: u32 = PID + 1;

#[test]
fn a_thread_whose_end_was_not_seen_ends_with_its_process() {
    let mut story = Story::new();
    story
        .at(100, Body::Fork { child_tgid: PID, child_tid: OTHER })
        .on(OTHER)
        .at(200, Body::SwitchIn { wake_ns: 0, waker_tid: 0 })
        .on(PID)
        .out(250, Wait::Sleep)
        .at(300, Body::Exit)
        .at(310, Body::ProcessEnd)
        // What comes of it afterwards is of nobody's.
        .on(OTHER)
        .at(320, Body::SwitchOut { state: OffState::Dead, wait: Wait::None, cpu_ns: 0 });
    let report = story.report(10_000);
    assert_eq!(report.requests[0].wall_ns, 310 * US);
    assert_eq!(report.requests[0].cpu_ns, (250 + 110) * US);
}

//! Stories of threads on the CPU, and of what the kernel and a hypervisor do not tell of it.

use super::*;
use crate::event::Function;

#[test]
fn stolen_time_is_no_cpu_time() {
    let mut story = Story::new();
    let out =
        |cpu_us: u64| Body::SwitchOut { state: OffState::Runnable, wait: Wait::None, cpu_ns: cpu_us * US };
    story.at(1_000, out(5_000)).back(0, 1_010).at(4_010, out(7_000)).back(0, 4_020).at(5_020, Body::Exit);
    let report = story.report(6_000);
    assert_eq!(
        buckets(&report, 0),
        [("python.cpu", 1_000 + 2_000 + 1_000), ("wait.runqueue", 10 + 1_000 + 10)]
    );
    assert_eq!(report.requests[0].cpu_ns, 4_000 * US);
}

#[test]
fn a_switch_in_that_was_not_seen_is_inferred_from_cpu_time() {
    let mut story = Story::new();
    let out =
        |cpu_us: u64| Body::SwitchOut { state: OffState::Runnable, wait: Wait::None, cpu_ns: cpu_us * US };
    story.at(1_000, out(5_000)).at(4_000, out(7_500)).back(0, 4_100).at(5_000, Body::Exit);
    let report = story.report(6_000);
    assert_eq!(buckets(&report, 0), [("python.cpu", 1_000 + 2_500 + 900), ("wait.runqueue", 500 + 100)]);
}

/// The end of its syscall tells that it is back, and when it was woken; its CPU time, since when.
#[test]
fn a_disk_wait_whose_end_was_not_seen_ends_when_it_was_woken() {
    let mut story = Story::new();
    let out =
        |cpu_us: u64| Body::SwitchOut { state: OffState::Blocked, wait: Wait::File, cpu_ns: cpu_us * US };
    let function = Function { name: "save".into(), file: "/srv/app.py".into(), line: 7 };
    let frames = vec![0x51];
    story
        .at(0, Body::Code { address: 0x51, function })
        .at(1_000, Body::Waiting { frames: frames.clone() })
        .at(1_000, out(5_000))
        .at(1_900, Body::OnCpu { wake_ns: 1_300 * US, waker_tid: 0 })
        .at(2_000, Body::Waiting { frames })
        .at(2_000, out(5_200))
        .back(2_100, 2_110)
        .at(3_000, Body::Exit);
    let report = story.report(4_000);
    assert_eq!(
        buckets(&report, 0),
        [("python.cpu", 1_000 + 200 + 890), ("wait.runqueue", 500 + 10), ("wait.disk", 300 + 100)]
    );
    let waits = &report.requests[0].waits;
    assert_eq!(waits.iter().map(|wait| wait.wait_ns).sum::<u64>(), 400 * US, "{waits:?}");
}

#[test]
fn a_request_that_was_answered_before_its_switch_in_shows_still_gets_its_cpu_time() {
    let mut story = Story::new();
    let out =
        |cpu_us: u64| Body::SwitchOut { state: OffState::Runnable, wait: Wait::None, cpu_ns: cpu_us * US };
    story
        .request_begun()
        // Back on CPU since 2000, which nothing shows before the answer at 5000.
        .at(1_000, out(5_000))
        .answer_sent(5_000)
        .exit(5_100)
        .at(5_200, out(8_200));
    let report = story.report(6_000);
    assert_eq!(buckets(&report, 0), [("python.cpu", 990 + 3_000), ("wait.runqueue", 1_000)]);
    assert_eq!(report.requests[0].cpu_ns, (990 + 3_000) * US);
}

/// The step that keeps the loop busy is preempted: whoever waits for the loop still waits for that step.
#[test]
fn a_busy_loop_without_a_cpu_is_still_a_busy_loop() {
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .enter(0, 0xc)
        .arrival(100, CALLER, 100)
        .at(200, Body::SwitchOut { state: OffState::Runnable, wait: Wait::None, cpu_ns: 0 })
        .back(0, 500)
        .exit(700)
        .at(700, Body::SwitchOut { state: OffState::Runnable, wait: Wait::None, cpu_ns: 0 })
        .back(0, 800)
        .enter(800, 0xa)
        .request_read(800)
        .answer_sent(900);
    let report = story.report(1_000);
    assert_eq!(buckets(&report, 0), [("python.cpu", 100), ("wait.loop", 600), ("wait.runqueue", 100)]);
}

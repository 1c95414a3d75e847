//! Stories of loops that sleep until a timer is due.

use super::*;

#[test]
fn a_timer_is_a_sleep() {
    let mut story = Story::new();
    story
        .task_begun()
        .exit(30)
        .out(30, Wait::Epoll { timeout_ns: Some(5_000 * US) })
        .back(5_030, 5_040)
        .enter(5_050, 0xb)
        .answer_sent(5_060);
    let report = story.report(6_000);
    assert_eq!(
        buckets(&report, 0),
        [("python.cpu", 30), ("wait.loop", 10), ("wait.runqueue", 10), ("wait.sleep", 5_000)]
    );
}

/// The kernel lets a poll sleep on where what woke it is gone by the time it looks.
#[test]
fn a_sleep_that_is_woken_in_vain_is_one_sleep() {
    let mut story = Story::new();
    story
        .task_begun()
        .exit(30)
        .out(30, Wait::Epoll { timeout_ns: Some(5_000 * US) })
        .back(2_030, 2_040)
        .out(2_040, Wait::Epoll { timeout_ns: Some(2_990 * US) })
        .back(5_030, 5_040)
        .enter(5_050, 0xb)
        .answer_sent(5_060);
    let report = story.report(6_000);
    assert_eq!(
        buckets(&report, 0),
        [("python.cpu", 30), ("wait.loop", 10), ("wait.runqueue", 10), ("wait.sleep", 5_000)]
    );

    let mut story = Story::new();
    story
        .out(1_000, Wait::Poll { connection: None, timeout_ns: Some(5_000 * US) })
        .back(3_000, 3_010)
        .out(3_020, Wait::Poll { connection: None, timeout_ns: Some(2_980 * US) })
        .back(6_000, 6_000)
        .at(7_000, Body::Exit);
    let report = story.report(8_000);
    assert_eq!(
        buckets(&report, 0),
        [("python.cpu", 1_000 + 10 + 1_000), ("wait.runqueue", 10), ("wait.sleep", 2_000 + 2_980)]
    );
}

#[test]
fn a_sleep_ends_also_where_other_things_woke_the_loop() {
    let mut story = Story::new();
    story
        .task_begun()
        .exit(30)
        // The sleep is over at 5030, but data for somebody else wake the loop before, and keep it until 5050.
        .out(30, Wait::Epoll { timeout_ns: Some(5_000 * US) })
        .back(4_000, 4_000)
        .enter(4_000, 0xc)
        .exit(5_050)
        .enter(5_050, 0xb)
        .at(5_050, Body::SleepEnded)
        .answer_sent(5_060);
    let report = story.report(6_000);
    assert_eq!(buckets(&report, 0), [("python.cpu", 30), ("wait.loop", 20), ("wait.sleep", 5_000)]);
}

#[test]
fn an_answer_is_no_timer_also_when_the_loops_last_sleep_timed_out() {
    let mut story = Story::new();
    story
        .request_begun()
        .tls_opened(11)
        .call_sent(12)
        // The handle that will read the answer.
        .at(15, Body::ContextCopy { context: 0xb })
        .exit(20)
        .out(20, Wait::Epoll { timeout_ns: Some(5_000 * US) })
        .back(5_020, 5_020)
        // Somebody else keeps the loop.
        .enter(5_020, 0xc)
        .arrival(7_020, VENDOR, 200)
        .exit(9_020)
        .enter(9_020, 0xb)
        .answer_read(9_020, 200)
        .answer_sent(9_040);
    let report = story.report(10_000);
    assert_eq!(buckets(&report, 0), [("llm.first_byte", 7_000), ("python.cpu", 30), ("wait.loop", 2_000)]);
}

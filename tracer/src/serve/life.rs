//! What the service manager is told, where there is one (sd_notify(3)).

use std::time::Duration;

use sd_notify::NotifyState;

/// A manager that gives a time in which it wants to hear of the daemon is told so in half of it.
const SHARE: u32 = 2;

/// The daemon traces.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It is well.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often it is to say so.
pub fn interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|timeout| timeout / SHARE)
}

fn tell(states: &[NotifyState]) {
    // Without a manager nothing is sent; one that does not listen ends the daemon by its own rules.
    let _ = sd_notify::notify(states);
}

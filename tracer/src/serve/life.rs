//! What the service manager is told, where there is one (sd_notify(3)).

use std::{
    io,
    sync::mpsc::{SyncSender, sync_channel},
    thread,
    time::Duration,
};

use sd_notify::NotifyState;

/// A manager that gives a time in which it wants to hear of the daemon is told so in half of it.
const SHARE: u32 = 2;

/// Messages that wait for a manager which does not take them. More are not sent: that it is slow must not make the daemon so.
const WAITING: usize = 4;

/// Tells the manager, from a thread of its own.
pub struct Manager(SyncSender<NotifyState<'static>>);

impl Manager {
    pub fn new() -> io::Result<Manager> {
        let (sender, states) = sync_channel(WAITING);
        thread::Builder::new().name("tracer-life".to_owned()).spawn(move || {
            for state in states {
                // Without a manager nothing is sent; one that can't be told ends the daemon by its own rules.
                let _ = sd_notify::notify(&[state]);
            }
        })?;
        Ok(Manager(sender))
    }

    /// The daemon traces.
    pub fn ready(&self) {
        self.tell(NotifyState::Ready);
    }

    /// It ends.
    pub fn stopping(&self) {
        self.tell(NotifyState::Stopping);
    }

    /// It is well.
    pub fn alive(&self) {
        self.tell(NotifyState::Watchdog);
    }

    fn tell(&self, state: NotifyState<'static>) {
        let _ = self.0.try_send(state);
    }
}

/// How often it is to be told that the daemon is well.
pub fn interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|timeout| timeout / SHARE)
}

//! Who is connected: so many at once, of whom one that is silent makes room for another.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// An answer that takes longer to be read may be cut short.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// All of them.
pub struct Callers {
    room: Arc<Semaphore>,
    list: Mutex<Vec<Arc<Caller>>>,
}

/// One connection.
pub struct Caller {
    /// From when on it may be sent away: since it asks for nothing, or until it should have read its answer. `None` while
    /// it takes events, and once it was sent away.
    may_go_from: Mutex<Option<Instant>>,
    goes: Notify,
}

/// While it is there, a caller is connected.
pub struct Connected {
    callers: Arc<Callers>,
    pub caller: Arc<Caller>,
    _room: OwnedSemaphorePermit,
}

/// While it is there, a caller is answered.
pub struct Answering(Arc<Caller>);

impl Callers {
    /// Room for so many.
    pub fn new(at_once: usize) -> Arc<Callers> {
        Arc::new(Callers { room: Arc::new(Semaphore::new(at_once)), list: Mutex::default() })
    }

    /// Takes in another one. Where there is no room, that waits for the one who is silent longest to go, or for an answer
    /// to end.
    pub async fn admit(self: &Arc<Callers>) -> Connected {
        if self.room.available_permits() == 0 {
            self.send_away();
        }
        let room = self.room.clone().acquire_owned().await.expect("the semaphore is never closed");
        let caller = Arc::new(Caller { may_go_from: Mutex::new(Some(Instant::now())), goes: Notify::new() });
        lock(&self.list).push(caller.clone());
        Connected { callers: self.clone(), caller, _room: room }
    }

    fn send_away(&self) {
        let list = lock(&self.list);
        let now = Instant::now();
        let from = list.iter().filter_map(|caller| Some(((*lock(&caller.may_go_from))?, caller)));
        if let Some((_, caller)) = from.filter(|(from, _)| *from <= now).min_by_key(|(from, _)| *from) {
            *lock(&caller.may_go_from) = None;
            caller.goes.notify_one();
        }
    }
}

impl Caller {
    pub fn answering(self: &Arc<Caller>) -> Answering {
        *lock(&self.may_go_from) = Some(Instant::now() + ANSWER_TIME);
        Answering(self.clone())
    }

    /// Waits until it is to make room for another.
    pub async fn goes(&self) {
        self.goes.notified().await;
    }
}

impl Answering {
    /// The answer ends when the caller wants no more of it.
    pub fn has_no_end(&self) {
        *lock(&self.0.may_go_from) = None;
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        *lock(&self.0.may_go_from) = Some(Instant::now());
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        lock(&self.callers.list).retain(|caller| !Arc::ptr_eq(caller, &self.caller));
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    /// What is there at once.
    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn who_is_silent_longest_goes_when_there_is_no_room() {
        let callers = Callers::new(3);
        let answered = now(callers.admit()).expect("there is room");
        let answering = answered.caller.answering();
        let longest = now(callers.admit()).expect("there is room");
        let other = now(callers.admit()).expect("there is room");
        assert!(now(longest.caller.goes()).is_none());
        assert!(now(callers.admit()).is_none());
        assert!(now(longest.caller.goes()).is_some());
        assert!(now(other.caller.goes()).is_none());
        drop(longest);
        let in_its_place = now(callers.admit()).expect("there is room");
        drop(answering);
        assert!(now(callers.admit()).is_none());
        assert!(now(other.caller.goes()).is_some());
        assert!(now(callers.admit()).is_none());
        assert!(now(in_its_place.caller.goes()).is_some());
    }

    #[test]
    fn who_is_answered_stays() {
        let callers = Callers::new(1);
        let answered = now(callers.admit()).expect("there is room");
        let _answering = answered.caller.answering();
        assert!(now(callers.admit()).is_none());
        assert!(now(answered.caller.goes()).is_none());
    }
}

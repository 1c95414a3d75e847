//! Containers of pods of which the runtime has not told yet: whether it still may.
//!
//! It is asked from time to time, so a new pod is not known at first, nor whether it opts out. It is once a list came that was
//! asked for after the container was seen; one that is not in that either is none of this runtime's.

use std::collections::HashMap;

/// Containers that are waited for. Beyond, nothing is.
const MOST: usize = 2_048;

#[derive(Debug, Default)]
pub struct Unknown {
    /// How often the runtime was asked.
    asked: u64,
    /// The last of these times that it answered; `None` while it does not tell.
    answered: Option<u64>,
    /// By container: how often it had been asked when that was first seen.
    seen: HashMap<String, u64>,
}

impl Unknown {
    /// The runtime is asked.
    pub fn ask(&mut self) {
        self.asked += 1;
    }

    /// It has answered. Gives whether that decides of any.
    pub fn answered(&mut self) -> bool {
        let before = self.answered.replace(self.asked).unwrap_or_default();
        self.seen.values().any(|seen| (before..self.asked).contains(seen))
    }

    /// It does not tell any more, or is not asked. Gives whether any waited for that.
    pub fn silent(&mut self) -> bool {
        let answered = self.answered.take();
        let any_waits = self.seen.values().any(|seen| answered.is_some_and(|answered| answered <= *seen));
        self.seen.clear();
        any_waits
    }

    /// Whether the pod of a container may still be told of.
    pub fn may_be_told(&mut self, container: &str) -> bool {
        let Some(answered) = self.answered else { return false };
        if let Some(seen) = self.seen.get(container) {
            return answered <= *seen;
        }
        let has_room = self.seen.len() < MOST;
        if has_room {
            self.seen.insert(container.to_owned(), self.asked);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_decides_that_was_asked_for_after_a_container_was_seen() {
        let mut unknown = Unknown::default();
        assert!(!unknown.may_be_told("0e"), "nobody tells");
        unknown.ask();
        assert!(!unknown.answered());
        unknown.ask();
        assert!(unknown.may_be_told("0f"));
        assert!(!unknown.answered() && unknown.may_be_told("0f"), "it may have begun since");
        unknown.ask();
        assert!(unknown.answered() && !unknown.may_be_told("0f"));
        unknown.ask();
        assert!(!unknown.answered() && !unknown.may_be_told("0f"), "it was decided");
        assert!(unknown.may_be_told("aa") && unknown.silent());
        assert!(!unknown.may_be_told("aa") && !unknown.silent());
    }

    #[test]
    fn so_many_are_waited_for() {
        let mut unknown = Unknown::default();
        unknown.ask();
        unknown.answered();
        let waiting = (0..MOST + 10).filter(|number| unknown.may_be_told(&number.to_string())).count();
        assert_eq!(waiting, MOST);
    }
}

//! Which processes of a host are meant, by a choice that may change its mind.

use std::collections::HashSet;

use crate::python::discover::is_there;

/// Which processes of a host are meant.
pub trait Choice {
    /// Whether this one is; `None` while that can't be told. One that has ended is not.
    fn is_meant(&self, tgid: u32) -> Option<bool>;

    /// Whether one that is traced, for itself or as what another one made, may go on being so.
    fn may_stay(&self, _: u32) -> bool {
        true
    }

    /// Rises when both may say something else than before.
    fn version(&self) -> u64 {
        0
    }
}

/// Every process is meant.
pub struct All;

impl Choice for All {
    fn is_meant(&self, _: u32) -> Option<bool> {
        Some(true)
    }
}

/// A choice, and what is to be asked of it again.
pub struct Chooser {
    choice: Box<dyn Choice>,
    /// Processes that run Python and are not meant, or of which that can't be told.
    aside: HashSet<u32>,
    /// The choice's version when they were asked about; `None` where that is to be done anyhow.
    asked_at: Option<u64>,
}

impl Chooser {
    pub fn new(choice: impl Choice + 'static) -> Chooser {
        let asked_at = Some(choice.version());
        Chooser { choice: Box::new(choice), aside: HashSet::new(), asked_at }
    }

    /// Whether a process is meant; where that can't be told yet, not for now.
    pub fn is_chosen(&mut self, tgid: u32) -> bool {
        let is_chosen = self.choice.is_meant(tgid) == Some(true);
        if !is_chosen {
            self.aside.insert(tgid);
        }
        is_chosen
    }

    /// Whether the choice may have changed its mind since this was last asked.
    pub fn may_differ(&mut self) -> bool {
        let version = Some(self.choice.version());
        version != std::mem::replace(&mut self.asked_at, version)
    }

    /// Of those that were set aside: the ones that are meant now.
    pub fn choose_again(&mut self) -> Vec<u32> {
        let aside = std::mem::take(&mut self.aside);
        aside.into_iter().filter(|tgid| is_there(*tgid) && self.is_chosen(*tgid)).collect()
    }

    /// Of those that are traced: the ones that are not to be any more. They are set aside, and what they may have made meanwhile is
    /// asked about the next time.
    pub fn leave(&mut self, traced: Vec<u32>) -> Vec<u32> {
        let left: Vec<u32> = traced.into_iter().filter(|tgid| !self.choice.may_stay(*tgid)).collect();
        self.aside.extend(&left);
        if !left.is_empty() {
            self.asked_at = None;
        }
        left
    }

    /// A process has ended.
    pub fn ended(&mut self, tgid: u32) {
        self.aside.remove(&tgid);
    }

    /// Forgets those that ended: nothing tells of the end of who is not traced.
    pub fn sweep(&mut self) {
        self.aside.retain(|tgid| is_there(*tgid));
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use super::*;

    /// One answer for all, which can be changed.
    #[derive(Clone, Default)]
    struct Mind(Rc<Cell<(Option<bool>, u64)>>);

    impl Mind {
        fn change(&self, is_meant: Option<bool>) {
            self.0.set((is_meant, self.0.get().1 + 1));
        }
    }

    impl Choice for Mind {
        fn is_meant(&self, _: u32) -> Option<bool> {
            self.0.get().0
        }

        fn may_stay(&self, _: u32) -> bool {
            self.0.get().0 != Some(false)
        }

        fn version(&self) -> u64 {
            self.0.get().1
        }
    }

    #[test]
    fn who_is_left_is_chosen_again_when_the_choice_changes() {
        let (mind, own) = (Mind::default(), std::process::id());
        let mut chooser = Chooser::new(mind.clone());
        assert!(!chooser.is_chosen(own) && !chooser.may_differ());
        mind.change(Some(true));
        assert!(chooser.may_differ() && !chooser.may_differ());
        assert_eq!(chooser.choose_again(), [own]);
        assert_eq!(chooser.choose_again(), [0; 0], "it is traced now");
        mind.change(None);
        assert_eq!((chooser.may_differ(), chooser.leave(vec![own])), (true, vec![]));
        mind.change(Some(false));
        assert_eq!((chooser.may_differ(), chooser.leave(vec![own])), (true, vec![own]));
        // It may have made another one before it was left.
        assert_eq!((chooser.may_differ(), chooser.leave(vec![])), (true, vec![]));
        assert!(!chooser.may_differ());
        mind.change(Some(true));
        assert_eq!((chooser.may_differ(), chooser.choose_again()), (true, vec![own]));
    }

    #[test]
    fn who_has_ended_is_forgotten() {
        let mind = Mind::default();
        let mut chooser = Chooser::new(mind.clone());
        // No process has this number.
        assert!(!chooser.is_chosen(u32::MAX) && !chooser.is_chosen(std::process::id()));
        chooser.sweep();
        assert_eq!(chooser.aside.len(), 1);
        chooser.ended(std::process::id());
        mind.change(Some(true));
        assert_eq!(chooser.choose_again(), [0; 0]);
    }
}

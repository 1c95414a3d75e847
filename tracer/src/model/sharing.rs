//! Whose a stream is of a connection that several requests share.
//!
//! Clients collect what all their tasks write, and any of these sends it: who sends the beginning of a stream need not have
//! made it. But whoever sends or reads on a connection has something there, and what nobody else can have is theirs.

use std::collections::BTreeMap;

use foldhash::HashSet;

use crate::request::RequestId;

/// For whom a connection is used: a request, or what is outside of all that are followed.
pub type User = Option<RequestId>;

/// The streams of a connection whose answers are not whole, and whose they are.
#[derive(Clone, Debug, Default)]
pub struct Sharing {
    /// `None`: any of those who share the connection.
    owners: BTreeMap<u32, Option<User>>,
    /// Who has had one before, of those that are not done.
    past: HashSet<User>,
}

impl Sharing {
    /// Whether the stream has begun and is not over.
    pub fn knows(&self, stream: u32) -> bool {
        self.owners.contains_key(&stream)
    }

    pub fn owner(&self, stream: u32) -> Option<User> {
        self.owners.get(&stream).copied().flatten()
    }

    /// Somebody sends, among it the beginnings of these streams; `is_only` when no other request of the process is open.
    /// Gives those of which it is known by now that they are theirs.
    pub fn sends(&mut self, user: User, new: &[u32], is_only: bool) -> Vec<u32> {
        if new.is_empty() {
            return self.reads(user);
        }
        let is_known = self.owners.values().all(Option::is_some);
        let is_alone = self.owners.values().all(|owner| *owner == Some(user));
        let own = match new {
            _ if !is_known => &[],
            // Nobody else could have begun any.
            _ if is_alone && is_only => new,
            // It must have begun one. Those who wait to send have their turn in the order in which they have written, so
            // it is the first.
            _ if self.is_new(user) => &new[..1],
            // Others may be waiting, but not behind one who sends nothing besides.
            [_] if is_alone => new,
            _ => &[],
        };
        self.owners.extend(new.iter().map(|stream| (*stream, None)));
        self.own(user, own)
    }

    /// Somebody reads, who waits for an answer.
    pub fn reads(&mut self, user: User) -> Vec<u32> {
        let mut unknown = self.owners.iter().filter(|(_, owner)| owner.is_none()).map(|(stream, _)| *stream);
        match (unknown.next(), unknown.next()) {
            (Some(only), None) if self.is_new(user) => self.own(user, &[only]),
            _ => Vec::new(),
        }
    }

    /// A stream is over. Whether it was known whose it is.
    pub fn ends(&mut self, stream: u32) -> bool {
        let owner = self.owners.remove(&stream);
        self.past.extend(owner.flatten());
        owner != Some(None)
    }

    /// Requests that are answered have nothing more to do with the connection.
    pub fn forget(&mut self, is_open: impl Fn(RequestId) -> bool) {
        self.past.retain(|user| user.is_none_or(&is_open));
    }

    /// Everything, where it became too much.
    pub fn clear(&mut self) {
        self.owners.clear();
        self.past.clear();
    }

    /// Whether it has had nothing here yet, as far as is known.
    fn is_new(&self, user: User) -> bool {
        !self.past.contains(&user) && self.owners.values().all(|owner| *owner != Some(user))
    }

    fn own(&mut self, user: User, streams: &[u32]) -> Vec<u32> {
        self.owners.extend(streams.iter().map(|stream| (*stream, Some(user))));
        streams.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: User = Some(RequestId(1));
    const B: User = Some(RequestId(2));
    const C: User = Some(RequestId(3));

    #[test]
    fn streams_of_the_only_request_are_its_own() {
        let mut sharing = Sharing::default();
        assert_eq!(sharing.sends(A, &[1, 3], true), [1, 3]);
        assert_eq!(sharing.sends(A, &[5], true), [5]);
        assert!(sharing.ends(1));
        assert_eq!(sharing.owner(3), Some(A));
    }

    #[test]
    fn who_sends_has_begun_one() {
        let mut sharing = Sharing::default();
        assert_eq!(sharing.sends(A, &[1], false), [1]);
        assert_eq!(sharing.sends(B, &[3, 5], false), [3], "the first of them");
        assert_eq!(sharing.owner(5), None);
        assert_eq!(sharing.sends(A, &[7], false), [0; 0], "another's may be among what it sends");
        assert!(!sharing.ends(7));
    }

    #[test]
    fn who_has_nothing_yet_reads_for_what_is_left() {
        let mut sharing = Sharing::default();
        sharing.sends(A, &[1, 3], false);
        assert_eq!(sharing.reads(A), [0; 0], "it waits for its own");
        assert_eq!(sharing.reads(B), [3]);
        assert_eq!(sharing.reads(C), [0; 0]);
        assert_eq!(sharing.sends(C, &[5], false), [5], "all are known again");
    }

    #[test]
    fn of_two_that_are_left_nothing_is_known() {
        let mut sharing = Sharing::default();
        sharing.sends(A, &[1, 3, 5], false);
        assert_eq!(sharing.reads(B), [0; 0]);
        assert!(!sharing.ends(3));
        assert_eq!(sharing.reads(C), [5]);
    }

    #[test]
    fn who_had_one_may_read_for_others() {
        let mut sharing = Sharing::default();
        sharing.sends(A, &[1, 3], false);
        sharing.ends(1);
        assert_eq!(sharing.reads(A), [0; 0]);
        sharing.forget(|request| Some(request) == A);
        assert_eq!(sharing.reads(A), [0; 0], "as long as it is not answered");
    }
}

//! Whose a stream is of a connection that several requests share.
//!
//! Clients collect what all their tasks write, and any of these sends it: who sends the beginning of a stream need not have
//! made it. Of some clients probes tell for which stream a task works. Of others, whoever sends or reads on a connection has
//! something there, and what nobody else can have is theirs.

use std::collections::BTreeMap;

use foldhash::HashSet;

use crate::request::RequestId;

/// For whom a connection is used: a request, or what is outside of all that are followed.
pub type User = Option<RequestId>;

/// What somebody sends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sending<'a> {
    pub user: User,
    /// Streams whose beginnings are in it.
    pub new: &'a [u32],
    /// There is more in it than these.
    pub besides: bool,
    /// No other request of the process is open.
    pub is_only: bool,
    /// The stream that they work for, where that is known.
    pub works_on: Option<u32>,
}

/// The streams of a connection whose answers are not whole, and whose they are.
#[derive(Clone, Debug, Default)]
pub struct Sharing {
    /// `None`: any of those who share the connection.
    owners: BTreeMap<u32, Option<User>>,
    /// Whose those are that have not begun, where that is known.
    expected: BTreeMap<u32, User>,
    /// The last that has begun: they count up.
    last: u32,
    /// The client is one of which probes tell.
    is_told: bool,
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

    /// Somebody sends. Gives the streams of which it is known by now whose they are.
    pub fn sends(&mut self, sending: &Sending) -> Vec<u32> {
        let Sending { user, new, .. } = *sending;
        let mut known = Vec::new();
        if let Some(told) = sending.works_on {
            known.extend(self.is_of(user, told).then_some(told).filter(|told| self.knows(*told)));
        }
        if new.is_empty() && !self.is_told {
            return self.reads(user);
        }
        let own = if self.is_told { &[] } else { self.inferred(sending) };
        for stream in new {
            let expected = self.expected.remove(stream);
            known.extend(expected.map(|_| *stream));
            self.owners.insert(*stream, expected);
        }
        self.last = self.last.max(new.iter().copied().max().unwrap_or(0));
        known.extend(self.own(user, own));
        known
    }

    /// Which of the beginnings must be the sender's.
    fn inferred<'a>(&self, sending: &Sending<'a>) -> &'a [u32] {
        let Sending { user, new, besides, is_only, .. } = *sending;
        let is_known = self.owners.values().all(Option::is_some);
        let is_alone = self.owners.values().all(|owner| *owner == Some(user));
        match new {
            _ if !is_known => &[],
            // Nobody else could have begun any.
            _ if is_alone && is_only => new,
            // It must have begun one. Those who wait to send have their turn in the order in which they have written, so
            // it is the first.
            _ if self.is_new(user) => &new[..1],
            // Others may be waiting, but not behind one who sends nothing besides.
            [_] if is_alone && !besides => new,
            _ => &[],
        }
    }

    /// From here on probes tell for which stream somebody works.
    pub fn set_told(&mut self) {
        self.is_told = true;
    }

    /// A stream is somebody's, which may be about to begin. Whether that was not known.
    pub fn is_of(&mut self, user: User, stream: u32) -> bool {
        match self.owners.get_mut(&stream) {
            Some(owner @ None) => {
                *owner = Some(user);
                true
            }
            Some(Some(_)) => false,
            None => stream > self.last && self.expected.insert(stream, user).is_none(),
        }
    }

    /// Somebody reads, who waits for an answer.
    pub fn reads(&mut self, user: User) -> Vec<u32> {
        if self.is_told {
            return Vec::new();
        }
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

    fn sends(sharing: &mut Sharing, user: User, new: &[u32], is_only: bool) -> Vec<u32> {
        sharing.sends(&Sending { user, new, is_only, ..Sending::default() })
    }

    #[test]
    fn streams_of_the_only_request_are_its_own() {
        let mut sharing = Sharing::default();
        assert_eq!(sends(&mut sharing, A, &[1, 3], true), [1, 3]);
        assert_eq!(sends(&mut sharing, A, &[5], true), [5]);
        assert!(sharing.ends(1));
        assert_eq!(sharing.owner(3), Some(A));
    }

    #[test]
    fn who_sends_has_begun_one() {
        let mut sharing = Sharing::default();
        assert_eq!(sends(&mut sharing, A, &[1], false), [1]);
        assert_eq!(sends(&mut sharing, B, &[3, 5], false), [3], "the first of them");
        assert_eq!(sharing.owner(5), None);
        assert_eq!(sends(&mut sharing, A, &[7], false), [0; 0], "another's may be among what it sends");
        assert!(!sharing.ends(7));
    }

    #[test]
    fn who_has_nothing_yet_reads_for_what_is_left() {
        let mut sharing = Sharing::default();
        sends(&mut sharing, A, &[1, 3], false);
        assert_eq!(sharing.reads(A), [0; 0], "it waits for its own");
        assert_eq!(sharing.reads(B), [3]);
        assert_eq!(sharing.reads(C), [0; 0]);
        assert_eq!(sends(&mut sharing, C, &[5], false), [5], "all are known again");
    }

    #[test]
    fn of_two_that_are_left_nothing_is_known() {
        let mut sharing = Sharing::default();
        sends(&mut sharing, A, &[1, 3, 5], false);
        assert_eq!(sharing.reads(B), [0; 0]);
        assert!(!sharing.ends(3));
        assert_eq!(sharing.reads(C), [5]);
    }

    #[test]
    fn the_end_of_another_is_sent_with_the_beginning_of_anybodys() {
        let mut sharing = Sharing::default();
        let sending = Sending { user: A, new: &[1], ..Sending::default() };
        assert_eq!(sharing.sends(&sending), [1]);
        assert_eq!(sharing.sends(&Sending { new: &[3], besides: true, ..sending }), [0; 0]);
        assert_eq!(
            sharing.sends(&Sending { new: &[3], ..sending }),
            [0; 0],
            "it is not known whose the other is"
        );
    }

    #[test]
    fn where_it_is_told_nothing_is_inferred() {
        let mut sharing = Sharing::default();
        sharing.set_told();
        let sending = Sending { user: A, new: &[1, 3], is_only: true, ..Sending::default() };
        assert_eq!(sharing.sends(&sending), [0; 0]);
        assert_eq!(sharing.reads(A), [0; 0]);
        assert!(sharing.is_of(B, 1), "it has begun");
        assert!(!sharing.is_of(C, 1), "it is told again");
        assert_eq!(sharing.owner(1), Some(B));
        assert!(sharing.is_of(C, 7), "it is about to begin");
        assert_eq!(sharing.sends(&Sending { new: &[5, 7], works_on: Some(5), ..sending }), [5, 7]);
        assert_eq!((sharing.owner(5), sharing.owner(7)), (Some(A), Some(C)));
        assert!(!sharing.ends(3));
        assert!(!sharing.is_of(A, 3), "it is over");
    }

    #[test]
    fn who_had_one_may_read_for_others() {
        let mut sharing = Sharing::default();
        sends(&mut sharing, A, &[1, 3], false);
        sharing.ends(1);
        assert_eq!(sharing.reads(A), [0; 0]);
        sharing.forget(|request| Some(request) == A);
        assert_eq!(sharing.reads(A), [0; 0], "as long as it is not answered");
    }
}

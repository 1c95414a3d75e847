//! When records of TLS arrived whose plaintext a client is given: of many that it reads at once, each.
//!
//! OpenSSL gives the plaintext of one record at a time, which is shorter by what encryption adds. So the records are counted off
//! behind one that was a whole read.

use std::collections::VecDeque;

use crate::model::{
    connection::Taken,
    tls::{LEAST_ADDED, MOST_ADDED, RECORD_BYTES},
};

/// Arrivals that are remembered: as many as a connection has which are not read.
const ARRIVALS: usize = 4_096;

/// What a session receives.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// What encryption adds to a record; `None` until one was sent alone.
    added: Option<u64>,
    /// Plaintexts that were given to OpenSSL since something was sent, and the bytes of the last.
    unsent: (u32, u64),
    /// (position after the last byte that arrived, when), of what is read and not given.
    arrivals: VecDeque<(u64, u64)>,
    /// Position up to which ciphertext was read.
    read: u64,
    /// Reads since plaintext was given last, and the bytes of the last.
    unread: (u32, u64),
    /// Position up to which plaintext was given; `None` where that is not known.
    given: Option<u64>,
}

impl Records {
    /// OpenSSL took plaintext to send.
    pub fn takes(&mut self, bytes: u64) {
        self.unsent = (self.unsent.0.saturating_add(1), bytes);
    }

    /// Ciphertext was sent.
    pub fn sent(&mut self, bytes: u64) {
        if let (1, plain) = std::mem::take(&mut self.unsent)
            && plain <= RECORD_BYTES
        {
            let added = bytes.checked_sub(plain);
            self.added = added.filter(|added| (LEAST_ADDED..=MOST_ADDED).contains(added)).or(self.added);
        }
    }

    /// Ciphertext was read.
    pub fn read(&mut self, taken: &Taken, bytes: u64) {
        let known = self.arrivals.back().map_or(0, |(end, _)| *end);
        self.arrivals.extend(taken.arrivals().iter().filter(|(end, _)| *end > known));
        let surplus = self.arrivals.len().saturating_sub(ARRIVALS);
        self.arrivals.drain(..surplus);
        self.read = taken.start().saturating_add(bytes);
        self.unread = (self.unread.0.saturating_add(1), bytes);
    }

    /// OpenSSL gives the plaintext of a record. When its last byte arrived, where that is known.
    pub fn gives(&mut self, bytes: u64) -> Option<u64> {
        let length = bytes + self.added?;
        let is_whole_read = std::mem::take(&mut self.unread) == (1, length);
        let end = match self.given {
            Some(given) => given.saturating_add(length),
            None if is_whole_read => self.read,
            None => return None,
        };
        // More than was read: it was another record that was as long.
        self.given = Some(end).filter(|end| *end <= self.read);
        self.given?;
        while self.arrivals.front().is_some_and(|(arrived, _)| *arrived < end) {
            self.arrivals.pop_front();
        }
        self.arrivals.front().map(|(_, at_ns)| *at_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::connection::Stream;

    /// A session that adds 22 bytes to a record, on a stream of which 100 bytes went by.
    fn records() -> (Records, Stream) {
        let mut records = Records::default();
        records.takes(10);
        records.sent(32);
        let mut stream = Stream::new(Some(0));
        stream.arrived(100, 1);
        stream.read(100, 2);
        (records, stream)
    }

    #[test]
    fn each_of_many_records_has_its_arrival() {
        let (mut records, mut stream) = records();
        for (rcv_nxt, at_ns) in [(150, 10), (200, 20), (250, 30), (300, 40)] {
            stream.arrived(rcv_nxt, at_ns);
        }
        records.read(&stream.read(50, 15), 50);
        assert_eq!(records.gives(28), Some(10), "a whole read");
        records.read(&stream.read(150, 50), 150);
        assert_eq!(records.gives(28), Some(20));
        assert_eq!(records.gives(38), Some(40), "it ends in the third");
        assert_eq!(records.gives(18), Some(40));
    }

    #[test]
    fn what_is_not_given_leaves_the_rest_unknown_until_a_whole_read() {
        let (mut records, mut stream) = records();
        stream.arrived(150, 10);
        records.read(&stream.read(50, 15), 50);
        assert_eq!(records.gives(20), None, "something else was before it");
        assert_eq!(records.gives(28), None);
        stream.arrived(200, 20);
        records.read(&stream.read(50, 25), 50);
        assert_eq!(records.gives(28), Some(20));
        assert_eq!(records.gives(28), None, "more than was read");
        stream.arrived(250, 30);
        records.read(&stream.read(50, 31), 50);
        stream.arrived(300, 40);
        records.read(&stream.read(50, 41), 50);
        assert_eq!(records.gives(28), None, "it may be of either read");
        let unknown = &mut Records::default();
        unknown.read(&stream.read(1, 30), 1);
        assert_eq!(unknown.gives(1), None, "what encryption adds was not seen");
    }
}

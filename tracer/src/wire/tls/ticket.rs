//! TLS 1.3 session tickets, told from application data by their sizes.

/// Servers send up to 4 tickets (OpenSSL and BoringSSL 2, Go 1, rustls 2 to 4).
const TICKETS: u8 = 4;

/// Bytes of the largest record that is a ticket; OpenSSL's are of 255 or 271.
const TICKET_BYTES: u16 = 400;

/// The tickets of one connection are of one size but for a few fields.
const SIZE_DIFFERENCE: u16 = 32;

/// Counts the ticket-like records with which a server begins.
#[derive(Debug, Default)]
pub struct Tickets {
    taken: u8,
    first_bytes: u16,
    over: bool,
}

impl Tickets {
    /// Whether an encrypted record of the server, the next, is like a ticket. After the first that is not, none is.
    pub fn take(&mut self, length: u16) -> bool {
        if self.taken == 0 {
            self.first_bytes = length;
        }
        self.over |= self.taken == TICKETS
            || length > TICKET_BYTES
            || length.abs_diff(self.first_bytes) > SIZE_DIFFERENCE;
        self.taken += u8::from(!self.over);
        !self.over
    }

    /// What follows is not like a ticket.
    pub fn end(&mut self) {
        self.over = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_small_records_of_one_size_at_the_beginning_are_tickets() {
        for (lengths, expected) in [
            (&[255, 255, 900, 255][..], &[true, true, false, false][..]),
            (&[271, 271, 120], &[true, true, false]),
            (&[500, 255], &[false, false]),
            (&[255, 255, 255, 255, 255], &[true, true, true, true, false]),
            (&[255], &[true]),
        ] {
            let mut tickets = Tickets::default();
            let found: Vec<bool> = lengths.iter().map(|&length| tickets.take(length)).collect();
            assert_eq!(found, expected, "{lengths:?}");
        }
    }
}

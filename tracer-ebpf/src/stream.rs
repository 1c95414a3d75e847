//! For which stream of HTTP/2 somebody works: a client's method that makes an exchange has its number.

use tracer_ebpf::{event::Stream, settings::StreamLayout};

use crate::stack::{TAG, word};

/// Looks through frames for that of such a method.
pub struct Search<'a> {
    layout: &'a StreamLayout,
    /// Where the pointers to the client and to the number are.
    client_place: u64,
    number_place: u64,
}

impl Search<'_> {
    #[inline(always)]
    pub fn new(layout: &StreamLayout) -> Search<'_> {
        Search { layout, client_place: 0, number_place: 0 }
    }

    /// The next frame, and its code object.
    #[inline(always)]
    pub fn look_at(&mut self, frame: u64, code: u64) {
        for method in &self.layout.methods {
            if method.code == code && code != 0 {
                self.client_place = frame.wrapping_add(u64::from(self.layout.first_local));
                self.number_place = frame.wrapping_add(u64::from(method.stream));
            }
        }
    }

    /// What the last one tells that was found.
    #[inline(always)]
    pub fn found(&self) -> Stream {
        if self.client_place == 0 {
            return Stream::default();
        }
        let object = |place| word(place, 0).unwrap_or(0) & !TAG;
        let number = object(self.number_place);
        // The word has two digits of 30 bits, each in 32.
        let digits = if number == 0 { 0 } else { word(number, self.layout.digit).unwrap_or(0) };
        Stream { client: object(self.client_place), number: digits & 0x3fff_ffff }
    }
}

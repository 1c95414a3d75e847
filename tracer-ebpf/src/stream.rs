//! For which stream of HTTP/2 somebody works: a client's method that makes an exchange has its number.

use tracer_ebpf::{event::Stream, settings::StreamLayout};

use crate::stack::{TAG, word};

/// Looks through frames for that of such a method. What it knows is in the event: the stack of the program has no room for it.
pub struct Search<'a> {
    layout: &'a StreamLayout,
    /// Until it is told: where the pointers to both are.
    found: *mut Stream,
}

impl Search<'_> {
    /// # Safety
    ///
    /// `found` is a place in an event, for as long as this lives.
    #[inline(always)]
    pub unsafe fn new(layout: &StreamLayout, found: *mut Stream) -> Search<'_> {
        let search = Search { layout, found };
        search.write(Stream { client: 0, number: 0 });
        search
    }

    /// The next frame, and its code object.
    #[inline(always)]
    pub fn look_at(&self, frame: u64, code: u64) {
        for method in &self.layout.methods {
            if method.code == code && code != 0 {
                self.write(Stream {
                    client: frame.wrapping_add(u64::from(self.layout.first_local)),
                    number: frame.wrapping_add(u64::from(method.stream)),
                });
            }
        }
    }

    /// Tells in the event what the last one has that was found.
    #[inline(always)]
    pub fn tell(&self) {
        // SAFETY: it was written to before.
        let place = unsafe { self.found.read() };
        if place.client == 0 {
            return;
        }
        let object = |place| word(place, 0).unwrap_or(0) & !TAG;
        let number = object(place.number);
        // The word has two digits of 30 bits, each in 32.
        let digits = if number == 0 { 0 } else { word(number, self.layout.digit).unwrap_or(0) };
        self.write(Stream { client: object(place.client), number: digits & 0x3fff_ffff });
    }

    #[inline(always)]
    fn write(&self, stream: Stream) {
        // Volatile, or the compiler would call a function to clear it, which takes a frame on the stack.
        // SAFETY: as `new` asks for.
        unsafe {
            (&raw mut (*self.found).client).write_volatile(stream.client);
            (&raw mut (*self.found).number).write_volatile(stream.number);
        }
    }
}

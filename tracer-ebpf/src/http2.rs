//! What probes and user space must take alike of HTTP/2 (RFC 9113), or one would wait for what the other does not tell.

/// The middle one of the three bytes of a frame's length, at most: longer ones than 16 KB nobody sends who was not asked to
/// (section 4.2).
const FRAME_MOST_HIGH: u8 = 0x3f;

/// `END_STREAM | END_HEADERS`, section 6.2.
const ENDS: u8 = 0x5;

/// Whether these are a frame with the head of a request or of an answer: behind the length of its payload comes its type
/// (section 4.1, and section 6.2, HEADERS).
#[inline(always)]
pub fn is_headers(first: [u8; 4]) -> bool {
    first[3] == 1
}

/// Whether a connection whose beginning was not seen may go on with these bytes and the eight behind them: with the head of a
/// request in one frame, which begins with what its method is most often (RFC 7541, appendix A, `GET` and `POST`).
#[inline(always)]
pub fn is_later_headers(first: [u8; 4], next: [u8; 8]) -> bool {
    let is_frame = is_headers(first) && first[0] == 0 && first[1] <= FRAME_MOST_HIGH && next[0] & !ENDS == 0;
    // The client's numbers are odd, and no connection has had so many streams.
    let is_clients = next[1] == 0 && next[4] & 1 == 1;
    is_frame && is_clients && matches!(next[5], 0x82 | 0x83)
}

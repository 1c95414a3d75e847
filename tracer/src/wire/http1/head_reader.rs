//! Collects a head out of transfers, and makes the best of one that was not copied whole.

use super::head::{Malformed, whole_lines};
use crate::wire::cursor::Cursor;

/// Copied bytes of one head that are kept until it is complete.
const HEAD_BYTES: usize = 64 << 10;

/// A head as far as it was copied.
pub enum HeadRead<T> {
    More,
    Whole(T),
    /// It runs on past the copied bytes; the whole lines of it.
    Truncated(T),
    /// Not even its first line was copied.
    Hidden,
}

/// Where the head begins in this transfer: 0 when it began in an earlier one.
pub fn head_at(held: &[u8], cursor: &Cursor<'_>) -> u64 {
    if held.is_empty() { cursor.at() } else { 0 }
}

/// Adds the copied bytes to `held` and tries to parse them as a head, up to whose end the cursor moves.
pub fn read_head<T>(
    held: &mut Vec<u8>,
    cursor: &mut Cursor<'_>,
    parse: impl Fn(&[u8]) -> Result<Option<(usize, T)>, Malformed>,
) -> Result<HeadRead<T>, Malformed> {
    let visible = cursor.visible();
    let held_bytes = held.len();
    held.extend(visible);
    let runs_on = cursor.left() > visible.len() as u64 || held.len() > HEAD_BYTES;
    // Without a line end there is nothing new to parse, and bytes that trickle in stay cheap.
    if (held_bytes == 0 || visible.contains(&b'\n'))
        && let Some((end, parsed)) = parse(held)?
    {
        cursor.take(end.saturating_sub(held_bytes) as u64);
        return Ok(HeadRead::Whole(parsed));
    }
    cursor.finish();
    if !runs_on {
        return Ok(HeadRead::More);
    }
    match whole_lines(held).map(|lines| parse(&lines)).transpose()?.flatten() {
        Some((_, parsed)) => Ok(HeadRead::Truncated(parsed)),
        None => Ok(HeadRead::Hidden),
    }
}

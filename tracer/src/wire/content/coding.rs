//! Content codings (RFC 9110, section 8.4.1): bodies that are compressed.

use std::{fmt, io::Write as _, sync::Arc};

use brotli_decompressor::DecompressorWriter;
use flate2::write::{GzDecoder, ZlibDecoder};

/// What is read of a body at most, decompressed: little can become very much.
const BODY_BYTES: usize = 4 << 20;

/// Room for brotli's input, which it takes at once.
const BROTLI_BYTES: usize = 4_096;

/// The most memory that zstd may take for what was before: 8 MiB, which all that decompress are to have (RFC 9659).
const ZSTD_WINDOW_LOG: u32 = 23;

/// Decoders at a time that may take so much, of all connections; what brotli has before it may be twice as much.
const LARGE_DECODERS: usize = 32;

/// Room for large decoders, which is shared by all who have a copy.
#[derive(Clone, Debug, Default)]
pub struct Room(Arc<()>);

impl Room {
    /// A place in it, until that is dropped.
    fn take(&self) -> Option<Room> {
        // One is of who gives it.
        (Arc::strong_count(&self.0) <= LARGE_DECODERS).then(|| self.clone())
    }
}

/// Decompresses a body as it comes.
pub struct Decoder {
    coding: Coding,
    left: usize,
    _place: Option<Room>,
}

enum Coding {
    Gzip(GzDecoder<Vec<u8>>),
    Deflate(ZlibDecoder<Vec<u8>>),
    Brotli(Box<DecompressorWriter<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Vec<u8>>>),
}

impl Decoder {
    /// By the name of the coding; `None` for one that is not read, and for a large one without a place.
    pub fn of(coding: &str, room: &Room) -> Option<Decoder> {
        let coding = match coding.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Coding::Gzip(GzDecoder::new(Vec::new())),
            "deflate" => Coding::Deflate(ZlibDecoder::new(Vec::new())),
            "br" => Coding::Brotli(Box::new(DecompressorWriter::new(Vec::new(), BROTLI_BYTES))),
            "zstd" => {
                let mut decoder = zstd::stream::write::Decoder::new(Vec::new()).ok()?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).ok()?;
                Coding::Zstd(Box::new(decoder))
            }
            _ => return None,
        };
        let place = match coding {
            Coding::Gzip(_) | Coding::Deflate(_) => None,
            Coding::Brotli(_) | Coding::Zstd(_) => Some(room.take()?),
        };
        Some(Decoder { coding, left: BODY_BYTES, _place: place })
    }

    /// What the next bytes decompress to; `None` where that is not known any more.
    pub fn push(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let written = match &mut self.coding {
            Coding::Gzip(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
            Coding::Deflate(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
            Coding::Brotli(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
            Coding::Zstd(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
        };
        let out = std::mem::take(match &mut self.coding {
            Coding::Gzip(decoder) => decoder.get_mut(),
            Coding::Deflate(decoder) => decoder.get_mut(),
            Coding::Brotli(decoder) => decoder.get_mut(),
            Coding::Zstd(decoder) => decoder.get_mut(),
        });
        self.left = self.left.checked_sub(out.len())?;
        // What came before an error is right.
        (written.is_ok() || !out.is_empty()).then_some(out)
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_struct("Decoder").field("left", &self.left).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("it is memory");
        encoder.finish().expect("it is memory")
    }

    fn decoded(coding: &str, pieces: &[&[u8]]) -> Option<Vec<u8>> {
        let mut decoder = Decoder::of(coding, &Room::default())?;
        let mut all = Vec::new();
        for piece in pieces {
            all.extend(decoder.push(piece)?);
        }
        Some(all)
    }

    #[test]
    fn a_body_comes_piece_by_piece() {
        let compressed = gzip(b"{\"model\":\"gpt-4o\"}");
        let (first, rest) = compressed.split_at(7);
        assert_eq!(decoded("gzip", &[first, rest]).as_deref(), Some(&b"{\"model\":\"gpt-4o\"}"[..]));
        assert_eq!(decoded("compress", &[]), None);
    }

    #[test]
    fn large_decoders_are_bounded() {
        let room = Room::default();
        let mut all: Vec<_> = (0..LARGE_DECODERS).map(|_| Decoder::of("zstd", &room)).collect();
        assert!(all.iter().all(Option::is_some));
        assert!(Decoder::of("br", &room).is_none());
        assert!(Decoder::of("gzip", &room).is_some());
        all.pop();
        assert!(Decoder::of("br", &room).is_some());
    }

    /// `hello` by `brotli`'s own tool, stored.
    #[test]
    fn brotli_is_read() {
        let compressed = [0x0b, 0x02, 0x80, b'h', b'e', b'l', b'l', b'o', 0x03];
        assert_eq!(decoded("br", &[&compressed]).as_deref(), Some(&b"hello"[..]));
    }

    #[test]
    fn each_piece_of_zstd_is_read_when_it_comes() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("it is memory");
        let mut decoder = Decoder::of("zstd", &Room::default()).expect("it is read");
        for piece in ["data: {\"a\":1}\n\n", "data: {\"a\":2}\n\n"] {
            encoder.write_all(piece.as_bytes()).expect("it is memory");
            encoder.flush().expect("it is memory");
            let compressed = std::mem::take(encoder.get_mut());
            assert_eq!(decoder.push(&compressed).as_deref(), Some(piece.as_bytes()));
        }
    }

    #[test]
    fn zstd_that_asks_for_much_memory_is_not_read() {
        // A frame's head alone, with a window of 2 GiB (RFC 8878, section 3.1.1.1).
        let head = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8];
        let mut decoder = Decoder::of("zstd", &Room::default()).expect("it is read");
        assert_eq!(decoder.push(&[&head[..], &[0x01, 0x00, 0x00]].concat()), None);
    }

    #[test]
    fn a_bomb_is_given_up() {
        let bomb = gzip(&vec![0; BODY_BYTES + 1]);
        assert_eq!(decoded("gzip", &[&bomb]), None);
    }

    proptest! {
        #[test]
        fn takes_anything(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for coding in ["gzip", "deflate", "br", "zstd"] {
                decoded(coding, &[&bytes, &bytes]);
            }
        }
    }
}

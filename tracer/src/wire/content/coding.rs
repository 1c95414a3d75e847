//! Content codings (RFC 9110, section 8.4.1): bodies that are compressed.

use std::{fmt, io::Write as _};

use brotli_decompressor::DecompressorWriter;
use flate2::write::{GzDecoder, ZlibDecoder};

/// What is read of a body at most, decompressed: little can become very much.
const BODY_BYTES: usize = 4 << 20;

/// Room for brotli's input, which it takes at once.
const BROTLI_BYTES: usize = 4_096;

/// Decompresses a body as it comes.
pub struct Decoder {
    coding: Coding,
    left: usize,
}

enum Coding {
    Gzip(GzDecoder<Vec<u8>>),
    Deflate(ZlibDecoder<Vec<u8>>),
    Brotli(Box<DecompressorWriter<Vec<u8>>>),
}

impl Decoder {
    /// By the name of the coding; `None` for one that is not read.
    pub fn of(coding: &str) -> Option<Decoder> {
        let coding = match coding.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Coding::Gzip(GzDecoder::new(Vec::new())),
            "deflate" => Coding::Deflate(ZlibDecoder::new(Vec::new())),
            "br" => Coding::Brotli(Box::new(DecompressorWriter::new(Vec::new(), BROTLI_BYTES))),
            _ => return None,
        };
        Some(Decoder { coding, left: BODY_BYTES })
    }

    /// What the next bytes decompress to; `None` where that is not known any more.
    pub fn push(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let written = match &mut self.coding {
            Coding::Gzip(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
            Coding::Deflate(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
            Coding::Brotli(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
        };
        let out = std::mem::take(match &mut self.coding {
            Coding::Gzip(decoder) => decoder.get_mut(),
            Coding::Deflate(decoder) => decoder.get_mut(),
            Coding::Brotli(decoder) => decoder.get_mut(),
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
        let mut decoder = Decoder::of(coding)?;
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
        assert_eq!(decoded("zstd", &[]), None);
    }

    /// `hello` by `brotli`'s own tool, stored.
    #[test]
    fn brotli_is_read() {
        let compressed = [0x0b, 0x02, 0x80, b'h', b'e', b'l', b'l', b'o', 0x03];
        assert_eq!(decoded("br", &[&compressed]).as_deref(), Some(&b"hello"[..]));
    }

    #[test]
    fn a_bomb_is_given_up() {
        let bomb = gzip(&vec![0; BODY_BYTES + 1]);
        assert_eq!(decoded("gzip", &[&bomb]), None);
    }

    proptest! {
        #[test]
        fn takes_anything(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for coding in ["gzip", "deflate", "br"] {
                decoded(coding, &[&bytes, &bytes]);
            }
        }
    }
}

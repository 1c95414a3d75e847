//! Header blocks of one direction (RFC 7541). Where one passed unseen, what later ones refer to is unknown, and never wrong:
//! the table begins anew, and its entries are counted from the newest.

use httparse::Header;
use loona_hpack::Decoder;

/// The largest table that is kept, of those that an endpoint may ask for (RFC 9113, section 6.5.2: 4096 unless it asks).
const TABLE_BYTES: usize = 16 << 10;

/// Fields of a block that is read.
const FIELDS: usize = 256;

/// What a block's fields take at most, for a block can refer to a long entry again and again.
const BLOCK_BYTES: usize = 64 << 10;

pub struct Table {
    decoder: Decoder<'static>,
}

/// The fields of a head.
#[derive(Debug, Default)]
pub struct Fields {
    fields: Vec<(String, Vec<u8>)>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Table")
    }
}

impl Table {
    pub fn new() -> Table {
        let mut decoder = Decoder::new();
        decoder.set_max_allowed_table_size(TABLE_BYTES);
        Table { decoder }
    }

    /// A block passed that was not seen, or not all of it.
    pub fn lose(&mut self) {
        *self = Table::new();
    }

    /// `None` where a part of the block can't be known.
    pub fn read(&mut self, block: &[u8]) -> Option<Fields> {
        let mut fields = Vec::new();
        let mut bytes = 0;
        let result = self.decoder.decode_with_cb(block, |name, value| {
            bytes += name.len() + value.len();
            if fields.len() < FIELDS
                && bytes <= BLOCK_BYTES
                && let Ok(name) = std::str::from_utf8(&name)
            {
                fields.push((name.to_owned(), value.into_owned()));
            }
        });
        match result {
            Ok(()) => Some(Fields { fields }),
            Err(_) => {
                self.lose();
                None
            }
        }
    }
}

impl Fields {
    /// `:path` and its kin (RFC 9113, section 8.3).
    pub fn pseudo(&self, name: &str) -> Option<&str> {
        let (_, value) = self.fields.iter().find(|(found, _)| found == name)?;
        std::str::from_utf8(value).ok()
    }

    pub fn headers(&self) -> Vec<Header<'_>> {
        self.fields.iter().map(|(name, value)| Header { name, value }).collect()
    }
}

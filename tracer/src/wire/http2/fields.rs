//! Header blocks of one direction (RFC 7541). Where one passed unseen, what later ones refer to is unknown, and never wrong:
//! entries of the table are counted from the newest, and those that were there before are stood in for.

use httparse::Header;
use loona_hpack::Decoder;

/// The largest table that is kept, of those that an endpoint may ask for (RFC 9113, section 6.5.2: 4096 unless it asks).
const TABLE_BYTES: usize = 16 << 10;

/// Fields of a block that is read.
const FIELDS: usize = 256;

/// What a block's fields take at most, for a block can refer to a long entry again and again.
const BLOCK_BYTES: usize = 64 << 10;

/// What an entry takes at least (RFC 7541, section 4.1).
const ENTRY_BYTES: usize = 32;

/// A field to be kept, without a name and without a value, which nobody sends (RFC 7541, section 6.2.1).
const UNKNOWN: &[u8] = &[0x40, 0, 0];

pub struct Table {
    decoder: Decoder<'static>,
}

/// The fields of a head.
#[derive(Debug, Default)]
pub struct Fields {
    fields: Vec<(String, Vec<u8>)>,
    has_unknown: bool,
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

    /// One of which it is not known what it has.
    pub fn unknown() -> Table {
        let mut table = Table::new();
        table.decoder.set_max_table_size(TABLE_BYTES);
        // A block of these alone is one that can be read.
        let _ = table.decoder.decode_with_cb(&UNKNOWN.repeat(TABLE_BYTES / ENTRY_BYTES), |_, _| {});
        table
    }

    /// A block passed that was not seen, or not all of it.
    pub fn lose(&mut self) {
        *self = Table::unknown();
    }

    /// `None` where a part of the block can't be known.
    pub fn read(&mut self, block: &[u8]) -> Option<Fields> {
        let mut fields = Vec::new();
        let mut bytes = 0;
        let mut has_unknown = false;
        let result = self.decoder.decode_with_cb(block, |name, value| {
            bytes += name.len() + value.len();
            if name.is_empty() {
                has_unknown = true;
            } else if fields.len() < FIELDS
                && bytes <= BLOCK_BYTES
                && let Ok(name) = std::str::from_utf8(&name)
            {
                fields.push((name.to_owned(), value.into_owned()));
            }
        });
        match result {
            Ok(()) => Some(Fields { fields, has_unknown }),
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

    /// Some of them are not known.
    pub fn has_unknown(&self) -> bool {
        self.has_unknown
    }

    pub fn headers(&self) -> Vec<Header<'_>> {
        self.fields.iter().map(|(name, value)| Header { name, value }).collect()
    }
}

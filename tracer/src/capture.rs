//! The capture file: the ordered events of a run and the facts needed to read them, without any plaintext.
//!
//! A file is the magic bytes, a format version (u32, little endian), and then records: a length (u32, little
//! endian) and that many bytes, a [`Record`] in postcard's encoding. The first record is the origin, the last
//! the end; a file without an end was cut off, and what is there can still be read.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use crate::{event::Event, report::build::Origin};

const MAGIC: &[u8; 8] = b"TRACER\0\n";

/// Raised when the encoding of events changes: an older tracer then says that the file is newer.
const VERSION: u32 = 1;

/// A record longer than this is damage, not data.
const MAX_RECORD: u32 = 1 << 20;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    Origin(Origin),
    Event(Event),
    /// Recording ended here, as it should.
    End {
        at_ns: u64,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("not a capture: it does not begin as `tracer record -o FILE` writes it")]
    Foreign,
    #[error(
        "the capture has format {found}, this tracer reads format {VERSION}: use the tracer that wrote it, or a newer one"
    )]
    Newer { found: u32 },
    #[error("the capture is cut off before its first record: record again, with free disk space")]
    Empty,
    #[error("can't read the capture")]
    Io(#[from] io::Error),
}

/// Writes a capture.
pub struct Writer<W: Write> {
    out: W,
}

impl<W: Write> Writer<W> {
    pub fn new(mut out: W, origin: &Origin) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        let mut writer = Writer { out };
        writer.record(&Record::Origin(origin.clone()))?;
        Ok(writer)
    }

    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        self.record(&Record::Event(event.clone()))
    }

    /// Writes the end and everything that is still buffered.
    pub fn finish(mut self, at_ns: u64) -> io::Result<()> {
        self.record(&Record::End { at_ns })?;
        self.out.flush()
    }

    fn record(&mut self, record: &Record) -> io::Result<()> {
        let bytes = postcard::to_stdvec(record).map_err(io::Error::other)?;
        self.out.write_all(&(bytes.len() as u32).to_le_bytes())?;
        self.out.write_all(&bytes)
    }
}

/// What could be read of a capture.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    pub origin: Origin,
    pub events: Vec<Event>,
    /// When recording ended; `None` when the file is cut off or damaged before that.
    pub end_ns: Option<u64>,
    /// What is wrong with the file after the events that could be read.
    pub damage: Option<String>,
}

impl Capture {
    /// Reads a capture, as far as it goes.
    pub fn read(mut input: impl Read) -> Result<Capture, CaptureError> {
        let mut magic = [0; MAGIC.len()];
        let mut version = [0; 4];
        if !read_whole(&mut input, &mut magic)? || &magic != MAGIC || !read_whole(&mut input, &mut version)? {
            return Err(CaptureError::Foreign);
        }
        let found = u32::from_le_bytes(version);
        if found != VERSION {
            return Err(CaptureError::Newer { found });
        }
        let Ok(Some(Record::Origin(origin))) = next_record(&mut input)? else {
            return Err(CaptureError::Empty);
        };
        let mut capture = Capture { origin, events: Vec::new(), end_ns: None, damage: None };
        loop {
            match next_record(&mut input)? {
                Ok(Some(Record::Event(event))) => capture.events.push(event),
                Ok(Some(Record::End { at_ns })) => {
                    capture.end_ns = Some(at_ns);
                    return Ok(capture);
                }
                Ok(Some(Record::Origin(_))) => capture.damage = Some("a second beginning".to_owned()),
                Ok(None) => capture.damage = Some("it is cut off".to_owned()),
                Err(damage) => capture.damage = Some(damage),
            }
            if capture.damage.is_some() {
                return Ok(capture);
            }
        }
    }
}

/// The next record; `None` at a clean or torn end of the file, an error text for bytes that are none.
fn next_record(input: &mut impl Read) -> io::Result<Result<Option<Record>, String>> {
    let mut length = [0; 4];
    if !read_whole(input, &mut length)? {
        return Ok(Ok(None));
    }
    let length = u32::from_le_bytes(length);
    if length > MAX_RECORD {
        return Ok(Err(format!("a record claims {length} bytes, {MAX_RECORD} is the most")));
    }
    let mut bytes = vec![0; length as usize];
    if !read_whole(input, &mut bytes)? {
        return Ok(Ok(None));
    }
    Ok(postcard::from_bytes(&bytes).map(Some).map_err(|error| format!("a record can't be decoded ({error})")))
}

/// Whether the buffer could be filled.
fn read_whole(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Body;

    fn event(ts_ns: u64) -> Event {
        Event { ts_ns, tgid: 1, tid: 1, body: Body::ImportStart { module: "json".to_owned() } }
    }

    fn written() -> Vec<u8> {
        let mut bytes = Vec::new();
        let origin = Origin { start_ns: 5, start_unix_ns: 6, kernel: "6.18".to_owned() };
        let mut writer = Writer::new(&mut bytes, &origin).expect("memory");
        writer.event(&event(10)).expect("memory");
        writer.event(&event(20)).expect("memory");
        writer.finish(30).expect("memory");
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let capture = Capture::read(written().as_slice()).expect("a capture");
        assert_eq!(capture.events, [event(10), event(20)]);
        assert_eq!((capture.end_ns, capture.damage), (Some(30), None));
    }

    #[test]
    fn a_capture_cut_off_anywhere_gives_what_is_whole() {
        let bytes = written();
        for length in 0..bytes.len() {
            match Capture::read(&bytes[..length]) {
                Ok(capture) => {
                    assert_eq!(capture.end_ns, None);
                    assert_eq!(capture.damage.as_deref(), Some("it is cut off"));
                }
                Err(CaptureError::Foreign) => assert!(length < 12),
                Err(CaptureError::Empty) => assert!(length < 60),
                Err(error) => panic!("{length}: {error}"),
            }
        }
    }

    #[test]
    fn newer_and_foreign_files_are_named() {
        let mut bytes = written();
        bytes[8] = 9;
        assert!(matches!(Capture::read(bytes.as_slice()), Err(CaptureError::Newer { found: 9 })));
        assert!(matches!(Capture::read(&b"#!/bin/sh\necho\n"[..]), Err(CaptureError::Foreign)));
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 0usize..100, value: u8) {
            let mut bytes = written();
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = Capture::read(bytes.as_slice());
        }
    }
}

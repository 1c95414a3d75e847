//! Which methods of a process make an exchange over HTTP/2, and where these have the number of its stream.

use std::{fs::File, io};

use super::{
    code::{text, word},
    layout::CodeLayout,
};
use crate::event::Function;

/// The methods of httpcore that do (`_async/http2.py` and `_sync/http2.py` of httpcore 0.14 to 1.0 and of httpcore2), and their
/// local that has the number.
const METHODS: [&str; 2] = ["handle_async_request", "handle_request"];
const FILE: &str = "/http2.py";
const LIBRARY: &str = "/httpcore";
const LOCAL: &str = "stream_id";

/// Locals of a method that are looked through, and bytes of their names.
const LOCALS: u64 = 64;
const NAME_BYTES: u64 = 32;

/// A method as it was found in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamMethod {
    /// Address of its code object.
    pub code: u64,
    /// Which of its locals has the number of the stream.
    pub local: u32,
}

/// What a code object at `code` is to streams, if it is this function.
pub fn stream_method(
    memory: &File,
    layout: &CodeLayout,
    code: u64,
    function: &Function,
) -> Option<StreamMethod> {
    let local = if is_method(function) { local(memory, layout, code).ok()? } else { None };
    local.map(|local| StreamMethod { code, local })
}

/// From 3.11 on functions have the name of their class before their own.
fn is_method(Function { name, file, .. }: &Function) -> bool {
    let name = name.rsplit('.').next().unwrap_or(name);
    METHODS.contains(&name) && file.ends_with(FILE) && file.contains(LIBRARY)
}

fn local(memory: &File, layout: &CodeLayout, code: u64) -> io::Result<Option<u32>> {
    let names = word(memory, code.wrapping_add(layout.local_names))?;
    let count = word(memory, names.wrapping_add(layout.length))?;
    for index in 0..count.min(LOCALS) {
        let name = word(memory, names.wrapping_add(layout.items).wrapping_add(8 * index))?;
        if text(memory, layout, name, NAME_BYTES)? == LOCAL {
            return Ok(u32::try_from(index).ok());
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_known_by_its_name_and_file() {
        let is_one = |name: &str, file: &str| {
            is_method(&Function { name: name.to_owned(), file: file.to_owned(), line: 1 })
        };
        assert!(is_one("handle_request", "/lib/httpcore/_sync/http2.py"));
        assert!(is_one("AsyncHTTP2Connection.handle_async_request", "/lib/httpcore2/_async/http2.py"));
        assert!(!is_one("AsyncHTTP11Connection.handle_async_request", "/lib/httpcore/_async/http11.py"));
        assert!(!is_one("HTTP2Connection._send_request_headers", "/lib/httpcore/_sync/http2.py"));
        assert!(!is_one("handle_request", "/srv/http2.py"));
    }
}

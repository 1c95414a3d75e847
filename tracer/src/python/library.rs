//! Libraries beside the interpreter that are probed.

use std::fs::File;
use std::path::Path;

use super::binary::PythonPoint;
use super::{greenlet, queue};

/// A library that is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Library {
    /// `_queue`, which hands work to thread pools.
    Queue,
    /// gevent's own, which hands work to its greenlets.
    GreenletQueue,
    /// greenlet, which switches stacks.
    Greenlet,
}

impl Library {
    /// What is at a path; `None` where it is none of these.
    pub fn of(path: &str) -> Option<Library> {
        let name = Path::new(path).file_name()?.to_string_lossy();
        let (module, _) = name.split_once('.').filter(|(_, rest)| rest.ends_with("so"))?;
        match module {
            "_queue" => Some(Library::Queue),
            "_gevent_cqueue" => Some(Library::GreenletQueue),
            "_greenlet" => Some(Library::Greenlet),
            _ => None,
        }
    }

    /// Finds its points in a file. The error is a clause for the user.
    pub fn points(self, file: &File) -> Result<Vec<PythonPoint>, String> {
        match self {
            Library::Queue => queue::points(file).map_err(|error| error.to_string()),
            Library::GreenletQueue => queue::greenlet_points(file).map_err(|error| error.to_string()),
            Library::Greenlet => greenlet::points(file).map_err(|error| error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_known_by_their_names() {
        for (path, library) in [
            ("/usr/lib/python3.11/lib-dynload/_queue.cpython-311-x86_64-linux-gnu.so", Some(Library::Queue)),
            (
                "/srv/site-packages/greenlet/_greenlet.cpython-313-x86_64-linux-gnu.so",
                Some(Library::Greenlet),
            ),
            ("/srv/site-packages/gevent/_gevent_cqueue.abi3.so", Some(Library::GreenletQueue)),
            ("/srv/_queue.so", Some(Library::Queue)),
            ("/srv/my_queue.so", None),
            ("/srv/_queue.py", None),
            ("", None),
        ] {
            assert_eq!(Library::of(path), library, "{path}");
        }
    }
}

//! Functions, and whose they are.

use serde::{Deserialize, Serialize};

/// The file that native code is said to be in, whose function is the name of its real one.
pub const NATIVE: &str = "<native>";

/// The file that functions are said to be in of which it is not known what they are.
const UNREAD: &str = "<unread>";

/// A function of Python code, or native code of one file that Python calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Function {
    /// Qualified from 3.11 on.
    pub name: String,
    pub file: String,
    /// Where it begins.
    pub line: u32,
}

impl Function {
    /// Native code of a library.
    pub fn native(library: String) -> Function {
        Function { name: library, file: NATIVE.to_owned(), line: 0 }
    }

    /// What stands for all that are further out than a sample goes.
    pub fn further_out() -> Function {
        Function { name: "[further out]".to_owned(), file: UNREAD.to_owned(), line: 0 }
    }

    pub fn is_native(&self) -> bool {
        self.file == NATIVE
    }

    /// Whether it is the user's own: no library's, not of the standard library, and not made from text.
    pub fn is_of_application(&self) -> bool {
        is_of_application(&self.file)
    }
}

/// Whether the functions of a file are the user's own.
pub fn is_of_application(file: &str) -> bool {
    let of_libraries = ["/site-packages/", "/dist-packages/", "/lib/python3"];
    !file.starts_with('<')
        && !of_libraries.iter().any(|folder| file.contains(folder))
        && !bundled(file).is_some_and(is_of_standard_library)
}

/// The path of a file within a program that was made of an application: PyInstaller's tell no other, Nuitka's folder is
/// called after the program.
fn bundled(file: &str) -> Option<&str> {
    if !file.starts_with('/') {
        return Some(file);
    }
    file.rsplit_once(".dist/").map(|(_folder, within)| within)
}

/// Whether it is the file of a module of the standard library, by the name that this begins with.
fn is_of_standard_library(within: &str) -> bool {
    let module = within.split('/').next().unwrap_or_default();
    let module = module.strip_suffix(".py").unwrap_or(module);
    include_str!("../../data/standard_library.txt").lines().any(|name| name == module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_of_the_application_or_of_a_library() {
        for (file, is_it) in [
            ("/srv/app.py", true),
            ("/srv/ssl.py", true),
            ("/srv/venv/lib/python3.13/site-packages/httpx/_client.py", false),
            ("/usr/lib/python3.11/ssl.py", false),
            ("<frozen importlib._bootstrap>", false),
            // Of PyInstaller, and of Nuitka in one file.
            ("app.py", true),
            ("routes/chat.py", true),
            ("ssl.py", false),
            ("http/client.py", false),
            // Of Nuitka in a folder.
            ("/opt/chat.dist/chat.py", true),
            ("/opt/chat.dist/http/client.py", false),
        ] {
            assert_eq!(is_of_application(file), is_it, "{file}");
        }
    }
}

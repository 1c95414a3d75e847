//! Which functions are meant.

use std::{fmt, str::FromStr};

/// A pattern of function names, or of files and function names.
///
/// Without `*` and `?`, what contains it matches; with them, what they make the whole of. Of a file, the end of its path from
/// any folder on is whole enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    file: Option<String>,
    function: String,
}

impl FromStr for Pattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Pattern, &'static str> {
        let (file, function) = match text.rsplit_once(':') {
            Some((file, function)) => (Some(file.to_owned()), function),
            None => (None, text),
        };
        if text.is_empty() || text == ":" {
            return Err("must name a function, as `parse`, or FILE:FUNCTION, as `app.py:*`");
        }
        Ok(Pattern { text: text.to_owned(), file, function: function.to_owned() })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Pattern {
    pub fn matches(&self, file: &str, function: &str) -> bool {
        if !matches(&self.function, function) {
            return false;
        }
        let Some(pattern) = &self.file else { return true };
        let ends = file.match_indices('/').map(|(index, _)| &file[index + 1..]);
        [file].into_iter().chain(ends).any(|end| matches(pattern, end))
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    if pattern.contains(['*', '?']) { is_glob_of(pattern, text) } else { text.contains(pattern) }
}

/// Whether `*` for any characters and `?` for one make a pattern the whole of a text. Takes steps of the product of their
/// lengths at most: where the text differs, the last `*` takes one character more.
fn is_glob_of(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut in_text) = (0, 0);
    // Behind the last `*`, and where in the text what follows it was tried.
    let mut last_star: Option<(usize, usize)> = None;
    while in_text < text.len() {
        match pattern.get(at) {
            Some('*') => {
                at += 1;
                last_star = Some((at, in_text));
            }
            Some(&c) if c == '?' || c == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            _ => {
                let Some((behind, tried)) = last_star else { return false };
                last_star = Some((behind, tried + 1));
                (at, in_text) = (behind, tried + 1);
            }
        }
    }
    pattern[at..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "/srv/shop/app/views.py";

    fn matches(pattern: &str, function: &str) -> bool {
        pattern.parse::<Pattern>().expect("a pattern").matches(FILE, function)
    }

    #[test]
    fn a_name_is_found_by_a_part_or_by_wildcards_for_all_of_it() {
        for (pattern, function) in [
            ("parse", "parse"),
            ("parse", "reparse_all"),
            ("parse*", "parse_line"),
            ("*_line", "parse_line"),
            ("p?rse", "parse"),
            ("*", "<lambda>"),
            ("<module>", "<module>"),
            ("größe", "größe"),
            ("gr??e", "größe"),
            ("*a*b*c", "xaybzcbc"),
        ] {
            assert!(matches(pattern, function), "{pattern} of {function}");
        }
        for (pattern, function) in
            [("parse", "Parse"), ("parse*", "reparse"), ("p?rse", "prse"), ("*_line", "lines"), ("a*b", "")]
        {
            assert!(!matches(pattern, function), "{pattern} of {function}");
        }
    }

    #[test]
    fn a_file_is_found_by_a_part_or_by_the_end_of_its_path() {
        for pattern in
            ["views.py:show", "app/:show", "views.py:", "app/*.py:s*", "*.py:show", "/srv/*:show", "shop:sh"]
        {
            assert!(matches(pattern, "show"), "{pattern}");
        }
        for pattern in ["models.py:show", "views.py:hide", "iews*.py:show", "app/*.pyc:show", ":hide"] {
            assert!(!matches(pattern, "show"), "{pattern}");
        }
    }

    #[test]
    fn nothing_is_no_pattern() {
        for text in ["", ":"] {
            assert!(text.parse::<Pattern>().is_err());
        }
    }

    proptest! {
        #[test]
        fn a_text_with_parts_left_out_is_found(parts in prop::collection::vec("[a-c]{0,4}", 1..5)) {
            prop_assert!(is_glob_of(&parts.join("*"), &parts.join("abc")));
            prop_assert!(is_glob_of(&parts.join("*"), &parts.concat()));
        }

        #[test]
        fn survives_any_text(pattern in "[a*?:é/]{0,12}", text in "[aé/]{0,20}") {
            if let Ok(pattern) = pattern.parse::<Pattern>() {
                let _ = pattern.matches(&text, &text);
            }
        }
    }
}

//! Breaking text into lines of the terminal's width.

/// Items on as few lines as they fit on, two spaces apart, each line indented. An item is the text as it is
/// printed and the number of columns it takes, which escapes make differ.
pub fn items(items: &[(String, usize)], indent: usize, width: usize) -> String {
    lines(items, "  ", &" ".repeat(indent), indent, width)
}

/// Words of `text` on lines of at most `width` columns: the first line after `lead`, the others indented. A
/// word that is longer than a line is cut.
pub fn words(text: &str, lead: &str, indent: usize, width: usize) -> String {
    let longest = width.saturating_sub(indent.max(lead.chars().count()));
    let words: Vec<(String, usize)> = text
        .split_whitespace()
        .map(|word| super::format::fit(word, longest))
        .map(|word| (word.clone(), word.chars().count()))
        .collect();
    lines(&words, " ", lead, indent, width)
}

/// Facts with commas between them, each kept on one line where it fits; like [`words`] otherwise.
pub fn facts(facts: &[String], lead: &str, indent: usize, width: usize) -> String {
    let longest = width.saturating_sub(indent.max(lead.chars().count()) + 1);
    let items: Vec<(String, usize)> = facts
        .iter()
        .enumerate()
        .map(|(index, fact)| {
            let comma = if index + 1 < facts.len() { "," } else { "" };
            super::format::fit(fact, longest) + comma
        })
        .map(|fact| (fact.clone(), fact.chars().count()))
        .collect();
    lines(&items, " ", lead, indent, width)
}

fn lines(items: &[(String, usize)], gap: &str, lead: &str, indent: usize, width: usize) -> String {
    let mut text = lead.to_owned();
    let mut column = lead.chars().count();
    for (index, (item, columns)) in items.iter().enumerate() {
        if index > 0 && column + gap.len() + columns > width {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            column = indent;
        } else if index > 0 {
            text.push_str(gap);
            column += gap.len();
        }
        text.push_str(item);
        column += columns;
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_to_the_width() {
        assert_eq!(words("one two three four", "1. ", 2, 9), "1. one\n  two\n  three\n  four\n");
        let pairs = ["aa", "bb", "cc"].map(|item| (item.to_owned(), 2));
        assert_eq!(items(&pairs, 2, 8), "  aa  bb\n  cc\n");
        let pairs = ["aa b", "cc"].map(str::to_owned);
        assert_eq!(facts(&pairs, "- ", 2, 8), "- aa b,\n  cc\n");
        assert_eq!(words("abcdefgh", "  ", 2, 6), "  abc…\n");
    }
}

//! Figures and foreign text, ready to print.

/// A duration with three significant digits: `812 ms`, `1.24 s`, `34.1 µs`.
pub fn duration(ns: u64) -> String {
    const UNITS: [(&str, f64); 3] = [("µs", 1e3), ("ms", 1e6), ("s", 1e9)];
    if ns < 1_000 {
        return format!("{ns} ns");
    }
    for (unit, size_ns) in UNITS {
        let value = ns as f64 / size_ns;
        // A value that would round to 1000 belongs to the next unit.
        if value < 999.5 {
            return format!("{} {unit}", significant(value));
        }
    }
    format!("{} min", significant(ns as f64 / 60e9))
}

/// A part of a whole in per cent: `61 %`, and `<1 %` for what is little but not nothing.
pub fn share(part: u64, whole: u64) -> String {
    let percent = 100.0 * super::super::stats::ratio(part, whole);
    if part > 0 && percent < 1.0 { "<1 %".to_owned() } else { format!("{percent:.0} %") }
}

/// A number with its thousands apart: `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 request`, `2 requests`.
pub fn plural(number: u64, noun: &str) -> String {
    let ending = match (number, noun) {
        (1, _) => "",
        (_, noun) if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {noun}{ending}", count(number))
}

/// Text from a traced process or the network, made harmless for a terminal: control characters, which could
/// move its cursor or set its title, are replaced.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_harmful(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Cut to `width` characters; the last one shows that it was.
pub fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    if width == 0 { kept } else { kept + "…" }
}

fn significant(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// Control characters, and the marks that reorder text (Unicode UAX 9).
fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        for (ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (34_120, "34.1 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (9_999_000, "10.0 ms"),
            (812_400_000, "812 ms"),
            (1_240_000_000, "1.24 s"),
            (125_000_000_000, "125 s"),
            (1_205_000_000_000, "20.1 min"),
        ] {
            assert_eq!(duration(ns), text, "{ns}");
        }
    }

    #[test]
    fn little_is_not_nothing() {
        assert_eq!(share(0, 100), "0 %");
        assert_eq!(share(1, 1000), "<1 %");
        assert_eq!(share(61, 100), "61 %");
        assert_eq!(share(0, 0), "0 %");
    }

    #[test]
    fn counts_and_plurals() {
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(plural(1, "request"), "1 request");
        assert_eq!(plural(2, "process"), "2 processes");
    }

    #[test]
    fn text_from_outside_cannot_drive_the_terminal() {
        assert_eq!(printable("a\u{1b}]0;x\u{7}b\u{202e}"), "a\u{fffd}]0;x\u{fffd}b\u{fffd}");
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abc", 0), "");
    }
}

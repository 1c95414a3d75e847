//! A comparison in words.

use anstyle::AnsiColor;

use crate::{
    diff::types::{Comparison, Verdict},
    report::text::{format, paint::Paint},
};

/// A change of more than this many times the base says more as a duration than as a percentage.
const MOST_RATIO: f64 = 10.0;

/// What grows: a wall time that does is slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Wall,
    Part,
}

/// `slower by 21 % (18 to 24 %)`, `no change seen (-2 to 3 %)`.
pub fn words(comparison: &Comparison, subject: Subject) -> String {
    let verb = match (comparison.verdict, subject) {
        (Verdict::Grew, Subject::Wall) => "slower by",
        (Verdict::Grew, Subject::Part) => "grew by",
        (Verdict::Shrank, Subject::Wall) => "faster by",
        (Verdict::Shrank, Subject::Part) => "shrank by",
        (Verdict::Host, _) => return format!("by the host{}", bounds(comparison)),
        (Verdict::NoChangeSeen, _) if is_apart(comparison) => {
            return format!("not certain{}", bounds(comparison));
        }
        (Verdict::NoChangeSeen, _) => return format!("no change seen{}", bounds(comparison)),
        (Verdict::TooFew, _) => return format!("too few to tell{}", bounds(comparison)),
        (Verdict::Negligible, _) => return "negligible".to_owned(),
        (Verdict::Unknown, _) => return "not seen on one side (?)".to_owned(),
        (Verdict::OneSided, _) => return String::new(),
    };
    let (Some(difference_ns), Some([low_ns, high_ns])) = (comparison.difference_ns, comparison.interval_ns)
    else {
        return verb.to_owned();
    };
    // What shrank is told as how much, not as how much less than nothing.
    let sign = difference_ns.signum();
    let (low_ns, high_ns) = if sign < 0.0 { (-high_ns, -low_ns) } else { (low_ns, high_ns) };
    let base_ns =
        comparison.base_ns.filter(|base_ns| *base_ns > 0.0 && difference_ns.abs() <= MOST_RATIO * base_ns);
    match base_ns {
        Some(base_ns) => {
            let places = places((high_ns - low_ns) / base_ns);
            let [size, low, high] =
                [difference_ns.abs(), low_ns, high_ns].map(|ns| percent(ns / base_ns, places));
            format!("{verb} {size} % ({low} to {high} %)")
        }
        None => {
            let [size, low, high] = [difference_ns.abs(), low_ns, high_ns].map(duration);
            format!("{verb} {size} ({low} to {high})")
        }
    }
}

/// Whether it looks like a change, which chance or the moods of a host may have made all the same.
fn is_apart(comparison: &Comparison) -> bool {
    comparison.interval_ns.is_some_and(|[low, high]| low > 0.0 || high < 0.0)
}

/// The same in the colour of its verdict.
pub fn painted(comparison: &Comparison, subject: Subject, paint: Paint) -> String {
    let words = words(comparison, subject);
    match comparison.verdict {
        Verdict::Grew => paint.apply(AnsiColor::Red.on_default(), &words),
        Verdict::Shrank => paint.apply(AnsiColor::Green.on_default(), &words),
        Verdict::TooFew | Verdict::Unknown | Verdict::Host => paint.warning(&words),
        _ => paint.dim(&words),
    }
}

/// ` (-2 to 3 %)`, and nothing where there are none or they say nothing.
pub fn bounds(comparison: &Comparison) -> String {
    match (comparison.interval_ns, comparison.base_ns) {
        (Some([low, high]), Some(base_ns))
            if base_ns > 0.0 && low.abs().max(high.abs()) <= MOST_RATIO * base_ns =>
        {
            let places = places((high - low) / base_ns);
            format!(" ({} to {} %)", percent(low / base_ns, places), percent(high / base_ns, places))
        }
        _ => String::new(),
    }
}

/// A figure of one side; `–` where there is none.
pub fn figure(ns: Option<f64>) -> String {
    ns.map_or_else(|| "–".to_owned(), |ns| format::duration(ns.max(0.0).round() as u64))
}

/// Bounds that are near each other are told apart.
fn places(ratio: f64) -> i32 {
    i32::from(ratio < 0.02)
}

/// Without a sign for what rounds to nothing.
fn percent(ratio: f64, places: i32) -> String {
    let scale = 10f64.powi(places);
    format!("{:.*}", places as usize, (100.0 * ratio * scale).round() / scale + 0.0)
}

fn duration(ns: f64) -> String {
    let sign = if ns <= -0.5 { "-" } else { "" };
    format!("{sign}{}", format::duration(ns.abs().round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(base_ms: f64, difference_ms: f64, verdict: Verdict) -> Comparison {
        Comparison {
            base_ns: Some(base_ms * 1e6),
            new_ns: Some((base_ms + difference_ms) * 1e6),
            difference_ns: Some(difference_ms * 1e6),
            interval_ns: Some([(difference_ms - 3.0) * 1e6, (difference_ms + 3.0) * 1e6]),
            ratio: (base_ms > 0.0).then(|| difference_ms / base_ms),
            p_value: Some(0.0),
            verdict,
        }
    }

    #[test]
    fn changes_are_plain_words() {
        for (base_ms, difference_ms, verdict, expected) in [
            (100.0, 21.0, Verdict::Grew, "grew by 21 % (18 to 24 %)"),
            (100.0, -21.0, Verdict::Shrank, "shrank by 21 % (18 to 24 %)"),
            (0.0, 21.0, Verdict::Grew, "grew by 21.0 ms (18.0 ms to 24.0 ms)"),
            (100.0, -0.1, Verdict::NoChangeSeen, "no change seen (-3 to 3 %)"),
            (100.0, 3.0, Verdict::TooFew, "too few to tell (0 to 6 %)"),
            (100.0, 10.0, Verdict::NoChangeSeen, "not certain (7 to 13 %)"),
            (1_000.0, 130.0, Verdict::Grew, "grew by 13.0 % (12.7 to 13.3 %)"),
            (100.0, 21.0, Verdict::Host, "by the host (18 to 24 %)"),
            (0.1, 0.0, Verdict::NoChangeSeen, "no change seen"),
        ] {
            assert_eq!(words(&comparison(base_ms, difference_ms, verdict), Subject::Part), expected);
        }
        assert_eq!(
            words(&comparison(100.0, 21.0, Verdict::Grew), Subject::Wall),
            "slower by 21 % (18 to 24 %)"
        );
        assert_eq!(figure(None), "–");
    }
}

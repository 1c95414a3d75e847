//! Which changes are real: all comparisons are made first, then judged together.

use super::{
    statistics::{Change, holm},
    types::{Comparison, Verdict},
};

/// A change below this share of its route's time is never called real: with nothing changed, one recording differs from the
/// next by as much, as CPUs are faster or slower for a while.
pub const LEAST_CHANGE: f64 = 0.05;

/// Nor is one below this share of what requests waited longer, or less long, for a CPU: work that is interrupted finds its
/// caches cold. On a host that others kept busy, where requests of 21 ms waited another 18 ms, this was 2.5 %.
const HOST_SHARE: f64 = 0.03;

/// Nor is one below this: events are placed as exactly as that.
const LEAST_CHANGE_NS: f64 = 100_000.0;

/// Comparisons that share a level: the many of one do not hide what changed in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Wall times of routes.
    Wall,
    /// Buckets, and the own time of functions.
    Parts,
    /// The time of functions with what they called: of each stack as many as it is deep, and all of them of the same samples.
    Totals,
    /// What is the host's doing: it is told, and never called a change of the program.
    Host,
}

/// A comparison that waits for its verdict.
#[derive(Clone, Copy, Debug)]
pub enum Pending {
    Decided(Comparison),
    Tested(Family, usize),
}

/// What is to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    pub change: Change,
    /// The smallest p-value that so much data could have given.
    pub least_p_value: f64,
    /// The route's wall time in the base, without what it waited for a CPU, by the same statistic.
    pub wall_ns: f64,
    /// How much longer the route's requests waited for a CPU, by the same statistic.
    pub queued_ns: f64,
}

#[derive(Debug, Default)]
pub struct Judge {
    wall: Vec<Test>,
    parts: Vec<Test>,
    totals: Vec<Test>,
    host: Vec<Test>,
}

impl Judge {
    pub fn add(&mut self, family: Family, test: Test) -> Pending {
        let tests = match family {
            Family::Wall => &mut self.wall,
            Family::Parts => &mut self.parts,
            Family::Totals => &mut self.totals,
            Family::Host => &mut self.host,
        };
        tests.push(test);
        Pending::Tested(family, tests.len() - 1)
    }

    /// Verdicts on all, of which any is a false alarm with this probability: half of it of the wall times, which matter most.
    pub fn decide(self, false_alarms: f64) -> Verdicts {
        let [half, quarter] = [2.0, 4.0].map(|parts| false_alarms / parts);
        let host = decide(&self.host, half).into_iter().map(|mut comparison| {
            if comparison.is_real() {
                comparison.verdict = Verdict::Host;
            }
            comparison
        });
        Verdicts {
            wall: decide(&self.wall, half),
            parts: decide(&self.parts, quarter),
            totals: decide(&self.totals, quarter),
            host: host.collect(),
        }
    }
}

#[derive(Debug)]
pub struct Verdicts {
    wall: Vec<Comparison>,
    parts: Vec<Comparison>,
    totals: Vec<Comparison>,
    host: Vec<Comparison>,
}

impl Verdicts {
    pub fn of(&self, pending: Pending) -> Comparison {
        match pending {
            Pending::Decided(comparison) => comparison,
            Pending::Tested(Family::Wall, index) => self.wall[index],
            Pending::Tested(Family::Parts, index) => self.parts[index],
            Pending::Tested(Family::Totals, index) => self.totals[index],
            Pending::Tested(Family::Host, index) => self.host[index],
        }
    }

    /// How many comparisons could tell something.
    pub fn comparisons(&self) -> usize {
        self.wall
            .iter()
            .chain(&self.parts)
            .chain(&self.totals)
            .chain(&self.host)
            .filter(|comparison| comparison.p_value.is_some())
            .count()
    }
}

fn decide(tests: &[Test], level: f64) -> Vec<Comparison> {
    // Those that can tell nothing, whatever they hold, do not count among the others.
    let telling: Vec<usize> =
        (0..tests.len()).filter(|index| tests[*index].least_p_value <= level / tests.len() as f64).collect();
    let p_values: Vec<f64> = telling.iter().map(|index| tests[*index].change.p_value).collect();
    let mut adjusted = vec![None; tests.len()];
    for (index, p_value) in telling.into_iter().zip(holm::adjust(&p_values)) {
        adjusted[index] = Some(p_value);
    }
    tests.iter().zip(adjusted).map(|(test, p_value)| comparison(test, p_value, level)).collect()
}

fn comparison(test: &Test, p_value: Option<f64>, level: f64) -> Comparison {
    let Change { base, new, interval: (low, high), .. } = test.change;
    let difference = test.change.difference();
    let is_apart = low > 0.0 || high < 0.0;
    let matters = difference.abs()
        >= LEAST_CHANGE_NS.max(LEAST_CHANGE * test.wall_ns).max(HOST_SHARE * test.queued_ns.abs());
    let verdict = match p_value {
        None => Verdict::TooFew,
        Some(p_value) if p_value > level || !is_apart || !matters => Verdict::NoChangeSeen,
        Some(_) if difference > 0.0 => Verdict::Grew,
        Some(_) => Verdict::Shrank,
    };
    Comparison {
        base_ns: Some(base),
        new_ns: Some(new),
        difference_ns: Some(difference),
        interval_ns: Some([low, high]),
        ratio: (base > 0.0).then(|| difference / base),
        p_value,
        verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: f64 = 1e6;

    fn test(new_ms: f64, p_value: f64) -> Test {
        let difference = (new_ms - 100.0) * MS;
        let change = Change {
            base: 100.0 * MS,
            new: new_ms * MS,
            interval: (difference - MS / 2.0, difference + MS / 2.0),
            p_value,
        };
        Test { change, least_p_value: 0.0, wall_ns: 100.0 * MS, queued_ns: 0.0 }
    }

    fn verdicts(tests: &[Test]) -> Vec<Verdict> {
        decide(tests, 0.001).into_iter().map(|comparison| comparison.verdict).collect()
    }

    #[test]
    fn a_real_change_is_improbable_apart_and_large_enough() {
        assert_eq!(verdicts(&[test(110.0, 1e-6)]), [Verdict::Grew]);
        assert_eq!(verdicts(&[test(90.0, 1e-6)]), [Verdict::Shrank]);
        assert_eq!(verdicts(&[test(110.0, 0.01)]), [Verdict::NoChangeSeen]);
        assert_eq!(
            verdicts(&[test(104.0, 1e-6)]),
            [Verdict::NoChangeSeen],
            "too little to be told from the host"
        );
        let busier = Test { queued_ns: 400.0 * MS, ..test(110.0, 1e-6) };
        assert_eq!(verdicts(&[busier]), [Verdict::NoChangeSeen], "so much comes with waiting for a CPU");
        let wide = Test {
            change: Change { interval: (-1.0, 30.0 * MS), ..test(110.0, 0.0).change },
            ..test(110.0, 0.0)
        };
        assert_eq!(verdicts(&[wide]), [Verdict::NoChangeSeen]);
    }

    #[test]
    fn many_comparisons_ask_for_more() {
        assert_eq!(verdicts(&[test(110.0, 5e-4)]), [Verdict::Grew]);
        let mut many = vec![test(100.0, 0.5); 99];
        many.push(test(110.0, 5e-4));
        assert_eq!(verdicts(&many).last(), Some(&Verdict::NoChangeSeen));
    }

    #[test]
    fn what_can_tell_nothing_says_so_and_takes_nothing_from_others() {
        let mut tests = vec![Test { least_p_value: 0.1, ..test(300.0, 0.1) }; 99];
        tests.push(test(110.0, 5e-4));
        let verdicts = verdicts(&tests);
        assert_eq!((verdicts[0], verdicts[99]), (Verdict::TooFew, Verdict::Grew));
    }
}

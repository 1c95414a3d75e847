//! Whether two series of requests differ, and by how much.
//!
//! Requests that ran near each other in time are alike: they share a loop, a GIL and a host. So a series is cut into blocks of
//! neighbours, and blocks, not requests, are what is drawn again and what counts as independent.

mod blocks;
pub mod holm;
mod mean;
mod quantile;
#[cfg(test)]
mod simulation;

pub use blocks::Blocks;
pub use mean::mean;
pub use quantile::{least_p_value, quantile};

use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// Share of the intervals that hold the true difference.
pub const CONFIDENCE: f64 = 0.95;

/// A difference: new less base.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    pub base: f64,
    pub new: f64,
    /// Bounds of the difference, by the bootstrap.
    pub interval: (f64, f64),
    /// How probable a difference as large is where nothing changed.
    pub p_value: f64,
}

impl Change {
    pub fn difference(&self) -> f64 {
        self.new - self.base
    }

    /// `draws` are what the difference is of series drawn again.
    fn new(base: f64, new: f64, mut draws: Vec<f64>, p_value: f64, sides: [&Blocks; 2]) -> Change {
        draws.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| draws[((draws.len() - 1) as f64 * share).round() as usize];
        let outside = (1.0 - CONFIDENCE) / 2.0;
        let widening = widening(sides);
        let difference = new - base;
        let bound = |share| difference + widening * (at(share) - difference);
        Change { base, new, interval: (bound(outside), bound(1.0 - outside)), p_value }
    }
}

/// Few blocks vary less when drawn again than they do: by the factor of an unbiased variance, and by what Student's
/// distribution has over the normal one (Hesterberg's expanded percentile interval, doi:10.1080/00031305.2015.1089789).
fn widening(sides: [&Blocks; 2]) -> f64 {
    let Some(student) = student(sides) else { return 1.0 };
    let share = 1.0 - (1.0 - CONFIDENCE) / 2.0;
    let normal = statrs::distribution::Normal::standard().inverse_cdf(share);
    let least = sides.map(Blocks::len).into_iter().min().unwrap_or(2).max(2) as f64;
    student.inverse_cdf(share) / normal * (least / (least - 1.0)).sqrt()
}

/// The probability of a deviation at least so many standard errors large, to either side.
fn p_value(deviation: f64, sides: [&Blocks; 2]) -> f64 {
    match student(sides) {
        Some(student) if !deviation.is_nan() => (2.0 * student.sf(deviation.abs())).min(1.0),
        _ => 1.0,
    }
}

/// Of as many degrees of freedom as there are blocks, less the two averages.
fn student([base, new]: [&Blocks; 2]) -> Option<StudentsT> {
    let freedom = (base.len() + new.len()).checked_sub(2).filter(|freedom| *freedom > 0)?;
    StudentsT::new(0.0, 1.0, freedom as f64).ok()
}

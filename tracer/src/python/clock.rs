//! Start times of processes, from clock ticks since boot to nanoseconds.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// Clock ticks of `/proc` are hundredths of a second on x86-64 (`USER_HZ`, include/asm-generic/param.h).
const TICK_NS: u64 = 10_000_000;

/// Clock ticks as nanoseconds.
pub fn ticks_to_ns(ticks: u64) -> u64 {
    ticks.saturating_mul(TICK_NS)
}

/// When the system booted, in nanoseconds since the epoch; `None` where `/proc/uptime` cannot be read. As
/// exact as that file, which counts in hundredths of a second, suspended time included.
pub fn boot_unix_ns() -> Option<u64> {
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(now.as_nanos()).ok()?.checked_sub(uptime_ns(&uptime)?)
}

/// The first field of `/proc/uptime`, seconds with two decimals.
fn uptime_ns(uptime: &str) -> Option<u64> {
    let (seconds, hundredths) = uptime.split_whitespace().next()?.split_once('.')?;
    let seconds: u64 = seconds.parse().ok()?;
    let hundredths: u64 = hundredths.parse().ok().filter(|hundredths| *hundredths < 100)?;
    seconds.checked_mul(100)?.checked_add(hundredths)?.checked_mul(TICK_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_uptime() {
        assert_eq!(uptime_ns("12345.67 23456.78\n"), Some(12_345_670_000_000));
        assert_eq!(uptime_ns("0.05 0.00\n"), Some(50_000_000));
        assert_eq!(uptime_ns(""), None);
        assert_eq!(uptime_ns("99999999999999999999.00 1"), None);
    }

    #[test]
    fn boot_is_in_the_past() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
        assert!(boot_unix_ns().is_some_and(|boot| boot > 0 && u128::from(boot) < now));
    }
}

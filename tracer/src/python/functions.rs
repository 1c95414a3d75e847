//! The function probes of CPython (USDT): which builds have them, and what they tell.
//!
//! `function__entry` came with 3.6. 3.11 reaches it only while `sys.setprofile` or the probe `line` is in use: of 12,100
//! entries it told 12, `function__return` all. 3.12 took both out, 3.15 has them again.

use std::fs::File;

use object::{ReadCache, ReadRef};

use super::binary::Point;
use super::elf::Elf;
use super::operand::Operand;
use super::usdt::{self, Site};
use super::version;
use crate::report::counts::Told;

/// Function probes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionProbes {
    pub told: Told,
    pub points: Vec<FunctionPoint>,
    /// As of [`super::binary::Binary`].
    pub version: Option<String>,
}

/// Where a function probe is, and what it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionPoint {
    pub point: Point,
    /// Pointers to the names of the file and the function, and the line.
    pub operands: [Operand; 3],
}

/// Finds the function probes of a file that contains CPython. The error is a clause for the user.
pub fn find(file: &File) -> Result<FunctionProbes, String> {
    let cache = ReadCache::new(file);
    let elf = Elf::parse(&cache).map_err(|error| error.to_string())?;
    of(&elf)
}

fn of<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Result<FunctionProbes, String> {
    choose(version::version(elf), &usdt::sites(elf))
}

fn choose(version: Option<String>, sites: &[Site]) -> Result<FunctionProbes, String> {
    let minor = version.as_deref().and_then(minor);
    let (told, name) = match minor {
        Some(11) => (Told::Returns, "function__return"),
        _ => (Told::Entries, "function__entry"),
    };
    let points = sites.iter().filter(|site| site.provider == "python" && site.name == name).map(|site| {
        let operand = |number| usdt::operand(&site.arguments, number);
        Ok(FunctionPoint { point: site.point, operands: [operand(1)?, operand(2)?, operand(3)?] })
    });
    let points: Vec<FunctionPoint> = points
        .collect::<Result<_, usdt::OperandError>>()
        .map_err(|error| format!("the probe {name} of this Python can't be read: {error}"))?;
    if points.is_empty() {
        let python = version.map_or_else(|| "this Python".to_owned(), |version| format!("CPython {version}"));
        return Err(match minor {
            Some(12..=14) => format!("{python} has no function probes: 3.12 to 3.14 are without them"),
            _ => format!("{python} was built without function probes (configure --with-dtrace adds them)"),
        });
    }
    Ok(FunctionProbes { told, points, version })
}

/// 11 for `3.11.2`.
fn minor(version: &str) -> Option<u32> {
    let minor = version.strip_prefix("3.")?;
    minor.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::operand::Register;
    use super::*;

    fn site(name: &str, offset: u64, arguments: &str) -> Site {
        let point = Point { offset, semaphore: 8 };
        Site { provider: "python".to_owned(), name: name.to_owned(), point, arguments: arguments.to_owned() }
    }

    fn both() -> [Site; 2] {
        let arguments = "8@%rbp 8@%r12 -4@%eax";
        [site("function__entry", 1, arguments), site("function__return", 2, arguments)]
    }

    #[test]
    fn entries_are_told_except_by_3_11() {
        for (version, told, offset) in [
            ("3.8.18", Told::Entries, 1),
            ("3.10", Told::Entries, 1),
            ("3.11.2", Told::Returns, 2),
            ("3.15.0rc1", Told::Entries, 1),
        ] {
            let found = choose(Some(version.to_owned()), &both()).expect("it has them");
            assert_eq!((found.told, found.points.len()), (told, 1), "{version}");
            assert_eq!(found.points[0].point.offset, offset, "{version}");
            assert_eq!(found.points[0].operands[1], Operand::pointer(Register::R12), "{version}");
        }
    }

    #[test]
    fn a_python_without_them_is_refused_with_the_reason() {
        for (version, reason) in [
            (Some("3.12.1"), "CPython 3.12.1 has no function probes: 3.12 to 3.14 are without them"),
            (
                Some("3.10.13"),
                "CPython 3.10.13 was built without function probes (configure --with-dtrace adds them)",
            ),
            (None, "this Python was built without function probes (configure --with-dtrace adds them)"),
        ] {
            assert_eq!(choose(version.map(str::to_owned), &[]), Err(reason.to_owned()));
        }
        let unreadable = [site("function__entry", 1, "8@$5 8@%r12 -4@%eax")];
        let reason = choose(Some("3.15.2".to_owned()), &unreadable).expect_err("no register");
        assert!(reason.contains("8@$5"), "{reason}");
    }
}

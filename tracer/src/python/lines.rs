//! The line that a code object has come to, by its line table (Objects/codeobject.c, `PyCode_Addr2Line`).

/// How a version's line tables are written, and how its frames count instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Up to 3.9: pairs of a step in bytes and a step in lines (Objects/lnotab_notes.txt). A frame has an offset in bytes.
    Steps,
    /// 3.10: pairs of the bytes that a line takes and a step before them, which -128 says is none. A frame counts pairs
    /// of bytes.
    Ranges,
    /// From 3.11 on: an entry for each few instructions, in one of several forms (Objects/locations.md). A frame has the
    /// address of an instruction; a code object has its first one at this offset.
    Locations { first_instruction: u64 },
}

impl Lines {
    /// The line at what a frame has of an instruction. `None` where the table says that there is none, or is not one.
    pub fn line(self, code: u64, instruction: u64, first_line: u32, table: &[u8]) -> Option<u32> {
        let line = match self {
            // An offset of -1 is before the first instruction.
            Lines::Steps => steps(i64::from(instruction as u32 as i32), first_line, table),
            Lines::Ranges => ranges(2 * i64::from(instruction as u32 as i32), first_line, table),
            Lines::Locations { first_instruction } => {
                let start = code.wrapping_add(first_instruction);
                // What runs before the first instruction, a frame that is being made, is at that.
                let offset = instruction.wrapping_sub(start) as i64;
                locations(offset.max(0), first_line, table)
            }
        }?;
        u32::try_from(line).ok()
    }
}

fn steps(offset: i64, first_line: u32, table: &[u8]) -> Option<i64> {
    let (mut at, mut line) = (0, i64::from(first_line));
    let (pairs, _) = table.as_chunks();
    for [bytes, lines] in pairs {
        at += i64::from(*bytes);
        if at > offset {
            break;
        }
        line += i64::from(*lines as i8);
    }
    Some(line)
}

fn ranges(offset: i64, first_line: u32, table: &[u8]) -> Option<i64> {
    const NO_LINE: i8 = -128;
    let (mut end, mut line) = (0, i64::from(first_line));
    let (pairs, _) = table.as_chunks();
    for [bytes, step] in pairs {
        let step = *step as i8;
        line += if step == NO_LINE { 0 } else { i64::from(step) };
        end += i64::from(*bytes);
        if end > offset {
            return (step != NO_LINE).then_some(line);
        }
    }
    None
}

/// Bytes of an instruction, without what is cached behind it, which counts as more of them.
const UNIT_BYTES: i64 = 2;

fn locations(offset: i64, first_line: u32, table: &[u8]) -> Option<i64> {
    let (mut end, mut line) = (0, i64::from(first_line));
    let mut rest = table.iter().copied();
    while let Some(head) = rest.next() {
        end += UNIT_BYTES * (i64::from(head & 0b111) + 1);
        let form = head >> 3 & 0b1111;
        let columns = match form {
            0..=9 => 1,
            10..=12 => {
                line += i64::from(form - 10);
                2
            }
            13 => {
                line += signed(&mut rest)?;
                0
            }
            14 => {
                line += signed(&mut rest)?;
                (0..3).try_for_each(|_| number(&mut rest).map(drop))?;
                0
            }
            _ => 0,
        };
        (0..columns).try_for_each(|_| rest.next().map(drop))?;
        if end > offset {
            return (form != 15).then_some(line);
        }
    }
    None
}

/// Six bits a byte, the lowest first; the seventh says that more follow.
fn number(bytes: &mut impl Iterator<Item = u8>) -> Option<i64> {
    let mut value = 0;
    for shift in (0..60).step_by(6) {
        let byte = bytes.next()?;
        value |= i64::from(byte & 0b11_1111) << shift;
        if byte & 0b100_0000 == 0 {
            return Some(value);
        }
    }
    None
}

/// The lowest bit is the sign.
fn signed(bytes: &mut impl Iterator<Item = u8>) -> Option<i64> {
    let value = number(bytes)?;
    Some(if value & 1 == 0 { value >> 1 } else { -(value >> 1) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOCATIONS: Lines = Lines::Locations { first_instruction: 200 };

    #[test]
    fn steps_are_taken_up_to_the_instruction() {
        // Of the notes: 0 is at 1, 6 at 2, 50 at 7, 350 at 207, 361 at 208.
        let table = [6, 1, 44, 5, 255, 0, 45, 127, 0, 73, 11, 1];
        for (offset, line) in [(0, 1), (5, 1), (6, 2), (49, 2), (50, 7), (349, 7), (350, 207), (361, 208)] {
            assert_eq!(Lines::Steps.line(0, offset, 1, &table), Some(line), "at {offset}");
        }
    }

    #[test]
    fn a_range_without_a_line_has_none() {
        let table = [4, 0, 2, 0x80, 6, 3];
        let lines = [0, 1, 2, 3, 5, 6].map(|unit| Lines::Ranges.line(0, unit, 10, &table));
        assert_eq!(lines, [Some(10), Some(10), None, Some(13), Some(13), None]);
    }

    #[test]
    fn entries_of_every_form_are_read() {
        let entry = |form: u8, units: u8| 0x80 | form << 3 | (units - 1);
        let mut table = vec![entry(3, 1), 0x12];
        table.extend([entry(11, 2), 1, 2]);
        table.extend([entry(15, 1)]);
        table.extend([entry(13, 1), 0b10_0001 | 0b100_0000, 0b1]);
        table.extend([entry(14, 1), 0b100, 0, 1, 2]);
        let at = |unit: u64| LOCATIONS.line(1_000, 1_200 + 2 * unit, 100, &table);
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 6].map(at),
            [Some(100), Some(101), Some(101), None, Some(53), Some(55), None]
        );
        assert_eq!(LOCATIONS.line(1_000, 1_198, 100, &table), Some(100));
    }

    proptest! {
        #[test]
        fn any_table_gives_a_line_or_none(instruction: u64, first: u32, table: Vec<u8>) {
            for lines in [Lines::Steps, Lines::Ranges, LOCATIONS] {
                lines.line(0, instruction, first, &table);
            }
        }
    }
}

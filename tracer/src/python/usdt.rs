//! USDT points: the notes in `.note.stapsdt`, as <sys/sdt.h> of SystemTap writes them.

use object::{LittleEndian, ReadRef};

use super::binary::Point;
use super::elf::Elf;
use super::operand::{Operand, Register};

/// `NT_STAPSDT`.
const NOTE_TYPE: u32 = 3;

/// One site of a USDT probe. A probe has as many as the compiler made copies of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    pub provider: String,
    pub name: String,
    pub point: Point,
    /// The operands as the note spells them, such as `8@%rax -4@%edx`.
    pub arguments: String,
}

/// Why an operand cannot be read by a probe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperandError {
    #[error("argument {number} is not in `{arguments}`")]
    Absent { number: usize, arguments: String },
    #[error("operand `{0}` has an index register; only N@REGISTER and N@DISPLACEMENT(REGISTER) are read")]
    Indexed(String),
    #[error("operand `{0}` is of a form that is not read; only N@REGISTER and N@DISPLACEMENT(REGISTER) are")]
    Form(String),
}

/// All USDT sites of a file that can be probed; none where it has no such notes.
pub fn sites<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Vec<Site> {
    let Some(mut notes) = elf.notes(".note.stapsdt") else { return Vec::new() };
    let base = elf.section_vaddr(".stapsdt.base");
    let mut sites = Vec::new();
    // A malformed note ends the iteration: what follows it cannot be found.
    while let Ok(Some(note)) = notes.next() {
        if note.name() == b"stapsdt" && note.n_type(LittleEndian).0 == NOTE_TYPE {
            sites.extend(site(elf, note.desc(), base));
        }
    }
    sites
}

/// Decodes a note: location, base, semaphore, then provider, name and arguments, each NUL-terminated.
fn site<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>, note: &[u8], base: Option<u64>) -> Option<Site> {
    let (location, rest) = word(note)?;
    let (noted_base, rest) = word(rest)?;
    let (semaphore, rest) = word(rest)?;
    let mut texts = rest.split(|&byte| byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
    // prelink moves code without rewriting notes; the base section tells by how much.
    let moved = base.map_or(0, |base| base.wrapping_sub(noted_base));
    let location = location.wrapping_add(moved);
    let offset = elf.file_offset(location).filter(|_| elf.is_code(location))?;
    let semaphore = match semaphore {
        0 => 0,
        semaphore => elf.file_offset(semaphore.wrapping_add(moved))?,
    };
    Some(Site {
        provider: texts.next()?,
        name: texts.next()?,
        point: Point { offset, semaphore },
        arguments: texts.next()?,
    })
}

fn word(bytes: &[u8]) -> Option<(u64, &[u8])> {
    bytes.split_first_chunk().map(|(word, rest)| (u64::from_le_bytes(*word), rest))
}

/// The operand of argument `number`, counted from 1, in a note's arguments.
pub fn operand(arguments: &str, number: usize) -> Result<Operand, OperandError> {
    let absent = || OperandError::Absent { number, arguments: arguments.to_owned() };
    let index = number.checked_sub(1).ok_or_else(absent)?;
    let text = arguments.split_whitespace().nth(index).ok_or_else(absent)?;
    let form = || OperandError::Form(text.to_owned());
    let (size, place) = text.split_once('@').ok_or_else(form)?;
    let size: i8 = size.parse().map_err(|_| form())?;
    if ![1, 2, 4, 8].contains(&size.unsigned_abs()) {
        return Err(form());
    }
    let (register, displacement) = match place.strip_suffix(')') {
        None => (place, None),
        Some(memory) => {
            let (displacement, register) = memory.split_once('(').ok_or_else(form)?;
            if register.contains(',') {
                return Err(OperandError::Indexed(text.to_owned()));
            }
            let displacement = if displacement.is_empty() { Ok(0) } else { displacement.parse() };
            (register, Some(displacement.map_err(|_| form())?))
        }
    };
    let register = register.strip_prefix('%').and_then(Register::from_name).ok_or_else(form)?;
    Ok(Operand { register, displacement, size: size.unsigned_abs(), signed: size < 0 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn operand_at(register: Register, displacement: Option<i32>, size: u8, signed: bool) -> Operand {
        Operand { register, displacement, size, signed }
    }

    #[test]
    fn reads_the_forms_that_compilers_write() {
        assert_eq!(operand("8@%rax -4@%edx", 1), Ok(operand_at(Register::Rax, None, 8, false)));
        assert_eq!(operand("8@%rax -4@%edx", 2), Ok(operand_at(Register::Rdx, None, 4, true)));
        assert_eq!(operand("-4@112(%rsp)", 1), Ok(operand_at(Register::Rsp, Some(112), 4, true)));
        assert_eq!(operand("8@-8(%rbp)", 1), Ok(operand_at(Register::Rbp, Some(-8), 8, false)));
        assert_eq!(operand("8@(%r12)", 1), Ok(operand_at(Register::R12, Some(0), 8, false)));
        assert_eq!(operand("4@%r10d 1@%r9b 2@%r8w", 3), Ok(operand_at(Register::R8, None, 2, false)));
    }

    #[test]
    fn refuses_other_forms_by_name() {
        let indexed = "8@(%rax,%rbx,8)".to_owned();
        assert_eq!(operand(&indexed, 1), Err(OperandError::Indexed(indexed)));
        for form in
            ["8@$5", "8@symbol(%rip)", "3@%rax", "8@%xmm0", "%rax", "8@4(", "@", "8@99999999999(%rax)"]
        {
            assert_eq!(operand(form, 1), Err(OperandError::Form(form.to_owned())));
        }
        assert!(matches!(operand("8@%rax", 2), Err(OperandError::Absent { number: 2, .. })));
        assert!(matches!(operand("8@%rax", 0), Err(OperandError::Absent { number: 0, .. })));
    }

    proptest! {
        #[test]
        fn survives_any_text(arguments in ".*", number in 0_usize..4) {
            let _ = operand(&arguments, number);
        }
    }
}

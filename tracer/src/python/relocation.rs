//! Words of an ELF file that the dynamic linker writes when it loads the file.

use object::read::elf::{Rela as _, SectionHeader as _, SectionTable, Sym as _};
use object::{LittleEndian, ReadRef, elf};

use super::elf::Header;

/// Where the dynamic linker writes pointers, sorted, and what it writes when the file is loaded at bias 0. A
/// pointer to what another file defines is 0.
pub fn relocated_words<'data, R: ReadRef<'data>>(
    sections: &SectionTable<'data, Header, R>,
    data: R,
) -> Vec<(u64, u64)> {
    let mut relocated = Vec::new();
    for section in sections.iter() {
        let Ok(Some((relocations, link))) = section.rela(LittleEndian, data) else { continue };
        let symbols = sections.symbol_table_by_index(LittleEndian, data, link).ok();
        for relocation in relocations {
            let addend = relocation.r_addend(LittleEndian) as u64;
            let value = match relocation.r_type(LittleEndian, false) {
                elf::R_X86_64_RELATIVE => addend,
                elf::R_X86_64_64 | elf::R_X86_64_GLOB_DAT | elf::R_X86_64_JUMP_SLOT => {
                    let symbol = relocation.symbol(LittleEndian, false).zip(symbols.as_ref());
                    match symbol.and_then(|(index, symbols)| symbols.symbol(index).ok()) {
                        Some(symbol) if !symbol.is_undefined(LittleEndian) => {
                            symbol.st_value(LittleEndian).wrapping_add(addend)
                        }
                        _ => 0,
                    }
                }
                _ => continue,
            };
            relocated.push((relocation.r_offset(LittleEndian), value));
        }
    }
    relocated.sort_unstable();
    relocated
}

/// Where the dynamic linker writes the address of a function that another file defines, by its name.
pub fn import_slots<'data, R: ReadRef<'data>>(
    sections: &SectionTable<'data, Header, R>,
    data: R,
    name: &str,
) -> Vec<u64> {
    let mut slots = Vec::new();
    for section in sections.iter() {
        let Ok(Some((relocations, link))) = section.rela(LittleEndian, data) else { continue };
        let Ok(symbols) = sections.symbol_table_by_index(LittleEndian, data, link) else { continue };
        let imports = relocations.iter().filter(|relocation| {
            let kind = relocation.r_type(LittleEndian, false);
            let symbol = relocation.symbol(LittleEndian, false);
            let symbol = symbol.and_then(|index| symbols.symbol(index).ok());
            matches!(kind, elf::R_X86_64_GLOB_DAT | elf::R_X86_64_JUMP_SLOT)
                && symbol.is_some_and(|symbol| {
                    symbol.is_undefined(LittleEndian)
                        && symbols
                            .symbol_name(LittleEndian, symbol)
                            .is_ok_and(|found| found == name.as_bytes())
                })
        });
        slots.extend(imports.map(|relocation| relocation.r_offset(LittleEndian)));
    }
    slots
}

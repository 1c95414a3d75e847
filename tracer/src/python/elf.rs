//! A view of an ELF file by virtual address, which needs no symbol table beyond `.dynsym`.

use std::cell::OnceCell;
use std::collections::HashMap;

use iced_x86::{FlowControl, Mnemonic};
use memchr::memmem;
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _, SectionHeader as _, Sym as _};
use object::read::elf::{NoteIterator, SectionTable};
use object::{LittleEndian, ReadRef, elf};

use super::relocation::{import_slots, relocated_words};
use super::x86::{Code, decode};

pub(super) type Header = elf::FileHeader64<LittleEndian>;
type Section = elf::SectionHeader64<LittleEndian>;

/// The longest instruction of x86-64, in bytes.
const LONGEST_INSTRUCTION: u64 = 15;
/// Strings we look for (names of methods, versions) are shorter.
const LONGEST_STRING: u64 = 256;

/// Why a file cannot be read as an ELF file.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// The file is no ELF file, or ends too early, or points outside of itself.
    #[error("malformed ELF file: {0}")]
    Malformed(#[from] object::read::Error),
    /// Only x86-64 is probed.
    #[error(
        "the ELF file is for machine {0}, the probes are for x86-64 (62): trace it on a host of its kind"
    )]
    Machine(u16),
}

/// A symbol defined in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    pub vaddr: u64,
    /// In bytes; 0 where the file does not say.
    pub size: u64,
}

/// An ELF file: symbols, pointers and code by virtual address.
pub struct Elf<'data, R: ReadRef<'data>> {
    data: R,
    segments: &'data [elf::ProgramHeader64<LittleEndian>],
    sections: SectionTable<'data, Header, R>,
    /// Defined symbols of `.dynsym`.
    symbols: HashMap<&'data [u8], Symbol>,
    /// Words that the dynamic linker writes, sorted by where it writes them.
    relocated: OnceCell<Vec<(u64, u64)>>,
}

impl<'data, R: ReadRef<'data>> Elf<'data, R> {
    /// Reads the headers and `.dynsym`.
    pub fn parse(data: R) -> Result<Self, ElfError> {
        let header = Header::parse(data)?;
        let machine = header.e_machine(header.endian()?);
        if machine != elf::EM_X86_64 {
            return Err(ElfError::Machine(machine.0));
        }
        let segments = header.program_headers(LittleEndian, data)?;
        let sections = header.sections(LittleEndian, data)?;
        let symbols = defined_symbols(&sections, data)?;
        Ok(Elf { data, segments, sections, symbols, relocated: OnceCell::new() })
    }

    /// A symbol that the file exports.
    pub fn symbol(&self, name: &str) -> Option<Symbol> {
        self.symbols.get(name.as_bytes()).copied()
    }

    /// A symbol that the file exports, by how its name begins; of several, that of the first name.
    pub fn symbol_that_begins(&self, name: &str) -> Option<Symbol> {
        let symbols = self.symbols.iter().filter(|(symbol, _)| symbol.starts_with(name.as_bytes()));
        symbols.min_by_key(|(symbol, _)| **symbol).map(|(_, symbol)| *symbol)
    }

    /// Where the byte at `vaddr` stands in the file.
    pub fn file_offset(&self, vaddr: u64) -> Option<u64> {
        self.loads().find_map(|load| {
            let within = vaddr.checked_sub(load.p_vaddr(LittleEndian))?;
            (within < load.p_filesz(LittleEndian)).then(|| load.p_offset(LittleEndian).checked_add(within))?
        })
    }

    /// The virtual address at which the byte at `offset` of the file is executed.
    pub fn executed_at(&self, offset: u64) -> Option<u64> {
        self.loads().filter(|load| load.p_flags(LittleEndian).contains(elf::PF_X)).find_map(|load| {
            // Mappings start at a page boundary, which may lie before the segment.
            let first = load.p_offset(LittleEndian) & !0xfff;
            let end = load.p_offset(LittleEndian).checked_add(load.p_filesz(LittleEndian))?;
            (first..end).contains(&offset).then(|| {
                load.p_vaddr(LittleEndian).wrapping_add(offset.wrapping_sub(load.p_offset(LittleEndian)))
            })
        })
    }

    /// Whether `vaddr` lies in executable memory that comes from the file.
    pub fn is_code(&self, vaddr: u64) -> bool {
        self.file_offset(vaddr).is_some_and(|offset| self.executed_at(offset) == Some(vaddr))
    }

    /// `size` bytes at `vaddr`, or `None` where the file does not hold them all.
    pub fn bytes(&self, vaddr: u64, size: u64) -> Option<&'data [u8]> {
        self.data.read_bytes_at(self.file_offset(vaddr)?, size).ok()
    }

    /// Where, once the file is loaded, pointers to this text stand, which a zero ends: written by the dynamic linker,
    /// or in the file, as in executables that are not position-independent.
    pub fn pointers_to(&self, text: &str) -> Vec<u64> {
        let text: Vec<u8> = text.bytes().chain([0]).collect();
        let loaded =
            || self.loads().filter_map(|load| Some((load, load.data(LittleEndian, self.data).ok()?)));
        let texts: Vec<u64> = loaded()
            .flat_map(|(load, bytes)| {
                let places = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(&text));
                places.map(|at| load.p_vaddr(LittleEndian).wrapping_add(at as u64)).collect::<Vec<_>>()
            })
            .collect();
        let written =
            self.relocated().iter().filter(|(_, value)| texts.contains(value)).map(|(slot, _)| *slot);
        let stored = loaded().filter(|(load, _)| load.p_flags(LittleEndian).contains(elf::PF_W));
        let stored = stored.flat_map(|(load, bytes)| {
            let words = bytes.chunks_exact(8).enumerate().filter(|(_, word)| {
                let word: Result<[u8; 8], _> = (*word).try_into();
                word.is_ok_and(|word| texts.contains(&u64::from_le_bytes(word)))
            });
            words
                .map(|(index, _)| load.p_vaddr(LittleEndian).wrapping_add(8 * index as u64))
                .collect::<Vec<_>>()
        });
        let mut slots: Vec<u64> = written.chain(stored).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    fn relocated(&self) -> &[(u64, u64)] {
        self.relocated.get_or_init(|| relocated_words(&self.sections, self.data))
    }

    /// The pointer that is at `slot` once the file is loaded at bias 0.
    ///
    /// A slot of a packed relocation (`.relr.dyn`) holds its value in the file, so it needs nothing more than
    /// the word itself; so do those of executables that are not position-independent.
    pub fn pointer(&self, slot: u64) -> Option<u64> {
        let relocated = self.relocated();
        if let Ok(index) = relocated.binary_search_by_key(&slot, |&(slot, _)| slot) {
            return relocated.get(index).map(|&(_, value)| value);
        }
        self.bytes(slot, 8)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// The function behind an entry of the procedure linkage table; `None` where `vaddr` is no such entry, or
    /// the function is another file's.
    pub fn linked_function(&self, vaddr: u64) -> Option<u64> {
        let mut instruction = decode(self, vaddr)?.instruction;
        if instruction.mnemonic() == Mnemonic::Endbr64 {
            instruction = decode(self, instruction.next_ip())?.instruction;
        }
        let jumps = instruction.flow_control() == FlowControl::IndirectBranch;
        let slot =
            (jumps && instruction.is_ip_rel_memory_operand()).then(|| instruction.ip_rel_memory_address())?;
        self.pointer(slot).filter(|&function| function != vaddr && self.is_code(function))
    }

    /// The instructions that call or jump to a function, by the name that the file defines or imports it by, which a file
    /// that is stripped may have lost. Looks for their bytes, so it needs no functions' beginnings; by chance other bytes are
    /// as such a call in one of 4 billion places.
    pub fn calls_of(&self, name: &str) -> Vec<u64> {
        let own = self.symbol(name).or_else(|| self.local_symbol(name));
        let mut targets: Vec<u64> = own.map(|function| function.vaddr).into_iter().collect();
        for slot in import_slots(&self.sections, self.data, name) {
            for jump in self.branches(&[0xff, 0x25], |target| target == slot) {
                // An entry of the linkage table begins with what its jump has in front of it: endbr64, bnd.
                targets.extend([0, 1, 4, 5].into_iter().filter_map(|before| jump.checked_sub(before)));
            }
        }
        if targets.is_empty() {
            return Vec::new();
        }
        let is_target = |target| targets.contains(&target);
        let mut calls = self.branches(&[0xe8], is_target);
        calls.extend(self.branches(&[0xe9], is_target));
        calls
    }

    /// A symbol that the file has for itself, where it is not stripped.
    fn local_symbol(&self, name: &str) -> Option<Symbol> {
        let table = self.sections.symbols(LittleEndian, self.data, elf::SHT_SYMTAB).ok()?;
        let strings = strings(self.sections.section(table.string_section()).ok()?, self.data)?;
        let is_wanted = |symbol: &&elf::Sym64<LittleEndian>| {
            !symbol.is_undefined(LittleEndian)
                && string_at(strings, u64::from(symbol.st_name(LittleEndian))) == Some(name.as_bytes())
        };
        let symbol = table.iter().find(is_wanted)?;
        Some(Symbol { vaddr: symbol.st_value(LittleEndian), size: symbol.st_size(LittleEndian) })
    }

    /// Where code has this opcode, and behind it a distance in four bytes to an address that is wanted.
    fn branches(&self, opcode: &[u8], is_wanted: impl Fn(u64) -> bool) -> Vec<u64> {
        let code = self.loads().filter(|load| load.p_flags(LittleEndian).contains(elf::PF_X));
        let mut found = Vec::new();
        for load in code {
            let Ok(bytes) = load.data(LittleEndian, self.data) else { continue };
            let start = load.p_vaddr(LittleEndian);
            let length = opcode.len() + 4;
            // An interpreter with all its modules in it has millions of places.
            found.extend(memmem::find_iter(bytes, opcode).filter_map(|at| {
                let distance = bytes.get(at + opcode.len()..)?.first_chunk()?;
                let vaddr = start.wrapping_add(at as u64);
                let next = vaddr.wrapping_add(length as u64);
                is_wanted(next.wrapping_add_signed(i64::from(i32::from_le_bytes(*distance)))).then_some(vaddr)
            }));
        }
        found
    }

    /// The NUL-terminated string at `vaddr`, without its NUL; `None` where there is none of sane length.
    pub fn string(&self, vaddr: u64) -> Option<&'data [u8]> {
        let offset = self.file_offset(vaddr)?;
        let left = self.data.len().ok()?.checked_sub(offset)?;
        let bytes = self.data.read_bytes_at(offset, left.min(LONGEST_STRING)).ok()?;
        let end = bytes.iter().position(|&byte| byte == 0)?;
        bytes.get(..end)
    }

    /// The names of libraries that the dynamic linker loads for this file (`DT_NEEDED`).
    pub fn needed(&self) -> Vec<String> {
        self.dynamic_strings(elf::DT_NEEDED)
    }

    /// The name by which the dynamic linker knows this library (`DT_SONAME`).
    pub fn soname(&self) -> Option<String> {
        self.dynamic_strings(elf::DT_SONAME).pop()
    }

    /// The notes of a section, by its name.
    pub fn notes(&self, section: &str) -> Option<NoteIterator<'data, Header>> {
        let (_, section) = self.sections.section_by_name(LittleEndian, section.as_bytes())?;
        section.notes(LittleEndian, self.data).ok()?
    }

    /// The address of a section, by its name.
    pub fn section_vaddr(&self, section: &str) -> Option<u64> {
        let (_, section) = self.sections.section_by_name(LittleEndian, section.as_bytes())?;
        Some(section.sh_addr(LittleEndian))
    }

    fn loads(&self) -> impl Iterator<Item = &'data elf::ProgramHeader64<LittleEndian>> + use<'data, R> {
        self.segments.iter().filter(|segment| segment.p_type(LittleEndian) == elf::PT_LOAD)
    }

    fn dynamic_strings(&self, tag: elf::DynamicTag) -> Vec<String> {
        let Ok(Some((entries, link))) = self
            .sections
            .iter()
            .find_map(|section| section.dynamic(LittleEndian, self.data).transpose())
            .transpose()
        else {
            return Vec::new();
        };
        let Some(strings) = self.sections.section(link).ok().and_then(|section| strings(section, self.data))
        else {
            return Vec::new();
        };
        entries
            .iter()
            .filter(|entry| entry.tag(LittleEndian) == tag)
            .filter_map(|entry| string_at(strings, entry.val(LittleEndian)))
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect()
    }
}

impl<'data, R: ReadRef<'data>> Code for Elf<'data, R> {
    fn at(&self, vaddr: u64) -> &[u8] {
        if !self.is_code(vaddr) {
            return &[];
        }
        let Some(offset) = self.file_offset(vaddr) else { return &[] };
        let left = self.data.len().unwrap_or(0).saturating_sub(offset);
        self.data.read_bytes_at(offset, left.min(LONGEST_INSTRUCTION)).unwrap_or(&[])
    }
}

fn defined_symbols<'data, R: ReadRef<'data>>(
    sections: &SectionTable<'data, Header, R>,
    data: R,
) -> Result<HashMap<&'data [u8], Symbol>, ElfError> {
    let table = sections.symbols(LittleEndian, data, elf::SHT_DYNSYM)?;
    let Ok(section) = sections.section(table.string_section()) else { return Ok(HashMap::new()) };
    let Some(strings) = strings(section, data) else { return Ok(HashMap::new()) };
    let defined = table.iter().filter(|symbol| !symbol.is_undefined(LittleEndian));
    Ok(defined
        .filter_map(|symbol| {
            let name = string_at(strings, u64::from(symbol.st_name(LittleEndian)))?;
            let (vaddr, size) = (symbol.st_value(LittleEndian), symbol.st_size(LittleEndian));
            Some((name, Symbol { vaddr, size }))
        })
        .collect())
}

/// A string section in one read, since a read for each string would be a system call for each.
fn strings<'data, R: ReadRef<'data>>(section: &Section, data: R) -> Option<&'data [u8]> {
    section.data(LittleEndian, data).ok()
}

fn string_at(strings: &[u8], at: u64) -> Option<&[u8]> {
    let rest = strings.get(usize::try_from(at).ok()?..)?;
    rest.get(..rest.iter().position(|&byte| byte == 0)?)
}

#[cfg(test)]
pub mod tests {
    use std::fs::File;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    /// A library that is none of those that are looked for.
    pub fn libc() -> File {
        let places = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6"];
        places.iter().find_map(|path| File::open(path).ok()).expect("a libc")
    }

    /// The smallest library that the test itself has mapped.
    fn small_library() -> Vec<u8> {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("own maps");
        let smallest = maps
            .lines()
            .filter_map(|line| line.split_whitespace().nth(5))
            .filter(|path| path.starts_with('/') && path.contains(".so"))
            .map(PathBuf::from)
            .min_by_key(|path| std::fs::metadata(path).map_or(u64::MAX, |metadata| metadata.len()));
        std::fs::read(smallest.expect("the C library is mapped")).expect("a mapped file can be read")
    }

    fn exercise(bytes: &[u8]) {
        let Ok(elf) = Elf::parse(bytes) else { return };
        for vaddr in (0..0x8000).step_by(509).chain([u64::MAX, u64::MAX - 7]) {
            elf.pointer(vaddr);
            elf.string(vaddr);
            elf.at(vaddr);
            elf.executed_at(vaddr);
        }
        elf.needed();
        elf.soname();
        elf.symbol("main");
    }

    #[test]
    fn reads_a_real_library() {
        let bytes = small_library();
        let elf = Elf::parse(&bytes[..]).expect("a real library");
        assert!(!elf.symbols.is_empty());
        assert!(elf.soname().is_some());
    }

    #[test]
    fn refuses_every_truncation_without_panic() {
        let bytes = small_library();
        // Section headers stand last, so a shorter file misses a part of them.
        for length in 0..bytes.len() {
            assert!(Elf::parse(&bytes[..length]).is_err(), "a file cut at {length} bytes was taken");
        }
    }

    #[test]
    fn refuses_another_machine() {
        let mut bytes = small_library();
        bytes[18] = 183;
        assert!(matches!(Elf::parse(&bytes[..]), Err(ElfError::Machine(183))));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn survives_changed_bytes(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..64),
        ) {
            let mut bytes = small_library();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            exercise(&bytes);
        }

        #[test]
        fn survives_changed_headers(changes in prop::collection::vec((0_usize..0x400, any::<u8>()), 1..16)) {
            let mut bytes = small_library();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            exercise(&bytes);
        }
    }
}

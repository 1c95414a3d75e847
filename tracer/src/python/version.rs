//! The version of CPython that a file contains.

use iced_x86::OpKind;
use object::ReadRef;

use super::elf::Elf;
use super::x86::decode;

/// `Py_GetVersion` has some twenty instructions; its cold part and padding none that name a version.
const INSTRUCTIONS_LIMIT: usize = 64;

/// `3.12.1` where the file says so, `3.12` where only its name does, else `None`.
pub fn version<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Option<String> {
    from_constant(elf)
        .or_else(|| from_function(elf))
        .or_else(|| elf.soname().as_deref().and_then(from_soname))
}

/// The constant `Py_Version` (3.11 and later): one byte each of major, minor, micro, then level and serial.
fn from_constant<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Option<String> {
    let bytes = elf.bytes(elf.symbol("Py_Version")?.vaddr, 8)?;
    let hex = u64::from_le_bytes(bytes.try_into().ok()?);
    let [_, _, _, _, major, minor, micro, level] = hex.to_be_bytes();
    let version = format!("{major}.{minor}.{micro}");
    let serial = level & 0xf;
    match (major, level >> 4) {
        (2 | 3, 0xf) => Some(version),
        (2 | 3, 0xc) => Some(format!("{version}rc{serial}")),
        (2 | 3, 0xb) => Some(format!("{version}b{serial}")),
        (2 | 3, 0xa) => Some(format!("{version}a{serial}")),
        _ => None,
    }
}

/// The string that `Py_GetVersion` formats (Python/getversion.c): the one it takes the address of that looks
/// like a version.
fn from_function<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Option<String> {
    let function = elf.symbol("Py_GetVersion")?;
    let end = function.vaddr.checked_add(function.size)?;
    let mut vaddr = function.vaddr;
    for _ in 0..INSTRUCTIONS_LIMIT {
        if vaddr >= end {
            break;
        }
        let instruction = decode(elf, vaddr)?.instruction;
        let address = match instruction.op1_kind() {
            OpKind::Memory if instruction.is_ip_rel_memory_operand() => {
                Some(instruction.ip_rel_memory_address())
            }
            OpKind::Immediate32 => Some(u64::from(instruction.immediate32())),
            OpKind::Immediate32to64 => u64::try_from(instruction.immediate32to64()).ok(),
            _ => None,
        };
        let text = address.and_then(|address| elf.string(address)).and_then(|text| str::from_utf8(text).ok());
        if let Some(version) = text.filter(|text| is_version(text)) {
            return Some(version.trim_end_matches('+').to_owned());
        }
        vaddr = instruction.next_ip();
    }
    None
}

/// `libpython3.12.so.1.0`, also with flags as in `libpython3.6m.so.1.0`.
fn from_soname(soname: &str) -> Option<String> {
    let rest = soname.strip_prefix("libpython")?;
    let (version, _) = rest.split_once(".so")?;
    let version = version.trim_end_matches(|flag: char| flag.is_ascii_alphabetic());
    let (major, minor) = version.split_once('.')?;
    (is_number(major) && is_number(minor)).then(|| version.to_owned())
}

fn is_version(text: &str) -> bool {
    let mut parts = text.splitn(3, '.');
    let major = parts.next();
    let minor = parts.next();
    let micro = parts.next().and_then(|micro| micro.chars().next());
    matches!(major, Some("2" | "3"))
        && minor.is_some_and(is_number)
        && micro.is_some_and(|c| c.is_ascii_digit())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_library_names() {
        assert_eq!(from_soname("libpython3.12.so.1.0").as_deref(), Some("3.12"));
        assert_eq!(from_soname("libpython3.6m.so.1.0").as_deref(), Some("3.6"));
        assert_eq!(from_soname("libpython3.13t.so.1.0").as_deref(), Some("3.13"));
        assert_eq!(from_soname("libpython3.so"), None);
        assert_eq!(from_soname("libpythonic.so.1"), None);
        assert_eq!(from_soname("libssl.so.3"), None);
    }

    #[test]
    fn knows_a_version_string() {
        for version in ["3.8.18", "3.13.0rc2", "2.7.18+"] {
            assert!(is_version(version), "{version}");
        }
        for other in ["3.8", "%.80s (%.80s) %.80s", "4.0.1", "3.x.1", "", "3..1"] {
            assert!(!is_version(other), "{other}");
        }
    }
}

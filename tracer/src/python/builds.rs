//! The points of real builds of CPython, against what their own symbol tables and disassembly say.

use std::fs::File;
use std::path::{Path, PathBuf};

use object::{Object as _, ObjectSymbol as _};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::binary::{Binary, Role, Subject, examine, inspect, is_python};
use super::elf::Elf;
use super::identity::FileId;
use super::operand::Register;

/// The shared library of a version that pyenv has built, if it has.
fn pyenv(minor: &str) -> Option<PathBuf> {
    let root = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv")))?;
    let versions = std::fs::read_dir(root.join("versions")).ok()?.flatten();
    let found = versions
        .filter(|version| version.file_name().to_string_lossy().starts_with(&format!("{minor}.")))
        .flat_map(|version| std::fs::read_dir(version.path().join("lib")).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with(&format!("libpython{minor}")) && name.ends_with(".so.1.0")
        });
    if found.is_none() {
        eprintln!("skipped CPython {minor}: pyenv has no build of it with --enable-shared");
    }
    found
}

fn read(path: &Path) -> Binary {
    let file = File::open(path).expect("an installed file opens");
    assert!(is_python(&file), "{}", path.display());
    inspect(&file).expect("a build of CPython")
}

/// Virtual address of a function by the full symbol table.
fn symbol(path: &Path, name: &str) -> u64 {
    let bytes = std::fs::read(path).expect("an installed file reads");
    let file = object::File::parse(&bytes[..]).expect("an ELF file");
    let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name));
    symbol.unwrap_or_else(|| panic!("{} names {name} in .symtab", path.display())).address()
}

/// Offsets of a role's points; in these builds the same as virtual addresses.
fn offsets(binary: &Binary, role: Role) -> Vec<u64> {
    binary.points.iter().filter(|point| point.role == role).map(|point| point.point.offset).collect()
}

#[test]
fn finds_static_functions_as_the_symbol_table_does() {
    // The exit is an offset in the function, from its disassembly.
    for (minor, exit) in [("3.9", 0xab), ("3.10", 0xab), ("3.11", 0xab), ("3.12", 0xc7), ("3.13", 0xca)] {
        let Some(path) = pyenv(minor) else { continue };
        let binary = read(&path);
        let run = symbol(&path, "context_run");
        assert_eq!(offsets(&binary, Role::ContextEnter), [run], "{minor} enter");
        assert_eq!(offsets(&binary, Role::ContextExit), [run + exit], "{minor} exit");
        let made = offsets(&binary, Role::ContextMade);
        assert!((1..=4).contains(&made.len()), "{minor} new: {made:x?}");
        assert_eq!(offsets(&binary, Role::ContextEnterExported).len(), 1, "{minor} exported enter");
        assert_eq!(offsets(&binary, Role::ContextExitExported).len(), 1, "{minor} exported exit");
        let is_in = |offset: &u64, name| (0..0x400).contains(&offset.wrapping_sub(symbol(&path, name)));
        let copies = offsets(&binary, Role::ContextCopied);
        for name in ["_contextvars_Context_copy", "PyContext_CopyCurrent"] {
            let n_points = copies.iter().filter(|offset| is_in(offset, name)).count();
            assert!((1..=2).contains(&n_points), "{minor} {name}: {copies:x?}");
        }
        assert!(binary.points.iter().all(|point| !point.returns()), "{minor}: {:?}", binary.points);
        assert!(binary.points.iter().all(|point| !point.stepped), "{minor}: {:?}", binary.points);
        assert!(binary.version.as_ref().is_some_and(|version| version.starts_with(&format!("{minor}."))));
        assert_eq!(binary.runtime.map(|(vaddr, _)| vaddr), Some(symbol(&path, "_PyRuntime")));
    }
}

#[test]
fn leaves_context_run_out_where_it_calls_the_exported_functions() {
    for minor in ["3.7", "3.8"] {
        let Some(path) = pyenv(minor) else { continue };
        let binary = read(&path);
        assert_eq!(offsets(&binary, Role::ContextEnter), [0; 0], "{minor}");
        assert_eq!(offsets(&binary, Role::ContextExit), [0; 0], "{minor}");
        assert_eq!(offsets(&binary, Role::ContextEnterExported).len(), 1, "{minor}");
        assert_eq!(offsets(&binary, Role::ContextExitExported).len(), 1, "{minor}");
        assert!(binary.version.as_ref().is_some_and(|version| version.starts_with(&format!("{minor}."))));
    }
}

#[test]
fn says_what_a_build_before_contexts_lacks() {
    let Some(path) = pyenv("3.6") else { return };
    let binary = read(&path);
    assert!(binary.points.is_empty(), "{:?}", binary.points);
    assert!(binary.version.as_ref().is_some_and(|version| version.starts_with("3.6.")));
    for subject in [Subject::Contexts, Subject::Gc, Subject::Imports, Subject::Gil] {
        assert!(binary.missing.iter().any(|missing| missing.what == subject), "{subject:?}");
    }
}

/// Any installed build, as bytes, with the file offsets that its points depend on.
fn bytes_and_places() -> Option<(Vec<u8>, Vec<usize>)> {
    let path = ["3.12", "3.11", "3.13"].iter().find_map(|minor| pyenv(minor))?;
    let bytes = std::fs::read(&path).expect("an installed file reads");
    let points = read(&path).points.into_iter().map(|point| point.point.offset);
    let elf = Elf::parse(&bytes[..]).expect("a build of CPython");
    let symbols =
        ["PyContext_Type", "Py_Version", "Py_GetVersion"].iter().filter_map(|name| elf.symbol(name));
    let table = elf.symbol("PyContext_Type").and_then(|symbol| elf.pointer(symbol.vaddr + 232));
    let vaddrs = symbols.map(|symbol| symbol.vaddr).chain(table);
    let offsets = points.chain(vaddrs.filter_map(|vaddr| elf.file_offset(vaddr)));
    let places = offsets.map(|offset| usize::try_from(offset).expect("a 64-bit host")).collect();
    Some((bytes, places))
}

#[test]
fn survives_changed_builds() {
    let Some((mut bytes, places)) = bytes_and_places() else { return };
    let change = (prop::sample::select(places), 0_usize..300, any::<u8>());
    let mut runner = TestRunner::new(Config { cases: 64, ..Config::default() });
    // Changes pile up from case to case, so that no case copies the file.
    let bytes = std::cell::RefCell::new(&mut bytes);
    let result = runner.run(&prop::collection::vec(change, 1..8), |changes| {
        let mut bytes = bytes.borrow_mut();
        for (place, distance, byte) in changes {
            if let Some(changed) = bytes.get_mut(place + distance) {
                *changed = byte;
            }
        }
        if let Ok(elf) = Elf::parse(&bytes[..]) {
            let _ = examine(FileId { dev: 0, ino: 0 }, &elf);
        }
        Ok(())
    });
    assert_eq!(result, Ok(()));
}

/// Debian 12's interpreter: stripped, not position-independent, with USDT and link-time optimisation.
#[test]
fn finds_all_points_of_a_stripped_distribution_build() {
    let path = Path::new("/usr/bin/python3.11");
    let binary = match File::open(path).map(|file| inspect(&file)) {
        Ok(Ok(binary)) if binary.version.as_deref() == Some("3.11.2") => binary,
        _ => return eprintln!("skipped Debian's CPython 3.11.2: it is not installed"),
    };
    // Addresses from the disassembly; the file is mapped 0x400000 above its offsets.
    let expect = |role: Role, vaddrs: &[u64]| {
        let offsets: Vec<u64> = offsets(&binary, role).iter().map(|offset| offset + 0x40_0000).collect();
        assert_eq!(offsets, vaddrs, "{role:?}");
    };
    expect(Role::ContextEnter, &[0x69_5cd0]);
    expect(Role::ContextExit, &[0x69_5cd0 + 0x5f]);
    expect(Role::ContextEnterExported, &[0x4f_0c55]);
    expect(Role::ContextExitExported, &[0x4f_0c64]);
    expect(Role::GcStart, &[0x42_87f3]);
    expect(Role::GcDone, &[0x42_873b]);
    expect(Role::ImportStart, &[0x45_273a]);
    expect(Role::ImportDone, &[0x45_275a]);
    let register = |role: Role| {
        let point = binary.points.iter().find(|point| point.role == role);
        point.and_then(|point| point.operand).map(|operand| operand.register)
    };
    assert_eq!(register(Role::ContextEnterExported), Some(Register::Rsi));
    assert_eq!(register(Role::ImportStart), Some(Register::Rax));
    let semaphore =
        binary.points.iter().find(|point| point.role == Role::GcStart).map(|point| point.point.semaphore);
    assert_eq!(semaphore, Some(0xa8_426e - 0xa8_4260 + 0x68_3260));
    assert_eq!(binary.missing, []);
    assert_eq!(binary.runtime, Some((0xa5_b740, 0x2_8b20)));
}

//! Man pages and shell completions, made of the command line's definition.

use std::{fs, path::Path};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::{Shell, generate_to};

use crate::cli::Cli;

const NAME: &str = "tracer";

/// Writes a man page for the command and each of its commands, and completions for bash, fish and zsh, into a folder,
/// which is made.
///
/// # Errors
/// When they can't be written.
pub fn write(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    let written = (|| {
        clap_mangen::generate_to(Cli::command(), folder)?;
        for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
            generate_to(shell, &mut Cli::command(), NAME, folder)?;
        }
        std::io::Result::Ok(())
    })();
    written.with_context(|| format!("can't write into {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_each_command_and_a_completion_for_each_shell() {
        let folder = tempfile::tempdir().expect("make a directory");
        write(folder.path()).expect("they are written");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        assert!(read("tracer-top.1").contains("\\-\\-token\\-file"), "{}", read("tracer-top.1"));
        for name in ["tracer.1", "tracer.bash", "tracer.fish", "_tracer"] {
            assert!(read(name).contains("record"), "{name}");
        }
        assert_eq!(read("tracer-pages.1"), "");
    }
}

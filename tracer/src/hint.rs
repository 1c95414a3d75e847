//! Errors that end in what to do.

use std::{error::Error, fmt};

/// An error with the next step: usually a command.
#[derive(Debug)]
struct Hinted {
    error: anyhow::Error,
    hint: String,
}

/// Adds the next step to an error.
pub trait Hint<T> {
    /// The hint is printed on a line of its own below the error. It may be given anywhere in a chain of
    /// contexts; the outermost one counts.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Hint<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| Hinted { error: error.into(), hint: hint.into() }.into())
    }
}

/// The error as `tracer` prints it: one line for the chain of causes, one for the hint if there is any.
pub fn render(error: &anyhow::Error) -> String {
    let mut text = format!("tracer: {error:#}\n");
    if let Some(hinted) = error.chain().find_map(|cause| cause.downcast_ref::<Hinted>()) {
        text.push_str(&format!("hint: {}\n", hinted.hint));
    }
    text
}

/// Stands for the error it holds, so that a chain does not name it twice.
impl fmt::Display for Hinted {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

impl Error for Hinted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.chain().nth(1)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_hint_is_found_below_contexts_and_nothing_is_said_twice() {
        let result: anyhow::Result<()> = Err(anyhow::anyhow!("permission denied"))
            .context("load the probes")
            .hint("sudo tracer record")
            .context("record");
        let text = render(&result.unwrap_err());
        assert_eq!(text, "tracer: record: load the probes: permission denied\nhint: sudo tracer record\n");
    }

    #[test]
    fn without_a_hint_there_is_one_line() {
        assert_eq!(render(&anyhow::anyhow!("no")), "tracer: no\n");
    }
}

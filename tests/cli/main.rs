//! The command line and the report's formats, as a user meets them.

mod commands;
mod diff;
mod json;
mod text;
mod top;

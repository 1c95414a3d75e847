//! The project's tasks: `cargo xtask build`, `demo`, `test`, `golden`, `capture`, `fuzz`, `bench`, `web`, `image`, `dist`. Results
//! go to stdout, progress to stderr.

mod bench;
mod build;
mod demo;
mod dist;
mod fuzz;
mod image;
mod k8s;
mod kernels;
mod manifests;
mod model_server;
mod need;
mod python;
mod receivers;
mod test;
mod tools;
mod venv;
mod web;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, shows and tests tracer.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Leave the release binary, with the probes inside, at target/release/tracer
    Build,
    /// Leave a container image with it at target/image/tracer.tar, as an archive of the Open Container Initiative
    Image,
    /// Trace an LLM application that talks to a vendor on loopback, and print the report
    Demo,
    /// Run all tests, or only the named parts
    Test {
        #[arg(value_enum)]
        parts: Vec<test::Part>,
    },
    /// Build the web page anew, from `web/` into `tracer/data/web`
    Web {
        /// Take the pictures of its tests anew, too; look at them before you commit them
        #[arg(long)]
        pictures: bool,
    },
    /// Write the expected outputs of the tests anew; read the difference before you commit it
    Golden,
    /// Record the captures of the replay tests anew, all or the named ones, and hold them against the truth; as root
    Capture { names: Vec<String> },
    /// Feed bytes that nobody meant to every decoder, or to the named one: wire, plain, decode, capture
    Fuzz {
        target: Option<String>,
        /// How long for each
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Make what is handed out, in target/dist: the program as one static file, a .deb, an archive, a container image, an
    /// SBOM, checksums
    Dist {
        /// Then make it from nothing again, and fail unless that gives the same bytes
        #[arg(long)]
        twice: bool,
    },
    /// Measure how exact reports are and what tracing costs; as root
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Build => build::build().map(|_| ()),
        Task::Image => image::image().map(|_| ()),
        Task::Demo => demo::demo(),
        Task::Test { parts } => test::test(&parts),
        Task::Web { pictures } => web::build().and_then(|()| if pictures { web::test(true) } else { Ok(()) }),
        Task::Golden => test::golden(),
        Task::Capture { names } => test::capture(&names),
        Task::Fuzz { target, seconds } => fuzz::fuzz(target.as_deref(), seconds),
        Task::Dist { twice } => dist::dist(twice),
        Task::Bench(bench) => bench::bench(&bench),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

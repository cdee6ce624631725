//! The one door to the project's work: `cargo xtask demo | test | promises | generate`.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod check;
mod demo;
mod generate;
mod image;
mod promises;
mod shell;
mod test;

use clap::{Parser, Subcommand};

/// The project's own tasks
#[derive(Parser)]
#[command(bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the whole product on a Kubernetes of its own and walk the main job, showing real output
    Demo(demo::Arguments),
    /// Run everything that proves the project; the last line counts it
    Test(test::Arguments),
    /// Build OpenTeam's image for release: an OCI archive, or its files for the Containerfile
    Image(image::Arguments),
    /// List the promises of the design with the result of their tests
    Promises,
    /// Write the CRDs from the Rust types
    Generate {
        /// Write nothing; fail if a file is not what would be written
        #[arg(long)]
        check: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Image(arguments) => image::run(&arguments),
        Task::Promises => promises::run(),
        Task::Generate { check } => generate::run(check),
    }
}

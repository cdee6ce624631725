//! The one door to the project's work: `cargo xtask demo | test | bench | promises | generate | image`.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod bench;
mod check;
mod demo;
#[cfg(test)]
mod documents;
mod generate;
mod image;
mod promises;
mod shell;
mod test;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
    /// Measure, and tell the figures beside their goals
    Bench(bench::Arguments),
    #[command(flatten)]
    BenchPart(bench::Part),
    /// Build OpenTeam's image for release: an OCI archive, or its files for the Containerfile
    Image(image::Arguments),
    /// List what OpenTeam promises with the result of their tests
    Promises(promises::Arguments),
    /// Write the CRDs from the Rust types, the policies, and code of the tests into the docs
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
        Task::Bench(arguments) => bench::run(&arguments),
        Task::BenchPart(part) => part.run(),
        Task::Image(arguments) => image::run(&arguments),
        Task::Promises(arguments) => promises::run(&arguments),
        Task::Generate { check } => generate::run(check),
    }
}

//! `cargo xtask image`: OpenTeam's image as it is released.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use cluster::Image;

use crate::shell;

/// Where the image goes.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The OCI archive to write
    #[arg(long, value_name = "FILE", default_value = "target/images/openteam.tar", conflicts_with = "rootfs")]
    out: PathBuf,

    /// Lay out the image's files in this new directory instead: the build context of the Containerfile
    #[arg(long, value_name = "DIRECTORY")]
    rootfs: Option<PathBuf>,

    /// The image's name
    #[arg(long, default_value = "localhost/openteam:dev")]
    name: String,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    shell::run(shell::cargo().args(["build", "--release", "--package", "openteam"]))?;
    let image = openteam(&arguments.name, &shell::root().join("target/release/openteam"));
    match &arguments.rootfs {
        Some(directory) => {
            image.write_rootfs(directory)?;
            println!("{}", directory.display());
        }
        None => {
            let out = std::path::absolute(&arguments.out)?;
            std::fs::create_dir_all(out.parent().context("--out names no file")?)?;
            image.write(&out)?;
            println!("{}", out.display());
        }
    }
    Ok(())
}

/// The image of a built `openteam`.
pub(crate) fn openteam(name: &str, program: &Path) -> Image {
    Image::new(name).program(program, "/usr/local/bin/openteam").entrypoint(["/usr/local/bin/openteam"])
}

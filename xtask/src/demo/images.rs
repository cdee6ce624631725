//! The four images of the demo: OpenTeam, the emulated Amazon, the mailbox, and an agent.

use anyhow::Context;
use cluster::{Image, agent, binaries::go_program};

use super::place::Place;
use crate::{image, shell};

/// Builds the images and brings them into the cluster.
pub(super) fn build(place: &Place) -> anyhow::Result<()> {
    shell::build()?;
    let openteam = image::openteam("localhost/openteam:dev", &shell::program("openteam")?);
    let images = [openteam, amazon()?, mailbox()?, agent::image().context("the agent's image")?];
    let directory = shell::root().join("target/images");
    std::fs::create_dir_all(&directory)?;
    for image in images {
        let name = image.reference().rsplit('/').next().unwrap_or_default().replace(':', "-");
        let archive = directory.join(format!("{name}.tar"));
        image.write(&archive).with_context(|| format!("image {name}"))?;
        let size = archive.metadata()?.len() / (1024 * 1024);
        println!("   | target/images/{name}.tar {size} MiB");
        place.load(&archive)?;
    }
    Ok(())
}

fn amazon() -> anyhow::Result<Image> {
    Ok(Image::new("localhost/amazon-emulator:dev")
        .program(shell::program("amazon-emulator")?, "/usr/local/bin/amazon-emulator")
        .entrypoint(["/usr/local/bin/amazon-emulator"]))
}

fn mailbox() -> anyhow::Result<Image> {
    let program = go_program(&shell::root().join("tests/mailbox"), "mailbox").context("the mailbox")?;
    Ok(Image::new("localhost/mailbox:dev")
        .file(program, "/usr/local/bin/mailbox")
        .entrypoint(["/usr/local/bin/mailbox"]))
}

//! `amazon-emulator`: makes what an emulated Amazon needs, and serves it.

use anyhow::{Context, bail};
use clap::{Parser, Subcommand, ValueEnum};
use openteam_amazon_emulator::{Authority, Clock, Emulator, Identity, Listeners, Region, Seed};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use tokio::signal::unix::{SignalKind, signal};

/// An emulated Amazon: Login with Amazon and the Selling Partner API.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes up one application and two sellers and writes them as YAML, secrets included.
    Seed {
        /// File to write; must not exist yet.
        #[arg(long)]
        out: PathBuf,
    },
    /// Makes an authority and a certificate it signed: ca.crt, tls.crt, tls.key.
    Certificate {
        /// DNS name or IP address to be reached under; may be given several times.
        #[arg(long, required = true)]
        san: Vec<String>,
        /// Folder to write into; made if absent.
        #[arg(long)]
        out: PathBuf,
    },
    /// Serves until SIGTERM or Ctrl-C.
    Serve(Serve),
}

#[derive(clap::Args)]
struct Serve {
    /// Applications and sellers, as `seed` writes them.
    #[arg(long)]
    seed: PathBuf,
    /// Certificate chain, PEM.
    #[arg(long)]
    tls_cert: PathBuf,
    /// Its key, PEM.
    #[arg(long)]
    tls_key: PathBuf,
    /// Where LWA and SP-API are served over TLS.
    #[arg(long, default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Where the control API is served over plain HTTP.
    #[arg(long, default_value = "0.0.0.0:8081")]
    control: SocketAddr,
    /// Where LWA and SP-API are served over plain HTTP too.
    #[arg(long)]
    plain_listen: Option<SocketAddr>,
    /// Region served to a Host that is none of Amazon's own; the seed's unless given.
    #[arg(long)]
    region: Option<RegionArgument>,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "UPPER")]
enum RegionArgument {
    Na,
    Eu,
    Fe,
}

impl From<RegionArgument> for Region {
    fn from(argument: RegionArgument) -> Self {
        match argument {
            RegionArgument::Na => Self::NA,
            RegionArgument::Eu => Self::EU,
            RegionArgument::Fe => Self::FE,
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Seed { out } => write_new(&out, &Seed::made_up()?.to_yaml()?, 0o600),
        Command::Certificate { san, out } => certificate(&san, &out),
        Command::Serve(arguments) => serve(arguments).await,
    }
}

fn certificate(names: &[String], out: &Path) -> anyhow::Result<()> {
    let authority = Authority::make(names)?;
    fs::create_dir_all(out).with_context(|| format!("could not make {}", out.display()))?;
    write_new(&out.join("ca.crt"), &authority.ca, 0o644)?;
    write_new(&out.join("tls.crt"), &authority.certificate, 0o644)?;
    write_new(&out.join("tls.key"), &authority.key, 0o600)
}

/// Never overwrites: what is there may be the only copy of a secret in use.
fn write_new(file: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    opened
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .with_context(|| format!("could not write {}", file.display()))
}

async fn serve(arguments: Serve) -> anyhow::Result<()> {
    let file = arguments.seed.display();
    let text = fs::read_to_string(&arguments.seed).with_context(|| format!("could not read {file}"))?;
    let mut seed = Seed::parse(&text).with_context(|| format!("could not use {file}"))?;
    if let Some(region) = arguments.region {
        seed.region = region.into();
    }
    let listeners = Listeners {
        tls: arguments.listen,
        identity: Identity::from_files(&arguments.tls_cert, &arguments.tls_key)?,
        control: arguments.control,
        plain: arguments.plain_listen,
    };
    let mut terminated = signal(SignalKind::terminate())?;
    let mut emulator = Emulator::serve(seed, Clock::system(), listeners).await?;
    eprintln!("serving {} (control {})", emulator.https_url(), emulator.control_url());
    tokio::select! {
        _ = terminated.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        () = emulator.ended() => bail!("a listener ended"),
    }
}

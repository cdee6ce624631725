//! A cluster by hand: `control-plane` or `node` starts one, prints the path of its kubeconfig and keeps it until standard
//! input ends or the process does; a `node` imports the image archives whose paths it is given there, one a line, and
//! repeats each. `binaries` builds Kubernetes and prints where it is.
#![expect(clippy::print_stdout, reason = "the path is what the command is for")]

use std::error::Error;
use std::io;
use std::process::ExitCode;

use openteam_test_cluster::binaries::Binaries;
use openteam_test_cluster::{Cluster, ControlPlane};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            let mut source = why.source();
            while let Some(deeper) = source {
                eprintln!("  because: {deeper}");
                source = deeper.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("binaries") => println!("{}", Binaries::ensure()?.dir().display()),
        Some("control-plane") => {
            let cluster = ControlPlane::start()?;
            println!("{}", cluster.kubeconfig().display());
            wait()?;
        }
        Some("node") => {
            let cluster = Cluster::start()?;
            println!("{}", cluster.kubeconfig().display());
            for archive in io::stdin().lines() {
                let archive = archive?;
                cluster.import_image(archive.as_ref())?;
                println!("{archive}");
            }
        }
        _ => return Err("usage: test-cluster binaries | control-plane | node".into()),
    }
    Ok(())
}

fn wait() -> io::Result<u64> {
    io::copy(&mut io::stdin().lock(), &mut io::sink())
}

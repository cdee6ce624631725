//! The gateway with a recorder client that does nothing: what it is compared with to tell what recording costs. It is in
//! this program only; the product has no such setting.

use std::{sync::Arc, time::Duration};

use audit::{Posted, Transport};
use bytes::Bytes;
use reqwest::Url;

/// Takes every event for recorded.
struct Nothing;

impl Transport for Nothing {
    fn post<'a>(&'a self, _: &'a Url, _: Bytes, _: usize, _: Duration) -> Posted<'a> {
        Box::pin(async { Ok(()) })
    }
}

/// Runs the gateway until SIGTERM.
pub(crate) fn run(arguments: &gateway::Arguments) -> anyhow::Result<()> {
    // As the binary `openteam` makes it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(gateway::run_over(arguments.clone(), Some(Arc::new(Nothing))))?)
}

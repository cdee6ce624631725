//! Reading one object of the cluster, for commands: with errors that a person can use.

use anyhow::{Context, anyhow};
use kube::{Api, Client};
use serde::de::DeserializeOwned;

/// A client for the current context.
pub(crate) async fn client() -> anyhow::Result<Client> {
    // The error's own text repeats each of its causes; the last one says it.
    Client::try_default().await.map_err(|error| anyhow!("{}", last(&error))).context("no cluster can be asked")
}

/// An object, or why not in one line.
pub(crate) async fn read<K: Clone + DeserializeOwned + std::fmt::Debug>(api: &Api<K>, name: &str) -> anyhow::Result<K> {
    api.get(name).await.map_err(|error| match &error {
        kube::Error::Api(status) => anyhow!("the apiserver says: {}", status.message),
        other => anyhow!("the apiserver did not answer: {}", last(other)),
    })
}

fn last(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

//! Reading one object of the cluster, for commands: with errors that a person can use.

use anyhow::{Context, anyhow};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{Api, Client, api::PostParams};
use serde::de::DeserializeOwned;

/// A client for the current context.
pub(crate) async fn client() -> anyhow::Result<Client> {
    // The error's own text repeats each of its causes; the last one says it.
    Client::try_default().await.map_err(|error| anyhow!("{}", last(&error))).context("no cluster can be asked")
}

/// An object, or why not in one line.
pub(crate) async fn read<K: Clone + DeserializeOwned + std::fmt::Debug>(api: &Api<K>, name: &str) -> anyhow::Result<K> {
    api.get(name).await.map_err(|error| said(&error))
}

/// What the apiserver said, or that it said nothing.
pub(crate) fn said(error: &kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow!("the apiserver says: {}", status.message),
        other => anyhow!("the apiserver did not answer: {}", last(other)),
    }
}

/// Who asks, as the apiserver knows them (Kubernetes, `SelfSubjectReview`).
pub(crate) async fn who(client: &Client) -> anyhow::Result<String> {
    let review = Api::<SelfSubjectReview>::all(client.clone())
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .map_err(|error| said(&error))
        .context("the apiserver does not say who you are")?;
    let user = review.status.and_then(|status| status.user_info?.username);
    user.context("the apiserver does not say who you are")
}

fn last(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

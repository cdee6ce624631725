//! The two things that a gateway writes to the cluster, both on an AmazonConnection's status: the condition `Refreshed`
//! with `refreshedWith`, and `exposedUntil`.

use crds::AmazonConnection;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

/// Applies `status` to the very object that was looked at: the UID keeps it off one that was made anew under the name,
/// the resourceVersion off one that changed meanwhile, so that of several replicas with the same news one writes.
///
/// # Errors
/// 409 where the object is another one by now; look again. 404 where it is gone.
pub(crate) async fn apply(
    client: &Client,
    manager: &str,
    seen: &AmazonConnection,
    status: &Value,
) -> Result<(), kube::Error> {
    let api: Api<AmazonConnection> = Api::namespaced(client.clone(), &seen.namespace().unwrap_or_default());
    let body = json!({
        "apiVersion": AmazonConnection::api_version(&()),
        "kind": AmazonConnection::kind(&()),
        "metadata": {
            "name": seen.metadata.name,
            "namespace": seen.metadata.namespace,
            "uid": seen.metadata.uid,
            "resourceVersion": seen.metadata.resource_version,
        },
        "status": status,
    });
    let parameters = PatchParams::apply(manager).force();
    api.patch_status(&seen.name_any(), &parameters, &Patch::Apply(body)).await.map(drop)
}

/// Whether an apiserver's error has this HTTP status.
pub(crate) fn is(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

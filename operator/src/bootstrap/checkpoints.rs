//! ConfigMap `openteam-audit`, in which the witness keeps what it saw of the recorders' logs.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use process::checkpoints::{Checkpoints, NAME};
use seal::Keyset;

use super::{BootstrapError, Place, api, public};
use crate::status::MANAGER;

/// Recorders wait for it: they learn the cluster's id there. Where its entries cannot be read, the witness begins anew, and says
/// so; this pass leaves them as they are.
pub(super) async fn load(place: &Place<'_>, keyset: &Keyset) -> Result<(), BootstrapError> {
    let maps: Api<ConfigMap> = Api::namespaced(place.client.clone(), place.namespace);
    let what = || format!("ConfigMap {}/{NAME}", place.namespace);
    let cluster = keyset.cluster_id().to_string();
    let Some(mut found) = maps.get_opt(NAME).await.map_err(api(what()))? else {
        let wanted = public(place.namespace, NAME, Checkpoints { cluster, ..Checkpoints::default() }.data());
        let parameters = PatchParams::apply(MANAGER);
        return maps.patch(NAME, &parameters, &Patch::Apply(&wanted)).await.map(drop).map_err(api(what()));
    };
    let data = found.data.get_or_insert_default();
    if data.get("cluster") == Some(&cluster) {
        return Ok(());
    }
    data.insert("cluster".to_owned(), cluster);
    maps.replace(NAME, &PostParams::default(), &found).await.map(drop).map_err(api(what()))
}

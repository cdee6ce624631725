//! Objects of Kubernetes and of OpenTeam, written and read as the administrator.

use std::{fmt::Debug, fs, path::Path};

use cluster::ControlPlane;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
        core::v1::{Namespace, Pod, ServiceAccount},
    },
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{House, NAMESPACE};

/// Of the manifests only who may do what; what runs there runs here as processes.
const RIGHTS: [&str; 6] = ["Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];

/// Kinds, namespace, ServiceAccounts and their rights, as the manifests give them and no more.
pub(crate) fn install(control_plane: &ControlPlane) {
    let kubectl = control_plane.client();
    let crds = serde_json::to_string(&json!({ "apiVersion": "v1", "kind": "List", "items": crds::definitions() }));
    kubectl.run_with(&["apply", "--server-side", "-f", "-"], &crds.unwrap()).unwrap();
    kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]).unwrap();
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/base");
    let rendered = kubectl.run(&["kustomize", &base.display().to_string()]).unwrap();
    let items: Vec<Value> =
        documents(&rendered).into_iter().filter(|object| RIGHTS.iter().any(|kind| object["kind"] == *kind)).collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    kubectl.run_with(&["apply", "--server-side", "-f", "-"], &list.to_string()).unwrap();
}

/// The documents of a YAML text.
pub(crate) fn documents(yaml: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(yaml)
        .map(|document| serde::Deserialize::deserialize(document).unwrap())
        .filter(|document: &Value| !document.is_null())
        .collect()
}

/// A token as the kubelet would mount it: of the role's ServiceAccount, bound to its pod. The pod exists and never runs.
pub(crate) async fn pod_token(client: &Client, role: &str, pod: &str) -> String {
    let account = format!("openteam-{role}");
    let restricted = json!({
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 65532,
        "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
    });
    let object: Pod = serde_json::from_value(json!({
        "metadata": { "name": pod, "namespace": NAMESPACE },
        "spec": {
            "serviceAccountName": account,
            "containers": [{ "name": role, "image": "localhost/none", "securityContext": restricted }],
        },
    }))
    .unwrap();
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let made = pods.create(&PostParams::default(), &object).await.unwrap();
    let bound = BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: Some(pod.to_owned()),
        uid: made.metadata.uid,
    };
    token(client, NAMESPACE, &account, Vec::new(), Some(bound)).await
}

/// A ServiceAccount token, good for an hour; without an audience, for the apiserver itself.
pub(crate) async fn token(
    client: &Client,
    namespace: &str,
    account: &str,
    audiences: Vec<String>,
    bound_object_ref: Option<BoundObjectReference>,
) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let spec = TokenRequestSpec { audiences, bound_object_ref, expiration_seconds: Some(3600) };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    accounts.create_token_request(account, &PostParams::default(), &request).await.unwrap().status.unwrap().token
}

/// The administrator's kubeconfig, with another user's token.
pub(crate) fn kubeconfig(administrator: &Path, token: &str) -> String {
    let text = fs::read_to_string(administrator).unwrap();
    let mut config: Value = serde_yaml::from_str(&text).unwrap();
    let user = config["contexts"][0]["context"]["user"].clone();
    config["users"] = json!([{ "name": user, "user": { "token": token } }]);
    config.to_string()
}

/// What the methods below work on.
pub trait Kept:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Kept for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

impl House {
    /// Creates a namespace.
    pub fn create_namespace(&self, name: &str) {
        let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        let api: Api<Namespace> = Api::all(self.client().clone());
        self.block_on(api.create(&PostParams::default(), &namespace)).unwrap();
    }

    /// Creates or replaces an object, its namespace being in its metadata.
    pub fn apply<K: Kept>(&self, object: &K) {
        let meta = object.meta();
        let (namespace, name) = (meta.namespace.clone().unwrap(), meta.name.clone().unwrap());
        let parameters = PatchParams::apply("end-to-end").force();
        let applied = self.api::<K>(&namespace);
        self.block_on(applied.patch(&name, &parameters, &Patch::Apply(object))).unwrap();
    }

    /// Merges a patch into an object (RFC 7396).
    pub fn patch<K: Kept>(&self, namespace: &str, name: &str, patch: &Value) {
        let api = self.api::<K>(namespace);
        self.block_on(api.patch(name, &PatchParams::default(), &Patch::Merge(patch))).unwrap();
    }

    /// Contains an object, as a responder would.
    pub fn disable<K: Kept>(&self, namespace: &str, name: &str, incident: &str) {
        self.annotate::<K>(namespace, name, &json!(incident));
    }

    /// Restores it.
    pub fn restore<K: Kept>(&self, namespace: &str, name: &str) {
        self.annotate::<K>(namespace, name, &Value::Null);
    }

    fn annotate<K: Kept>(&self, namespace: &str, name: &str, value: &Value) {
        let patch = json!({ "metadata": { "annotations": { crds::annotation::DISABLE: value } } });
        self.patch::<K>(namespace, name, &patch);
    }

    /// Reads an object that exists.
    #[must_use]
    pub fn read<K: Kept>(&self, namespace: &str, name: &str) -> K {
        self.block_on(self.api::<K>(namespace).get(name)).unwrap()
    }

    /// Deletes an object.
    pub fn delete<K: Kept>(&self, namespace: &str, name: &str) {
        self.block_on(self.api::<K>(namespace).delete(name, &DeleteParams::default())).unwrap();
    }

    fn api<K: Kept>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client().clone(), namespace)
    }

    /// A token of a ServiceAccount for an audience, as a pod of it would mount one.
    #[must_use]
    pub fn service_account_token(&self, namespace: &str, account: &str, audience: &str) -> String {
        self.block_on(token(self.client(), namespace, account, vec![audience.to_owned()], None))
    }
}

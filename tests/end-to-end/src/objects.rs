//! Objects of Kubernetes and of OpenTeam, written and read as the administrator.

use std::{fmt::Debug, fs, net::SocketAddr, path::Path};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use cluster::ControlPlane;
use crds::annotation;
use jiff::Timestamp;
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
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{House, eventually};

/// Of the manifests only who may do what; what runs there runs here as processes.
const RIGHTS: [&str; 8] = [
    "Namespace",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// Installs kinds, namespace, ServiceAccounts and their rights, policies, as the manifests give them and no more.
///
/// # Panics
/// Kubernetes refuses one.
pub fn install(control_plane: &ControlPlane) {
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

/// Label of the namespaces whose objects the webhook is asked about: the other tests' do not wait for it.
pub const REVIEWED: &str = "reviewed";

/// Has the apiserver ask the webhook at a port of this machine, as the manifests say and where a namespace has the label
/// [`REVIEWED`]. By the Service's name, so that certificates are checked as ever; as there are no pods, the Service is
/// another name for `localhost`.
pub(crate) fn install_webhook(control_plane: &ControlPlane, port: u16) {
    let kubectl = control_plane.client();
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/base");
    let rendered = kubectl.run(&["kustomize", &base.display().to_string()]).unwrap();
    let mut configuration = documents(&rendered)
        .into_iter()
        .find(|object| object["kind"] == "ValidatingWebhookConfiguration")
        .expect("the manifests have a webhook");
    for webhook in configuration["webhooks"].as_array_mut().unwrap() {
        webhook["clientConfig"]["service"]["port"] = json!(port);
        webhook["namespaceSelector"] = json!({ "matchLabels": { REVIEWED: "true" } });
    }
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "openteam-webhook", "namespace": crate::NAMESPACE },
        "spec": { "type": "ExternalName", "externalName": "localhost" },
    });
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [service, configuration] });
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
pub(crate) async fn pod_token(
    client: &Client,
    namespace: &str,
    account: &str,
    pod: &str,
    audiences: Vec<String>,
) -> String {
    let restricted = json!({
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 65532,
        "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
    });
    let object: Pod = serde_json::from_value(json!({
        "metadata": { "name": pod, "namespace": namespace },
        "spec": {
            "serviceAccountName": account,
            "containers": [{ "name": "main", "image": "localhost/none", "securityContext": restricted }],
        },
    }))
    .unwrap();
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let made = pods.create(&PostParams::default(), &object).await.unwrap();
    let bound = BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: Some(pod.to_owned()),
        uid: made.metadata.uid,
    };
    token(client, namespace, account, audiences, Some(bound)).await
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

/// Where the administrator's kubeconfig says that the apiserver is, and its authority, PEM.
pub(crate) fn apiserver(administrator: &Path) -> (SocketAddr, Vec<u8>) {
    let config: Value = serde_yaml::from_str(&fs::read_to_string(administrator).unwrap()).unwrap();
    let cluster = &config["clusters"][0]["cluster"];
    let text = |field: &str| cluster[field].as_str().unwrap();
    let address = text("server").trim_start_matches("https://").parse().unwrap();
    let ca = match cluster["certificate-authority"].as_str() {
        Some(file) => fs::read(file).unwrap(),
        None => BASE64_STANDARD.decode(text("certificate-authority-data")).unwrap(),
    };
    (address, ca)
}

/// The administrator's kubeconfig, with another user's token, by way of `line` where there is one: its address and
/// whom to trust there.
pub(crate) fn kubeconfig(administrator: &Path, token: &str, line: Option<(String, &str)>) -> String {
    let text = fs::read_to_string(administrator).unwrap();
    let mut config: Value = serde_yaml::from_str(&text).unwrap();
    if let Some((server, ca)) = line {
        let ca = BASE64_STANDARD.encode(ca);
        config["clusters"][0]["cluster"] = json!({ "server": server, "certificate-authority-data": ca });
    }
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

    /// Creates a namespace whose objects the webhook is asked about.
    pub fn create_reviewed_namespace(&self, name: &str) {
        let meta = json!({ "metadata": { "name": name, "labels": { REVIEWED: "true" } } });
        let namespace: Namespace = serde_json::from_value(meta).unwrap();
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
        self.annotate::<K>(namespace, name, &json!({ annotation::DISABLE: incident }));
    }

    /// Restores it from every incident, as who ends them would.
    pub fn restore<K: Kept>(&self, namespace: &str, name: &str) {
        let incidents = annotation::incidents(self.read::<K>(namespace, name).meta()).unwrap_or_default();
        let restored = annotation::restored(&incidents, &Timestamp::now().to_string());
        self.annotate::<K>(namespace, name, &json!({ annotation::DISABLE: null, annotation::RESTORED: restored }));
    }

    fn annotate<K: Kept>(&self, namespace: &str, name: &str, annotations: &Value) {
        self.patch::<K>(namespace, name, &json!({ "metadata": { "annotations": annotations } }));
    }

    /// Reads an object that exists.
    #[must_use]
    pub fn read<K: Kept>(&self, namespace: &str, name: &str) -> K {
        self.block_on(self.api::<K>(namespace).get(name)).unwrap()
    }

    /// Deletes an object. For half a minute after its restart an apiserver may not know the kinds that policies on
    /// deletions take parameters of, and refuses every one.
    pub fn delete<K: Kept>(&self, namespace: &str, name: &str) {
        let api = self.api::<K>(namespace);
        eventually("it is deleted", || match self.block_on(api.delete(name, &DeleteParams::default())) {
            Err(kube::Error::Api(status)) if status.message.contains("failed to configure policy") => None,
            done => done.map(drop).map(Some).unwrap(),
        });
    }

    fn api<K: Kept>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client().clone(), namespace)
    }

    /// A ServiceAccount token with other claims, signed with the cluster's own key: what its holder alone could make.
    #[must_use]
    pub fn signed_anew(&self, token: &str, change: impl FnOnce(&mut Value)) -> String {
        let (head, rest) = token.split_once('.').unwrap();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(rest.split('.').next().unwrap()).unwrap();
        let mut claims: Value = serde_json::from_slice(&claims).unwrap();
        change(&mut claims);
        let signed = format!("{head}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
        let key = PrivatePkcs8KeyDer::from_pem_file(self.state_dir().join("pki/sa.key")).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der()).unwrap();
        let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        let token = format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref()));
        self.plant_jwt("token signed anew", &token);
        token
    }

    /// A token of a ServiceAccount for an audience, bound to a pod that is made for it and never runs.
    #[must_use]
    pub fn token_of_a_pod(&self, namespace: &str, account: &str, pod: &str, audience: &str) -> String {
        let token = pod_token(self.client(), namespace, account, pod, vec![audience.to_owned()]);
        let token = self.block_on(token);
        self.plant_jwt(&format!("token of pod {namespace}/{pod}"), &token);
        token
    }

    /// A token of a ServiceAccount for an audience, as a pod of it would mount one.
    #[must_use]
    pub fn service_account_token(&self, namespace: &str, account: &str, audience: &str) -> String {
        let token = self.block_on(token(self.client(), namespace, account, vec![audience.to_owned()], None));
        self.plant_jwt(&format!("token of {namespace}/{account}"), &token);
        token
    }
}

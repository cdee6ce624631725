//! Certificates and keys of one cluster, made anew each time and removed with it.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::Error;
use crate::state::write;

/// The files in a `pki` directory: `ca.crt`, `apiserver.*`, `admin.*`, `kubelet.*` (certificate, key), `sa.key` and
/// `sa.pub` (ECDSA P-256, signs ServiceAccount tokens).
#[derive(Debug)]
pub(crate) struct Pki {
    dir: PathBuf,
}

/// Names by which the apiserver is reached: from the machine, from the node, and as the first Service of 10.96.0.0/16.
const APISERVER_NAMES: [&str; 8] = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "127.0.0.1",
    "192.168.77.2",
    "10.96.0.1",
];

impl Pki {
    /// Makes everything in `dir`.
    pub(crate) fn create(dir: PathBuf) -> Result<Self, Error> {
        let pki = Self { dir };
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        ca.distinguished_name.push(DnType::CommonName, "test-cluster-ca");
        let ca = KeyPair::generate().and_then(|key| CertifiedIssuer::self_signed(ca, key)).map_err(of("ca"))?;
        write(&pki.path("ca.crt"), ca.pem())?;

        let server = CertificateParams::new(APISERVER_NAMES.map(str::to_owned)).map_err(of("apiserver"))?;
        pki.leaf(&ca, "apiserver", "kube-apiserver", None, ExtendedKeyUsagePurpose::ServerAuth, server)?;
        for (file, user, group) in
            [("admin", "admin", "system:masters"), ("kubelet", "system:node:node1", "system:nodes")]
        {
            let client = CertificateParams::default();
            pki.leaf(&ca, file, user, Some(group), ExtendedKeyUsagePurpose::ClientAuth, client)?;
        }

        let accounts = KeyPair::generate().map_err(of("service accounts"))?;
        write(&pki.path("sa.key"), accounts.serialize_pem())?;
        write(&pki.path("sa.pub"), accounts.public_key_pem())?;
        Ok(pki)
    }

    /// A file in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes a kubeconfig for `user` (`admin` or `kubelet`) to reach the apiserver on a loopback port.
    pub(crate) fn kubeconfig(&self, path: &Path, user: &str, port: u16) -> Result<(), Error> {
        let file = |name: String| self.path(&name).display().to_string();
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://127.0.0.1:{port}"),
                "certificate-authority": file("ca.crt".to_owned()),
            }}],
            "users": [{"name": user, "user": {
                "client-certificate": file(format!("{user}.crt")),
                "client-key": file(format!("{user}.key")),
            }}],
        });
        write(path, config.to_string())
    }

    fn leaf(
        &self,
        ca: &CertifiedIssuer<'_, KeyPair>,
        file: &str,
        user: &str,
        group: Option<&str>,
        usage: ExtendedKeyUsagePurpose,
        mut params: CertificateParams,
    ) -> Result<(), Error> {
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.distinguished_name.push(DnType::CommonName, user);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(of(file))?;
        let certificate = params.signed_by(&key, ca).map_err(of(file))?;
        write(&self.path(&format!("{file}.crt")), certificate.pem())?;
        write(&self.path(&format!("{file}.key")), key.serialize_pem())
    }
}

fn of(name: &str) -> impl FnOnce(rcgen::Error) -> Error {
    let name = name.to_owned();
    move |source| Error::Certificate { name, source }
}

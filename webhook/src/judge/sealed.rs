//! SealedCredential: whether the operator will be able to open it. Whether it was sealed for just this object, only the
//! operator can tell.

use access::Entry;
use crds::{AmazonConnection, Consent, CredentialOwnerKind, SealedCredential, annotation};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;

use super::{Findings, World, beside, readable};

pub(super) fn look(world: &World<'_>, sealed: &SealedCredential, found: &mut Findings) {
    let of = &sealed.spec.r#for;
    let (kind, name) = (of.kind.as_str(), &of.name);
    match (seal::input_key_id(&sealed.spec.ciphertext), world.sealing_keys) {
        (Err(_), _) => found.refuse(
            "spec.ciphertext: this is not what `openteam seal` prints, or not all of it; seal it again and take the whole \
             manifest",
        ),
        (Ok(_), None) => found.warn("spec.ciphertext: the cluster has no sealing keys (yet): is the operator running?"),
        (Ok(id), Some(keys)) if !keys.all.contains(&id) => found.refuse(format!(
            "spec.ciphertext: sealed for key {id}, which this cluster does not have; seal it again with `openteam seal`"
        )),
        (Ok(id), Some(keys)) if id != keys.current => {
            let current = keys.current;
            found.warn(format!(
                "spec.ciphertext: sealed for the old key {id}, which still opens; seal it again for {current} before \
                 that is retired"
            ));
        }
        (Ok(_), Some(_)) => {}
    }
    let target = beside(&sealed.metadata, name);
    if let Some(consent) = &sealed.spec.consent {
        look_at_consent(world, readable(world.index.connections.get(&target)), consent, found);
    }
    let target = match of.kind {
        CredentialOwnerKind::AmazonApplication => meta(world.index.applications.get(&target)),
        CredentialOwnerKind::AmazonConnection => meta(world.index.connections.get(&target)),
    };
    match target.map(annotation::incidents) {
        None => found.warn(format!("spec.for: {kind} {name} is not in this namespace (yet); it waits for that")),
        Some(Some(incidents)) => {
            let incidents = incidents.join(", ");
            found.warn(format!("spec.for: {kind} {name} is contained by {incidents}; it waits until that is restored"));
        }
        Some(None) => {}
    }
}

/// Of a code, which waits for nothing longer than five minutes. Whether its seller is the right one the operator says in the
/// status, where whoever consented looks.
fn look_at_consent(world: &World<'_>, connection: Option<&AmazonConnection>, consent: &Consent, found: &mut Findings) {
    let Some(connection) = connection else { return };
    let name = &connection.spec.application_ref;
    let Some(application) = readable(world.index.applications.get(name)) else {
        found.warn(format!(
            "spec.for: AmazonApplication {name} of the connection is not there (yet); without it the code is of no use after \
             five minutes"
        ));
        return;
    };
    if consent.redirect_uri.is_some() && consent.redirect_uri != application.spec.redirect_uri {
        found.warn(format!(
            "spec.consent.redirectUri: it is not spec.redirectUri of AmazonApplication {name}; the code will be refused \
             until they are the same"
        ));
    }
}

fn meta<K: Resource>(entry: Option<&Entry<K>>) -> Option<&ObjectMeta> {
    match entry? {
        Entry::Read(object) => Some(object.meta()),
        Entry::Unreadable(meta) => Some(meta),
    }
}

//! AmazonApplication: whether connections can use it.

use std::{sync::Arc, time::Duration};

use access::Containment;
use crds::{
    AmazonApplication, AmazonApplicationStatus, StoredCredential,
    condition::{READY, State, set},
};
use jiff::Timestamp;
use kube::runtime::controller::Action;
use seal::KeyId;

use crate::{
    amazon_connection::client_secret_name,
    controller::Context,
    credential,
    error::ReconcileError,
    status,
    stores::{Kind, Touched, read},
    subject::{Subject, contained_states, containment, reference},
};

const RECHECK: Duration = Duration::from_secs(600);

/// What one pass looks at.
struct Observed<'a> {
    application: &'a AmazonApplication,
    client_secret: Option<&'a StoredCredential>,
    active_key: KeyId,
    allow_endpoints: bool,
    now: Timestamp,
}

/// Whether a change of another object concerns an application.
pub(crate) fn concerns(touched: &Touched, application: &AmazonApplication) -> bool {
    let own = reference(&application.metadata);
    touched.kind == Kind::StoredCredential
        && touched.namespace == own.namespace
        && touched.name == client_secret_name(&own.name)
}

/// One pass.
pub(crate) async fn reconcile(context: Arc<Context>, application: AmazonApplication) -> Result<Action, ReconcileError> {
    let own = reference(&application.metadata);
    let stored = context.stores.stored(&own.namespace, &client_secret_name(&own.name));
    let (status, contained_by) = plan(&Observed {
        application: &application,
        client_secret: read(stored.as_ref()).filter(|stored| stored.goes_with(&application.metadata)),
        active_key: context.keyset.active_id(),
        allow_endpoints: context.allow_endpoints,
        now: Timestamp::now(),
    });
    status::write(&context, &application, &status, &contained_by).await?;
    Ok(Action::requeue(RECHECK))
}

/// Decides.
fn plan(seen: &Observed<'_>) -> (AmazonApplicationStatus, Vec<Containment>) {
    let application = seen.application;
    let generation = application.metadata.generation;
    let contained_by: Vec<Containment> =
        containment(AmazonApplication::ACCESS, &application.metadata).into_iter().collect();
    let (contained, stopped) = contained_states(&contained_by);
    let ready = stopped.unwrap_or_else(|| match access::own_endpoints(application, seen.allow_endpoints) {
        Err(fault) => State::no(READY, fault.reason(), fault.to_string()),
        Ok(_) if seen.client_secret.is_none() => {
            let name = reference(&application.metadata);
            let how = format!("seal one with `openteam seal --for amazonapplication/{name} --field client-secret`");
            State::no(READY, "ClientSecretMissing", format!("no client secret yet: {how}"))
        }
        Ok(_) => State::yes(READY, "Ready", ""),
    });
    let mut status = application.status.clone().unwrap_or_default();
    status.observed_generation = generation;
    for state in [ready, contained, credential::current(seen.client_secret, seen.active_key, "client secret")] {
        set(&mut status.conditions, state, generation, seen.now);
    }
    (status, contained_by)
}

#[cfg(test)]
mod tests {
    use crds::{
        annotation::DISABLE,
        condition::{CONTAINED, CREDENTIAL_CURRENT, find},
    };

    use super::*;
    use crate::testing::{keyset, now, stored_client_secret};

    fn reasons(status: &AmazonApplicationStatus) -> [String; 3] {
        [READY, CONTAINED, CREDENTIAL_CURRENT].map(|type_| find(&status.conditions, type_).unwrap().reason.clone())
    }

    #[test]
    fn an_application_says_what_it_lacks_and_planning_again_yields_nothing() {
        let keyset = keyset();
        let secret = stored_client_secret(&keyset, "acme", "app", 3);
        let mut application = AmazonApplication::new("app", Default::default());
        application.metadata.namespace = Some("acme".into());
        let mut own_endpoint = application.clone();
        own_endpoint.spec.endpoints =
            Some(crds::Endpoints { lwa: Some("https://lwa.example".into()), ..Default::default() });
        let mut contained = application.clone();
        contained.metadata.annotations = Some([(DISABLE.to_owned(), "inc-7".to_owned())].into());
        for (application, secret, expected) in [
            (&application, None, ["ClientSecretMissing", "NotContained", "CredentialMissing"]),
            (&application, Some(&secret), ["Ready", "NotContained", "Current"]),
            (&own_endpoint, Some(&secret), ["EndpointNotAllowed", "NotContained", "Current"]),
            (&contained, Some(&secret), ["Contained", "Disabled", "Current"]),
        ] {
            let look = |application: &AmazonApplication, later: i64| {
                let now = now() + jiff::SignedDuration::from_secs(later);
                let active_key = keyset.active_id();
                plan(&Observed { application, client_secret: secret, active_key, allow_endpoints: false, now }).0
            };
            let first = look(application, 0);
            assert_eq!(reasons(&first), expected.map(str::to_owned));
            let mut written = application.clone();
            written.status = Some(first.clone());
            assert_eq!(look(&written, 60), first);
        }
    }
}

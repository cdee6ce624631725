//! AmazonApplication: whether connections can use it.

use std::{sync::Arc, time::Duration};

use access::Containment;
use crds::{
    AmazonApplication, AmazonApplicationStatus, CredentialOwnerKind, NamespacedReference, StoredCredential,
    condition::{READY, State, set},
};
use jiff::Timestamp;
use kube::runtime::controller::Action;
use seal::Keyset;

use crate::{
    amazon_connection::client_secret_name,
    client_secret::{self, QueueState},
    controller::{Context, RECHECK},
    credential,
    error::ReconcileError,
    status,
    stores::{Kind, Stores, Touched, read},
    subject::{Subject, contained_states, containment, reference},
};

/// What one pass looks at.
struct Observed<'a> {
    application: &'a AmazonApplication,
    client_secret: Option<&'a StoredCredential>,
    queue: &'a QueueState,
    keyset: &'a Keyset,
    allow_endpoints: bool,
    now: Timestamp,
}

/// The application whose credential a change is about.
pub(crate) fn affected(_stores: &Stores, touched: &Touched) -> Vec<Arc<NamespacedReference>> {
    let own = touched.of.as_ref().filter(|_| touched.name.kind == Kind::StoredCredential);
    let own = own.filter(|of| of.kind == CredentialOwnerKind::AmazonApplication);
    own.map(|of| NamespacedReference { namespace: touched.name.namespace.clone(), name: of.name.clone() })
        .map(Arc::new)
        .into_iter()
        .collect()
}

/// One pass.
pub(crate) async fn reconcile(context: Arc<Context>, application: AmazonApplication) -> Result<Action, ReconcileError> {
    let own = reference(&application.metadata);
    let stored = context.stores.stored(&own.namespace, &client_secret_name(&own.name));
    let stored = read(stored.as_ref()).filter(|stored| stored.goes_with(&application.metadata));
    let Plan { status, contained_by, step, recheck } = plan(&Observed {
        application: &application,
        client_secret: stored,
        queue: &context.queues.state(&application, context.allow_endpoints),
        keyset: &context.keyset,
        allow_endpoints: context.allow_endpoints,
        now: Timestamp::now(),
    });
    // Deleted, it is nobody's to ask Amazon for any more.
    let step = step.filter(|_| application.metadata.deletion_timestamp.is_none());
    let recheck = match step.as_ref().zip(stored) {
        // Which writes the status too.
        Some((step, stored)) => {
            let again = client_secret::step(&context, &application, stored, &status, &contained_by, step).await?;
            [again, recheck].into_iter().flatten().min()
        }
        None => {
            status::write(&context, &application, &status, &contained_by).await?;
            recheck
        }
    };
    // All are looked at once more within that time anyway.
    Ok(recheck.filter(|wait| *wait < RECHECK).map_or_else(Action::await_change, Action::requeue))
}

/// What to do.
struct Plan {
    status: AmazonApplicationStatus,
    contained_by: Vec<Containment>,
    /// What is to be done for the client secret.
    step: Option<client_secret::Step>,
    /// When to look again, sooner than usual.
    recheck: Option<Duration>,
}

/// Decides.
fn plan(seen: &Observed<'_>) -> Plan {
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
    for state in [ready, contained, credential::current(seen.client_secret, seen.keyset, "client secret")] {
        set(&mut status.conditions, state, generation, seen.now);
    }
    let (application, stored, queue, now) = (seen.application, seen.client_secret, seen.queue, seen.now);
    let rotation = client_secret::plan(&client_secret::Observed { application, stored, queue, now });
    client_secret::put(&mut status, rotation.status, rotation.state, generation, seen.now);
    Plan { status, contained_by, step: rotation.step, recheck: rotation.recheck }
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
                let (keyset, queue) = (&keyset, &QueueState::None);
                plan(&Observed { application, client_secret: secret, queue, keyset, allow_endpoints: false, now })
                    .status
            };
            let first = look(application, 0);
            assert_eq!(reasons(&first), expected.map(str::to_owned));
            let mut written = application.clone();
            written.status = Some(first.clone());
            assert_eq!(look(&written, 60), first);
        }
    }
}

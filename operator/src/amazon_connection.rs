//! AmazonConnection: proven by a real refresh, and shown with what is missing otherwise.

mod ask;
mod plan;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use crds::{
    AmazonApplication, AmazonConnection, CredentialField, CredentialOwner, CredentialOwnerKind, NamespacedReference,
    StoredCredential, Team, stored_credential_name,
};
use jiff::Timestamp;
use kube::{Api, runtime::controller::Action};

pub(crate) use self::ask::Calls;
use self::{
    ask::ask,
    plan::{Answer, Observed, Plan, plan},
};
use crate::{
    controller::Context,
    error::ReconcileError,
    status,
    stores::{Guarded, Kind, Touched, read},
    subject::reference,
};

/// Looked at again without a reason so often; that alone never makes a call to Amazon.
const RECHECK: Duration = Duration::from_secs(600);

/// Whether a change of another object concerns a connection.
pub(crate) fn concerns(touched: &Touched, connection: &AmazonConnection) -> bool {
    let own = reference(&connection.metadata);
    let application = &connection.spec.application_ref;
    match touched.kind {
        Kind::Team => touched.namespace == own.namespace && touched.name == connection.spec.team_ref.name,
        Kind::AmazonApplication => touched.namespace == application.namespace && touched.name == application.name,
        Kind::Namespace => touched.name == own.namespace,
        Kind::StoredCredential => {
            let is = |of: &NamespacedReference, name: String| touched.namespace == of.namespace && touched.name == name;
            is(&own, refresh_token_name(&own.name)) || is(application, client_secret_name(&application.name))
        }
        _ => false,
    }
}

/// The StoredCredential of a connection's refresh token.
fn refresh_token_name(connection: &str) -> String {
    let owner = CredentialOwner { kind: CredentialOwnerKind::AmazonConnection, name: connection.to_owned() };
    stored_credential_name(&owner, CredentialField::RefreshToken)
}

/// The StoredCredential of an application's client secret.
pub(crate) fn client_secret_name(application: &str) -> String {
    let owner = CredentialOwner { kind: CredentialOwnerKind::AmazonApplication, name: application.to_owned() };
    stored_credential_name(&owner, CredentialField::ClientSecret)
}

/// One pass.
pub(crate) async fn reconcile(context: Arc<Context>, connection: AmazonConnection) -> Result<Action, ReconcileError> {
    let (connection, plan) = match look(&context, &connection, None) {
        Plan { ask: None, .. } if connection.metadata.deletion_timestamp.is_some() => return Ok(Action::await_change()),
        plan @ Plan { ask: None, .. } => (connection, plan),
        Plan { ask: Some(_), .. } => {
            // The watch may lag behind our own last write, and an incident may have begun: read it anew before a
            // credential is used.
            let name = reference(&connection.metadata);
            let api: Api<AmazonConnection> = Api::namespaced(context.client.clone(), &name.namespace);
            let found =
                api.get_opt(&name.name).await.map_err(ReconcileError::about(format!("AmazonConnection {name}")))?;
            let Some(connection) = found else { return Ok(Action::await_change()) };
            match look(&context, &connection, None) {
                Plan { ask: Some(question), .. } => {
                    let answer = ask(&context, &connection, &question).await?;
                    let plan = look(&context, &connection, Some(&answer));
                    (connection, plan)
                }
                plan => (connection, plan),
            }
        }
    };
    status::write(&context, &connection, &plan.status, &plan.contained_by).await?;
    Ok(Action::requeue(plan.recheck.unwrap_or(RECHECK)))
}

/// Observes and plans.
fn look(context: &Context, connection: &AmazonConnection, answer: Option<&Answer>) -> Plan {
    let name = reference(&connection.metadata);
    let application = &connection.spec.application_ref;
    let stores = &context.stores;
    let team: Option<Arc<Guarded<Team>>> = stores.team(&name.namespace, &connection.spec.team_ref.name);
    let found: Option<Arc<Guarded<AmazonApplication>>> = stores.application(application);
    let refresh_token: Option<Arc<Guarded<StoredCredential>>> =
        stores.stored(&name.namespace, &refresh_token_name(&name.name));
    let client_secret = stores.stored(&application.namespace, &client_secret_name(&application.name));
    plan(&Observed {
        connection,
        team: team.as_deref(),
        application: found.as_deref(),
        namespace_labels: &stores.labels(&name.namespace),
        refresh_token: read(refresh_token.as_ref()).filter(|stored| stored.goes_with(&connection.metadata)),
        client_secret: read(client_secret.as_ref())
            .filter(|stored| read(found.as_ref()).is_some_and(|found| stored.goes_with(&found.metadata))),
        active_key: context.keyset.active_id(),
        allow_endpoints: context.allow_endpoints,
        ask_not_before: context.calls.not_before(&name),
        answer,
        now: Timestamp::now(),
    })
}

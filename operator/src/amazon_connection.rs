//! AmazonConnection: proven by a real refresh, and shown with what is missing otherwise.

mod ask;
mod mail;
mod plan;
mod rotate;
mod rotation;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crds::{
    AmazonApplication, AmazonConnection, CredentialField, CredentialOwner, CredentialOwnerKind, NamespacedReference,
    StoredCredential, Team, stored_credential_name,
};
use jiff::{SignedDuration, Timestamp};
use kube::{Api, runtime::controller::Action};

use self::{
    ask::ask,
    plan::{Answer, Observed, Plan, plan},
    rotation::Tried,
};
pub(crate) use self::{
    ask::{Calls, Clients, lwa_phase, retry_phase, sp_api_phase},
    plan::{Verdict, contained_by, newest_secret, reach},
};
use crate::{
    controller::Context,
    dependents::Name,
    error::ReconcileError,
    sealed_credential, status,
    stores::{Guarded, Kind, Stores, Touched, owner_name, read},
    subject::reference,
};

/// How long nothing is said of a missing credential while an input that may be it waits to be opened. Said at once, it
/// would be wrong a moment later, for every connection of a cluster that is set up.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// The connections that a change of another object concerns.
pub(crate) fn affected(stores: &Stores, touched: &Touched) -> Vec<Arc<NamespacedReference>> {
    let Touched { name, of } = touched;
    match (name.kind, of) {
        (Kind::Team | Kind::AmazonApplication | Kind::Namespace, _) => stores.connections.looking_at(name),
        // Where a credential is stored an input says nothing, until it is stored itself.
        (Kind::SealedCredential, Some(of))
            if stores.stored(&name.namespace, &stored_credential_name(of, of.kind.field())).is_some() =>
        {
            Vec::new()
        }
        (Kind::StoredCredential | Kind::SealedCredential, Some(of)) => match of.kind {
            CredentialOwnerKind::AmazonApplication => {
                stores.connections.looking_at(&owner_name(Some(&name.namespace), of))
            }
            CredentialOwnerKind::AmazonConnection => {
                vec![Arc::new(NamespacedReference { namespace: name.namespace.clone(), name: of.name.clone() })]
            }
        },
        _ => Vec::new(),
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

/// What Amazon has just said.
#[derive(Default)]
struct Said {
    answer: Option<Answer>,
    tried: Option<Tried>,
}

/// How questions about the refresh token that was rotated away are spaced: beside those about the connection, by a name that
/// none can have.
fn old_token_of(connection: &NamespacedReference) -> NamespacedReference {
    NamespacedReference { namespace: connection.namespace.clone(), name: format!("{}/old", connection.name) }
}

/// The stored refresh token of a connection.
pub(crate) fn stored_token(context: &Context, connection: &AmazonConnection) -> Option<Arc<Guarded<StoredCredential>>> {
    let name = reference(&connection.metadata);
    let stored = context.stores.stored(&name.namespace, &refresh_token_name(&name.name));
    stored.filter(|stored| read(Some(stored)).is_some_and(|stored| stored.goes_with(&connection.metadata)))
}

/// One pass.
pub(crate) async fn reconcile(context: Arc<Context>, connection: AmazonConnection) -> Result<Action, ReconcileError> {
    let mut plan = look(&context, &connection, &Said::default());
    if let (Some(rotation), Some(stored)) = (plan.rotate.take(), read(stored_token(&context, &connection).as_ref())) {
        rotate::rotate(&context, &connection, stored, rotation, Timestamp::now()).await?;
        // The watch brings it, and with it the pass that tells.
        return Ok(Action::await_change());
    }
    let asks = plan.ask.is_some() || plan.try_old.is_some();
    if connection.metadata.deletion_timestamp.is_some() && !asks {
        return Ok(Action::await_change());
    }
    let (connection, plan) = if asks {
        let Some(connection) = current(&context, connection).await? else { return Ok(Action::await_change()) };
        let plan = look(&context, &connection, &Said::default());
        let mut said = Said::default();
        if let Some(question) = &plan.ask {
            said.answer = Some(ask(&context, &connection, question).await?);
        }
        if let Some(question) = &plan.try_old {
            said.tried = Some(rotate::try_old(&context, &connection, question).await?);
        }
        let plan = look(&context, &connection, &said);
        (connection, plan)
    } else {
        (connection, plan)
    };
    if !plan.hold {
        status::write(&context, &connection, &plan.status, &plan.contained_by).await?;
    }
    if plan.mail && !plan.hold {
        mail::send(&context, &connection).await?;
    }
    if let (Some(tidy), Some(stored)) = (plan.tidy, read(stored_token(&context, &connection).as_ref())) {
        rotate::tidy(&context, stored, tidy).await?;
    }
    Ok(plan.recheck.map_or_else(Action::await_change, Action::requeue))
}

/// The connection as it is, before Amazon is asked: the watch may lag behind our own last write or a gateway's, and then
/// it would be asked again. One that was never asked for, and of which nobody wrote anything, is as the watch has it.
async fn current(context: &Context, connection: AmazonConnection) -> Result<Option<AmazonConnection>, ReconcileError> {
    let name = reference(&connection.metadata);
    let new =
        connection.status.as_ref().is_none_or(|status| status.proven.is_none() && status.refreshed_with.is_none());
    if new && context.calls.not_before(&name).is_none() {
        return Ok(Some(connection));
    }
    let api: Api<AmazonConnection> = Api::namespaced(context.client.clone(), &name.namespace);
    api.get_opt(&name.name).await.map_err(ReconcileError::about(format!("AmazonConnection {name}")))
}

/// Observes and plans.
fn look(context: &Context, connection: &AmazonConnection, said: &Said) -> Plan {
    let name = reference(&connection.metadata);
    let application = &connection.spec.application_ref;
    let stores = &context.stores;
    let team: Option<Arc<Guarded<Team>>> = stores.team(&name.namespace, &connection.spec.team_ref.name);
    let found: Option<Arc<Guarded<AmazonApplication>>> = stores.application(application);
    let refresh_token: Option<Arc<Guarded<StoredCredential>>> =
        stores.stored(&name.namespace, &refresh_token_name(&name.name));
    let own = Name::new(Kind::AmazonConnection, Some(&name.namespace), &name.name);
    let client_secret = stores.stored(&application.namespace, &client_secret_name(&application.name));
    let waits = |namespace: &str, kind, name: &str| {
        let inputs = stores.inputs(namespace, &CredentialOwner { kind, name: name.to_owned() });
        inputs.iter().filter_map(|input| input.0.as_ref().ok()).any(sealed_credential::is_under_way)
    };
    let now = Timestamp::now();
    let since = connection.metadata.creation_timestamp.as_ref().map_or(context.leading_since, |at| at.0);
    let since = since.max(context.leading_since);
    plan(&Observed {
        connection,
        team: team.as_deref(),
        application: found.as_deref(),
        namespace_labels: &stores.labels(&name.namespace),
        refresh_token: read(refresh_token.as_ref()).filter(|stored| stored.goes_with(&connection.metadata)),
        client_secret: read(client_secret.as_ref())
            .filter(|stored| read(found.as_ref()).is_some_and(|found| stored.goes_with(&found.metadata))),
        keyset: &context.keyset,
        allow_endpoints: context.allow_endpoints,
        ask_not_before: context.calls.not_before(&name),
        input_under_way: now.duration_since(since) < PATIENCE
            && (refresh_token.is_none() && waits(&name.namespace, CredentialOwnerKind::AmazonConnection, &name.name)
                || client_secret.is_none()
                    && waits(&application.namespace, CredentialOwnerKind::AmazonApplication, &application.name)),
        try_not_before: context.calls.not_before(&old_token_of(&name)),
        newest_token: stores.newest_token(&own),
        mail_configured: context.mailer.is_configured(),
        answer: said.answer.as_ref(),
        tried: said.tried.as_ref(),
        now,
    })
}

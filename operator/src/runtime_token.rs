//! RuntimeToken: whether it is good, and what its scope is worth.

mod mail;

use std::{sync::Arc, time::Duration};

use access::{
    Containment, RuntimeTokenFault, runtime_token_fault,
    scope::{self, Named},
};
use crds::{
    NamespacedReference, RuntimeToken, RuntimeTokenStatus, Team,
    condition::{READY, State, set},
};
use jiff::Timestamp;
use kube::{Resource, core::DeserializeGuard, runtime::controller::Action};

use crate::{
    controller::Context,
    error::ReconcileError,
    mailing, status,
    stores::{Kind, Stores, Touched, read},
    subject::{Subject, contained_states, containment, reference},
};

/// What one pass looks at.
struct Observed<'a> {
    token: &'a RuntimeToken,
    team: Option<&'a DeserializeGuard<Team>>,
    connections: &'a [Named<'a>],
    mail_configured: bool,
    now: Timestamp,
}

/// What to do.
#[derive(Debug, PartialEq)]
struct Plan {
    status: RuntimeTokenStatus,
    contained_by: Vec<Containment>,
    /// Whether a mail is due.
    mail: bool,
    /// When it ends, and when that is mailed, which no change tells.
    recheck: Option<Duration>,
}

/// The tokens that a change of another object concerns.
pub(crate) fn affected(stores: &Stores, touched: &Touched) -> Vec<Arc<NamespacedReference>> {
    match touched.name.kind {
        Kind::Team | Kind::AmazonConnection => stores.runtime_tokens.looking_at(&touched.name),
        _ => Vec::new(),
    }
}

/// One pass.
pub(crate) async fn reconcile(context: Arc<Context>, token: RuntimeToken) -> Result<Action, ReconcileError> {
    let namespace = reference(&token.metadata).namespace;
    let team = context.stores.team(&namespace, &token.spec.team_ref.name);
    let found: Vec<_> =
        token.spec.scope.connections.iter().map(|name| (name, context.stores.connection(&namespace, name))).collect();
    let connections: Vec<_> = found.iter().map(|(name, it)| Named { name, connection: read(it.as_ref()) }).collect();
    let plan = plan(&Observed {
        token: &token,
        team: team.as_deref(),
        connections: &connections,
        mail_configured: context.mailer.is_configured(),
        now: Timestamp::now(),
    });
    status::write(&context, &token, &plan.status, &plan.contained_by).await?;
    if plan.mail {
        mail::send(&context, &token).await?;
    }
    Ok(plan.recheck.map_or_else(Action::await_change, Action::requeue))
}

/// Decides.
fn plan(seen: &Observed<'_>) -> Plan {
    let token = seen.token;
    let generation = token.metadata.generation;
    let contained_by: Vec<Containment> = [
        containment(RuntimeToken::ACCESS, &token.metadata),
        seen.team.and_then(|team| containment(Team::ACCESS, team.meta())),
    ]
    .into_iter()
    .flatten()
    .collect();
    let (contained, stopped) = contained_states(&contained_by);
    let team = seen.team.and_then(|team| team.0.as_ref().ok());
    let connections = seen.connections.iter().filter_map(|named| named.connection);
    let fault = runtime_token_fault(token, team, connections, seen.now);
    let ready = stopped.unwrap_or_else(|| match fault {
        Some(fault) => State::no(READY, fault.reason(), fault.to_string()),
        None => scope::ready(&token.spec.team_ref.name, &token.spec.scope, seen.connections),
    });
    let mut status = token.status.clone().unwrap_or_default();
    status.observed_generation = generation;
    for state in [ready, contained] {
        set(&mut status.conditions, state, generation, seen.now);
    }
    let told = fault.is_none() && contained_by.is_empty() && token.metadata.deletion_timestamp.is_none();
    let wanted = mail::wanted(token, seen.now).filter(|_| told);
    status.expiry_mail = mailing::next(status.expiry_mail.take(), wanted, seen.mail_configured, seen.now);
    let due = mail::due(&status);
    let mail = due.is_some_and(|at| at <= seen.now);
    let end = (fault != Some(RuntimeTokenFault::Expired)).then_some(token.spec.expires_at.0);
    let times = [end, mail::from(token).filter(|_| told), due];
    let left = times.into_iter().flatten().filter(|at| *at > seen.now).min();
    let recheck = left.and_then(|at| Duration::try_from(at.duration_since(seen.now)).ok());
    Plan { status, contained_by, mail, recheck }
}

#[cfg(test)]
mod tests {
    use crds::{
        LocalReference, MailState, MailStatus, Member, Role, RuntimeTokenSpec, Scope, annotation::DISABLE,
        condition::find,
    };
    use jiff::SignedDuration;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use process::mail::MailError;

    use super::*;
    use crate::testing::{now, team};

    fn token(hours: i64) -> RuntimeToken {
        let spec = RuntimeTokenSpec {
            team_ref: LocalReference::to("acme"),
            scope: Scope::default(),
            expires_at: Time(now() + SignedDuration::from_hours(hours)),
            issued_by: "ann@example.com".into(),
            hash: "0".repeat(64),
        };
        let mut token = RuntimeToken::new("laptop", spec);
        token.metadata.namespace = Some("acme".into());
        token.metadata.creation_timestamp = Some(Time(now()));
        token
    }

    fn team_of(members: &[(&str, Role)]) -> DeserializeGuard<Team> {
        let mut team = team("acme", "acme");
        team.spec.members =
            members.iter().map(|(email, role)| Member { email: email.to_string(), role: *role }).collect();
        DeserializeGuard(Ok(team))
    }

    #[test]
    fn a_token_says_why_it_is_no_good() {
        let acme = team_of(&[("ann@example.com", Role::Member)]);
        let without_ann = team_of(&[("bob@example.com", Role::Owner)]);
        let viewer = team_of(&[("ann@example.com", Role::Viewer)]);
        let mut contained = token(1);
        contained.metadata.annotations = Some([(DISABLE.to_owned(), "inc-7".to_owned())].into());
        for (token, team, reason) in [
            (token(1), Some(&acme), "Ready"),
            (token(1), None, "TeamNotFound"),
            (token(0), Some(&acme), "Expired"),
            (token(-1), Some(&acme), "Expired"),
            (token(1), Some(&without_ann), "IssuerNotMember"),
            (token(1), Some(&viewer), "IssuerNotMember"),
            (token(25), Some(&acme), "LivesTooLong"),
            (contained, Some(&acme), "Contained"),
        ] {
            let look = |token: &RuntimeToken, now| {
                plan(&Observed { token, team, connections: &[], mail_configured: true, now })
            };
            let first = look(&token, now());
            assert_eq!(find(&first.status.conditions, READY).unwrap().reason, reason);
            let written = RuntimeToken { status: Some(first.status.clone()), ..token };
            assert_eq!(look(&written, now() + SignedDuration::from_secs(1)).status, first.status);
        }
    }

    #[test]
    fn a_token_is_looked_at_again_when_it_ends() {
        let acme = team_of(&[("ann@example.com", Role::Member)]);
        let recheck = |token: &RuntimeToken, later| {
            let now = now() + SignedDuration::from_secs(later);
            plan(&Observed { token, team: Some(&acme), connections: &[], mail_configured: true, now }).recheck
        };
        assert_eq!(recheck(&token(1), 3590), Some(Duration::from_secs(10)));
        assert_eq!(recheck(&token(1), 0), Some(Duration::from_secs(3600)));
        assert_eq!(recheck(&token(1), 3601), None, "what is over stays over");
    }

    #[test]
    fn its_issuer_is_mailed_once_before_it_ends_and_never_of_one_that_is_no_good() {
        let acme = team_of(&[("ann@example.com", Role::Member)]);
        let without_ann = team_of(&[("bob@example.com", Role::Owner)]);
        let mut contained_team = team("acme", "acme");
        contained_team.spec.members = acme.0.as_ref().unwrap().spec.members.clone();
        contained_team.metadata.annotations = Some([(DISABLE.to_owned(), "inc-7".to_owned())].into());
        let contained_team = DeserializeGuard(Ok(contained_team));
        let late = now() + SignedDuration::from_hours(9);
        let look = |token: &RuntimeToken, team, now| {
            plan(&Observed { token, team: Some(team), connections: &[], mail_configured: true, now })
        };
        let early = look(&token(10), &acme, now());
        assert_eq!(
            (early.mail, early.recheck),
            (false, Some(Duration::from_secs(8 * 3600))),
            "when that is to be told"
        );
        let first = look(&token(10), &acme, late);
        assert!(first.mail && first.status.expiry_mail.as_ref().unwrap().state == MailState::Pending);
        assert_eq!(first.recheck, Some(Duration::from_secs(3600)));
        let with = |mail: Option<MailStatus>| {
            let status = RuntimeTokenStatus { expiry_mail: mail, ..first.status.clone() };
            RuntimeToken { status: Some(status), ..token(10) }
        };
        // Killed before it was sent, whoever leads next sends it; killed after, nobody.
        assert!(look(&with(first.status.expiry_mail.clone()), &acme, late).mail);
        let sent = mailing::tried(first.status.expiry_mail.clone().unwrap(), None, late);
        let over = look(&with(Some(sent.clone())), &acme, late);
        assert_eq!((over.mail, over.status.expiry_mail), (false, Some(sent)));
        // One that the server did not take is tried again, but not for ever.
        let failed = mailing::tried(first.status.expiry_mail.clone().unwrap(), Some(MailError::Unreachable), late);
        let again = look(&with(Some(failed.clone())), &acme, late);
        assert!(!again.mail && again.recheck.is_some_and(|wait| wait < Duration::from_secs(3600)), "{again:?}");
        let ended = look(&with(Some(failed)), &acme, now() + SignedDuration::from_hours(11));
        assert_eq!((ended.mail, ended.status.expiry_mail, ended.recheck), (false, None, None));

        let mut contained = token(10);
        contained.metadata.annotations = Some([(DISABLE.to_owned(), "inc-7".to_owned())].into());
        let mut leaving = token(10);
        leaving.metadata.deletion_timestamp = Some(Time(late));
        let (good, short) = (token(10), token(1));
        for (token, team) in
            [(&contained, &acme), (&leaving, &acme), (&good, &without_ann), (&good, &contained_team), (&short, &acme)]
        {
            let at = if token.spec.expires_at.0 > late { late } else { now() + SignedDuration::from_mins(59) };
            let plan = look(token, team, at);
            assert_eq!((plan.mail, plan.status.expiry_mail), (false, None), "{token:?}");
        }
    }
}

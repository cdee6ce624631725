//! From objects to what pages show of them.

use access::{Containment, Index};
use crds::{
    AmazonConnection, CredentialField, NamespacedReference, Region, Role, RuntimeToken, SealedCredentialState,
    condition::{self, AUTHORIZED, READY},
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    inputs::Input,
    page::{Banner, Marketplace, Place, Shell, Status, Step, StepState, TeamLink, Tone, When},
    portal::{Ask, Membership, Visitor},
};

/// How long before a consent ends it is worth a word.
pub(crate) const ENDS_SOON: SignedDuration = SignedDuration::from_hours(24 * 30);
/// What a new credential cures.
const CURED: [&str; 3] = ["CredentialMissing", "ConsentRequired", "AuthorizationRevoked"];
/// How long after an input came the operator may not have looked at its connection again.
const LOOKED_AT_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// What is around a page of somebody who is signed in.
pub(crate) fn shell(ask: &Ask, visitor: &Visitor) -> Shell {
    let teams = access::memberships(&ask.index, &visitor.email);
    let teams = teams.into_iter().map(|(team, _)| team_link(&ask.index, &team)).collect();
    Shell { email: Some(visitor.email.clone()), teams, ..Shell::default() }
}

/// What is around a page of a Team.
pub(crate) fn team_shell(ask: &Ask, membership: &Membership) -> Shell {
    let mut shell = shell(ask, &membership.visitor);
    shell.team = Some(place(membership));
    shell.banners = banners(ask, membership);
    shell.flash = flash(ask.parameters().one("done"));
    shell
}

/// What the last form did, by the word that it left in the address.
fn flash(done: &str) -> Option<Status> {
    let (tone, word) = match done {
        "accepted" => (Tone::Good, "You are in. Welcome."),
        "renamed" => (Tone::Good, "Renamed."),
        "renew" => (Tone::Good, "The Team’s contacts are asked by mail for a new consent."),
        "test" => (Tone::Wait, "Amazon is being asked. This page follows."),
        "pasted" => (Tone::Wait, "The token is sealed and is being tried at Amazon. This page follows."),
        "contained" => (Tone::Warn, "Contained. Nothing under it works any more."),
        "revoked" => (Tone::Good, "Revoked. It opens nothing any more."),
        "revoked-all" => (Tone::Good, "All tokens are revoked."),
        "revoked-ours" => {
            (Tone::Warn, "All tokens that were issued here are revoked. Those that came by YAML still work.")
        }
        "deleted" => (Tone::Good, "Deleted."),
        _ => return None,
    };
    Some(Status::new(tone, word))
}

pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Owner => "Owner",
        Role::Member => "Member",
        Role::Viewer => "Viewer",
    }
}

pub(crate) fn place(membership: &Membership) -> Place {
    Place {
        namespace: membership.team.namespace.clone(),
        name: membership.team.name.clone(),
        display_name: membership.display_name(),
        role: role(membership.role).to_owned(),
        may_contain: crate::contain::may(membership, membership.is_contained()),
    }
}

fn team_link(index: &Index, team: &NamespacedReference) -> TeamLink {
    TeamLink { namespace: team.namespace.clone(), name: team.name.clone(), display_name: team_name(index, team) }
}

/// The name of a Team that people see.
pub(crate) fn team_name(index: &Index, team: &NamespacedReference) -> String {
    let object = index.teams.get(team).and_then(access::Entry::read);
    object.and_then(|team| team.spec.display_name.clone()).unwrap_or_else(|| team.name.clone())
}

/// The connections of a Team, by name.
pub(crate) fn connections<'a>(
    index: &'a Index,
    team: &'a NamespacedReference,
) -> impl Iterator<Item = (&'a NamespacedReference, &'a std::sync::Arc<AmazonConnection>)> {
    access::within(&index.connections, &team.namespace)
        .filter(|(_, connection)| connection.spec.team_ref.name == team.name)
}

/// The RuntimeTokens of a Team, by name.
pub(crate) fn tokens<'a>(
    index: &'a Index,
    team: &'a NamespacedReference,
) -> impl Iterator<Item = (&'a NamespacedReference, &'a std::sync::Arc<RuntimeToken>)> {
    access::within(&index.runtime_tokens, &team.namespace).filter(|(_, token)| token.spec.team_ref.name == team.name)
}

/// The AgentGrants of a Team, by name.
pub(crate) fn grants<'a>(
    index: &'a Index,
    team: &'a NamespacedReference,
) -> impl Iterator<Item = (&'a NamespacedReference, &'a std::sync::Arc<crds::AgentGrant>)> {
    access::within(&index.grants, &team.namespace).filter(|(_, grant)| grant.spec.team_ref.name == team.name)
}

/// The name of a connection that people see.
pub(crate) fn connection_name(connection: &AmazonConnection) -> String {
    let name = connection.metadata.name.clone().unwrap_or_default();
    connection.spec.display_name.clone().unwrap_or(name)
}

/// Amazon's id of a connection's seller, once it is known.
pub(crate) fn seller(connection: &AmazonConnection) -> Option<String> {
    connection.selling_partner_id().map(str::to_owned)
}

pub(crate) fn region(region: Region) -> &'static str {
    match region {
        Region::Na => "North America",
        Region::Eu => "Europe, Middle East, India",
        Region::Fe => "Far East",
    }
}

pub(crate) fn marketplace(id: &str) -> Marketplace {
    let country = amazon::Marketplace::by_id(id).map_or("", |known| known.country);
    Marketplace::new(id, country)
}

/// Everything contained that a member of the Team may know of.
fn banners(ask: &Ask, membership: &Membership) -> Vec<Banner> {
    let index = &ask.index;
    let team = &membership.team;
    let mut found: Vec<(String, &'static str, NamespacedReference, Vec<String>)> = Vec::new();
    let mut add = |what: String, kind, name: &NamespacedReference, meta: &_| {
        if let Some(incidents) = crds::annotation::incidents(meta) {
            found.push((what, kind, name.clone(), incidents));
        }
    };
    add(format!("The Team {}", membership.display_name()), "Team", team, &membership.object.metadata);
    for (name, connection) in connections(index, team) {
        add(format!("Connection {}", connection_name(connection)), "AmazonConnection", name, &connection.metadata);
    }
    let applications: std::collections::BTreeSet<_> =
        connections(index, team).map(|(_, connection)| connection.spec.application_ref.clone()).collect();
    for name in &applications {
        match index.applications.get(name) {
            Some(access::Entry::Read(application)) => {
                add(format!("Application {}", name.name), "AmazonApplication", name, &application.metadata);
            }
            Some(access::Entry::Unreadable(meta)) => {
                add(format!("Application {}", name.name), "AmazonApplication", name, meta);
            }
            None => {}
        }
    }
    for (name, token) in tokens(index, team) {
        add(format!("Runtime token {}", name.name), "RuntimeToken", name, &token.metadata);
    }
    for (name, grant) in grants(index, team) {
        add(format!("Agent {}", name.name), "AgentGrant", name, &grant.metadata);
    }
    found.into_iter().map(|(what, kind, name, incidents)| banner(ask, what, kind, &name, &incidents)).collect()
}

fn banner(ask: &Ask, what: String, kind: &str, name: &NamespacedReference, incidents: &[String]) -> Banner {
    let known = incidents.iter().find_map(|incident| ask.portal.inputs.incident(incident));
    let mark = crate::contain::mark(kind, name);
    let note = known.as_ref().and_then(|incident| {
        incident.spec.notes.iter().rev().find_map(|note| Some((note, note.text.strip_prefix(&mark)?.trim())))
    });
    let target = known.as_ref().and_then(|incident| {
        let targets = &incident.status.as_ref()?.targets;
        targets.iter().find(|one| {
            one.kind == kind && one.namespace == name.namespace && one.name == name.name && one.is_contained()
        })
    });
    let why = note.map(|(_, why)| why.to_owned()).filter(|why| !why.is_empty());
    Banner {
        what,
        who: note.map(|(note, _)| note.author.clone()),
        when: note.map(|(note, _)| note.time.0).or_else(|| Some(target?.contained_at.0)).map(When),
        incidents: incidents.join(", "),
        // Not its title: an Incident may be about others too.
        why,
        contact: ask.portal.contact.as_ref().map(ToString::to_string),
    }
}

/// How a connection is: in a word, in a sentence, and step by step.
pub(crate) struct State {
    pub(crate) status: Status,
    pub(crate) summary: String,
    pub(crate) steps: Vec<Step>,
    /// Whether something will change by itself, soon.
    pub(crate) live: bool,
}

/// Works it out from what the operator wrote, and from the newest input. Pure.
pub(crate) fn state(
    connection: &AmazonConnection,
    contained: &[Containment],
    newest: Option<&Input>,
    now: Timestamp,
) -> State {
    let status = connection.status.clone().unwrap_or_default();
    let ready = condition::find(&status.conditions, READY);
    let is_ready = ready.is_some_and(|ready| ready.status == "True");
    let authorized = condition::is_true(&status.conditions, AUTHORIZED);
    let current = status.observed_generation == connection.metadata.generation;
    let testing =
        crds::annotation::test(&connection.metadata).is_some_and(|value| status.tested.as_deref() != Some(value));
    let (exchange, failed) = match newest {
        None => (None, None),
        Some(input) => match input.status.state {
            None | Some(SealedCredentialState::Waiting | SealedCredentialState::Exchanging) => (Some(false), None),
            Some(SealedCredentialState::Accepted | SealedCredentialState::Superseded) => (Some(true), None),
            Some(SealedCredentialState::Refused) => (None, Some(input)),
        },
    };
    let steps = steps(newest, exchange, failed, authorized, is_ready, ready.map(|ready| ready.reason.as_str()));
    let make =
        |tone, word: &str, summary: String, live| State { status: Status::new(tone, word), summary, steps, live };
    if let Some(by) = contained.first() {
        let by = by.incidents.join(", ");
        return make(
            Tone::Bad,
            "Contained",
            format!("Stopped by incident {by}. Nothing calls Amazon through it."),
            false,
        );
    }
    if exchange == Some(false) {
        return make(Tone::Wait, "Connecting", "The seller’s consent is being exchanged at Amazon.".to_owned(), true);
    }
    if let Some(input) = failed
        && !(is_ready && authorized)
    {
        return make(Tone::Bad, "Not connected", refused(input), false);
    }
    if is_ready {
        let ends = status.authorization_expires_at.as_ref().map(|ends| ends.0);
        if testing {
            return make(Tone::Wait, "Testing", "Amazon is being asked whether it works.".to_owned(), true);
        }
        if let Some(input) = failed {
            let summary =
                format!("It works with the consent from before. The newest was not taken: {}", refused(input));
            return make(Tone::Warn, "Works", summary, false);
        }
        if ends.is_some_and(|ends| ends - ENDS_SOON <= now) {
            let summary = "It works. The seller’s consent ends soon: have the seller consent again.".to_owned();
            return make(Tone::Warn, "Ends soon", summary, false);
        }
        if ready.is_some_and(|ready| ready.reason == "PartlyParticipating") {
            let summary = "It works, but not in every marketplace: see below.".to_owned();
            return make(Tone::Warn, "Works in part", summary, false);
        }
        return make(Tone::Good, "Ready", "Amazon accepts it. Tokens and agents can use it.".to_owned(), false);
    }
    // What is said of it may be from before the credential came: it is looked at again in this moment.
    let cured = ready.is_some_and(|ready| CURED.contains(&ready.reason.as_str()));
    if cured && exchange == Some(true) && newest.is_some_and(|input| input.created + LOOKED_AT_WITHIN > now) {
        return make(Tone::Wait, "Verifying", "Amazon is being asked whether it works.".to_owned(), true);
    }
    let Some(ready) = ready.filter(|_| current || exchange == Some(true)) else {
        return make(Tone::Wait, "Checking", "It was just made and is being looked at.".to_owned(), true);
    };
    match plain(&ready.reason) {
        Some((tone, word, summary, live)) => make(tone, word, summary.to_owned(), live),
        None => make(Tone::Bad, "Not ready", ready.message.clone(), false),
    }
}

fn steps(
    newest: Option<&Input>,
    exchange: Option<bool>,
    failed: Option<&Input>,
    authorized: bool,
    is_ready: bool,
    reason: Option<&str>,
) -> Vec<Step> {
    use StepState::{Done, Failed, Later, Now};
    let step = |title: &str, state, text: &str| Step { title: title.to_owned(), state, text: text.to_owned() };
    let pasted = newest.is_some_and(|input| input.field == CredentialField::RefreshToken);
    let consented = newest.is_some() || authorized;
    let exchanged = exchange == Some(true) || (authorized && newest.is_none());
    let (verified, is_refused) = match (exchanged && authorized, reason) {
        (true, _) => (true, false),
        (false, Some("AuthorizationRevoked" | "ApplicationSecretRejected" | "AmazonRefused")) => (false, exchanged),
        _ => (false, false),
    };
    vec![
        step(
            "Consent",
            if consented { Done } else { Now },
            match (consented, pasted) {
                (true, true) => "A token from Amazon was given here.",
                (true, false) => "The seller has said yes.",
                (false, _) => "The seller says yes on Amazon’s page.",
            },
        ),
        match failed {
            Some(input) => step("Exchange", Failed, &refused(input)),
            None if exchanged => step("Exchange", Done, "It is sealed. Nobody can read it, here or anywhere."),
            None if consented => step("Exchange", Now, "It is exchanged at Amazon and sealed."),
            None => step("Exchange", Later, "It is exchanged at Amazon and sealed."),
        },
        match (verified, is_refused) {
            (true, _) => step("Verified", Done, "Amazon told which marketplaces the seller is in."),
            (false, true) => step("Verified", Failed, "Amazon refuses it."),
            (false, false) if exchanged => step("Verified", Now, "Amazon is asked whether it works."),
            (false, false) => step("Verified", Later, "Amazon is asked whether it works."),
        },
        if verified && is_ready {
            step("Ready", Done, "Tokens and agents can use it.")
        } else {
            step("Ready", Later, "Tokens and agents can use it.")
        },
    ]
}

/// Why an input was not taken, for people.
fn refused(input: &Input) -> String {
    match input.status.reason.as_deref().unwrap_or_default() {
        "ConsentInterrupted" => {
            "OpenTeam was interrupted while it asked Amazon, and a consent works only once. Have the seller consent again."
        }
        "ConsentExpired" => "Amazon’s answer was older than five minutes. Have the seller consent again.",
        "ConsentRejected" => "Amazon did not take its own answer: it was used before or is over. Have the seller consent again.",
        "SellerMismatch" => "Another seller consented than this connection is for. Nothing was stored.",
        "DuplicateSeller" => "This seller is connected already, by another connection. Nothing was stored.",
        "ClientSecretRejected" | "ApplicationSecretRejected" => {
            "Amazon refuses the application’s own secret. Its operators have to renew it; then consent again."
        }
        "RedirectUriMismatch" => {
            "Amazon does not know the address that it sent you back to. The application’s operators have to register it."
        }
        _ => return input.status.message.clone().unwrap_or_else(|| "It was not taken.".to_owned()),
    }
    .to_owned()
}

/// A condition's reason in plain words: tone, word, sentence, and whether it changes by itself.
fn plain(reason: &str) -> Option<(Tone, &'static str, &'static str, bool)> {
    Some(match reason {
        "CredentialMissing" => (Tone::Wait, "Waits for consent", "The seller has not consented yet.", false),
        "ClientSecretMissing" | "EndpointNotAllowed" | "EndpointUnusable" => {
            (Tone::Bad, "Application not set up", "Its application is not set up yet. Ask who runs it.", false)
        }
        "ConsentRequired" => (
            Tone::Bad,
            "Consent needed",
            "The consent from before was taken out of use. Nothing works until the seller has consented again.",
            false,
        ),
        "Verifying" => (Tone::Wait, "Verifying", "Amazon is being asked whether it works.", true),
        "AmazonUnreachable" => {
            (Tone::Wait, "Amazon does not answer", "Amazon did not answer. It is asked again by itself.", true)
        }
        "AuthorizationRevoked" => (
            Tone::Bad,
            "Consent withdrawn",
            "Amazon refuses it: the seller took the consent back, or it ran out. Have the seller consent again.",
            false,
        ),
        "ApplicationSecretRejected" => (
            Tone::Bad,
            "Application refused",
            "Amazon refuses the application itself, not this seller. Its operators have to renew its secret.",
            false,
        ),
        "TeamNotFound" => (Tone::Bad, "No Team", "Its Team is not there.", false),
        "ApplicationNotFound" => (Tone::Bad, "No application", "Its application is not there.", false),
        "ApplicationNotAllowed" => {
            (Tone::Bad, "Not allowed", "The application may not be used by this Team. Ask who runs it.", false)
        }
        "NotParticipating" => (
            Tone::Bad,
            "Wrong marketplaces",
            "The seller takes part in none of its marketplaces. Connect the marketplaces that the seller is in.",
            false,
        ),
        _ => return None,
    })
}

/// How a RuntimeToken is.
pub(crate) fn token_status(
    index: &Index,
    name: &NamespacedReference,
    token: &RuntimeToken,
    now: Timestamp,
) -> (Status, Option<String>) {
    use access::RuntimeTokenFault as Fault;
    if let Some(incidents) = crds::annotation::incidents(&token.metadata) {
        return (Status::new(Tone::Bad, "Contained"), Some(format!("By incident {}.", incidents.join(", "))));
    }
    let team = NamespacedReference { namespace: name.namespace.clone(), name: token.spec.team_ref.name.clone() };
    let team = index.teams.get(&team).and_then(access::Entry::read);
    let connections = access::connections_of(index, &name.namespace, &token.spec.scope);
    match access::runtime_token_fault(token, team.map(AsRef::as_ref), connections, now) {
        None => (Status::new(Tone::Good, "Works"), None),
        Some(Fault::Expired) => (Status::new(Tone::Off, "Ended"), None),
        Some(Fault::IssuerNotMember) => (
            Status::new(Tone::Bad, "Issuer left"),
            Some("Who issued it may not any more, so it opens nothing. Issue another one.".to_owned()),
        ),
        Some(Fault::Rotated) => {
            (Status::new(Tone::Bad, "Rotated"), Some("What it opened was rotated since. Issue another one.".to_owned()))
        }
        Some(fault) => (Status::new(Tone::Bad, "Refused"), Some(format!("The gateway refuses it: {fault}."))),
    }
}

#[cfg(test)]
mod tests {
    use crds::{AmazonConnectionStatus, SealedCredentialStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn connection(states: &[condition::State]) -> AmazonConnection {
        let mut connection = AmazonConnection::new("na", Default::default());
        let mut status = AmazonConnectionStatus::default();
        for state in states {
            condition::set(&mut status.conditions, state.clone(), None, Timestamp::UNIX_EPOCH);
        }
        connection.status = Some(status);
        connection
    }

    fn code(state: Option<SealedCredentialState>, reason: &str) -> Input {
        let reason = (!reason.is_empty()).then(|| reason.to_owned());
        let status = SealedCredentialStatus { state, reason, ..SealedCredentialStatus::default() };
        Input { field: CredentialField::RefreshToken, created: Timestamp::UNIX_EPOCH, status }
    }

    fn told(connection: &AmazonConnection, input: Option<&Input>) -> (String, Vec<StepState>, bool) {
        let state = state(connection, &[], input, Timestamp::UNIX_EPOCH);
        (state.status.word, state.steps.iter().map(|step| step.state).collect(), state.live)
    }

    #[test]
    fn a_consent_is_followed_from_the_code_to_ready() {
        use StepState::{Done, Failed, Later, Now};
        use condition::State;
        let fresh = connection(&[]);
        assert_eq!(told(&fresh, None), ("Checking".into(), vec![Now, Later, Later, Later], true));
        let asked = code(None, "");
        assert_eq!(told(&fresh, Some(&asked)), ("Connecting".into(), vec![Done, Now, Later, Later], true));
        let exchanging = code(Some(SealedCredentialState::Exchanging), "");
        assert_eq!(told(&fresh, Some(&exchanging)).0, "Connecting");
        let accepted = code(Some(SealedCredentialState::Accepted), "");
        let verifying = connection(&[State::no(READY, "Verifying", "")]);
        assert_eq!(told(&verifying, Some(&accepted)), ("Verifying".into(), vec![Done, Done, Now, Later], true));
        let ready = connection(&[State::yes(AUTHORIZED, "Authorized", ""), State::yes(READY, "Ready", "")]);
        assert_eq!(told(&ready, Some(&accepted)), ("Ready".into(), vec![Done; 4], false));
        let behind = connection(&[State::no(READY, "CredentialMissing", "")]);
        assert_eq!(told(&behind, Some(&accepted)), ("Verifying".into(), vec![Done, Done, Now, Later], true));
        assert_eq!(told(&behind, None).0, "Waits for consent");
        let accepted = Input {
            created: Timestamp::UNIX_EPOCH - LOOKED_AT_WITHIN,
            ..code(Some(SealedCredentialState::Accepted), "")
        };
        assert_eq!(told(&behind, Some(&accepted)).0, "Waits for consent", "it is lost again");
        let revoked = connection(&[
            State::no(AUTHORIZED, "AuthorizationRevoked", ""),
            State::no(READY, "AuthorizationRevoked", ""),
        ]);
        assert_eq!(
            told(&revoked, Some(&accepted)),
            ("Consent withdrawn".into(), vec![Done, Done, Failed, Later], false)
        );
        let refused = code(Some(SealedCredentialState::Refused), "ConsentInterrupted");
        assert_eq!(told(&fresh, Some(&refused)), ("Not connected".into(), vec![Done, Failed, Later, Later], false));
        assert_eq!(told(&ready, Some(&refused)).0, "Works", "what worked before works on");
    }

    #[test]
    fn what_is_contained_or_ends_soon_says_so() {
        use condition::State;
        let mut ready = connection(&[State::yes(AUTHORIZED, "Authorized", ""), State::yes(READY, "Ready", "")]);
        let by = Containment {
            kind: access::Kind::Team,
            object: NamespacedReference::default(),
            incidents: vec!["inc-7".into(), "inc-8".into()],
        };
        let contained = state(&ready, &[by], None, Timestamp::UNIX_EPOCH);
        assert_eq!(contained.status.word, "Contained");
        assert!(contained.summary.contains("inc-7, inc-8"));
        let status = ready.status.as_mut().unwrap();
        status.authorization_expires_at = Some(Time(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 29)));
        assert_eq!(told(&ready, None).0, "Ends soon");
        assert_eq!(told(&connection(&[State::no(READY, "Unheard", "of")]), None).0, "Not ready");
    }
}

//! A seller's consent: to Amazon's page, and back with a code, which is sealed before anything waits. The operator
//! exchanges it.
//!
//! `state` is good once, for five minutes, in the session that it was made for (RFC 6749, section 10.12; Amazon,
//! "Website authorization workflow").

mod hop;
mod start;

pub(crate) use self::{
    hop::{go_on, hop},
    start::{begin_again, begin_new, new_form},
};

use audit::{Change, Kind, Reason};
use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use crds::{
    AmazonApplication, AmazonConnection, AmazonConnectionSpec, Consent, CredentialField, CredentialOwner,
    CredentialOwnerKind, LocalReference, NamespacedReference, PendingConsent, SealedCredential, SealedCredentialSpec,
};
use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use seal::{Binding, MAX_SECRET_LEN, PublicKey, seal_input};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    act::{self, made},
    answer::{Leave, Refusal, found, origin, page_with, see_other},
    connections,
    keys::{Keys, Purpose, TAG_BYTES, random},
    page::{ConsentProblem, ConsentReturn, Problem, Shell},
    portal::{Ask, Membership, Portal, Visitor},
    shown, sign_in,
};

/// How long a consent may take: Amazon's own code is good for as long.
pub(crate) const CONSENT_LIFE: SignedDuration = SignedDuration::from_mins(5);
/// How long one that took too long is told apart from one that there never was.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);
/// More under way at a time, and the oldest is forgotten.
const MOST: usize = 8;
/// Where Amazon sends people back to, below the portal's address.
const CALLBACK: &str = "/amazon/callback";
/// The ConfigMap with the public keys that inputs are sealed with.
const SEALING_KEYS: &str = "openteam-sealing-keys";
/// What is said of a text that cannot be a token.
pub(crate) const NO_TOKEN: &str = "Paste the whole refresh token from Amazon; it begins with Atzr|.";

/// The portal's callback address, as it is registered with Amazon.
pub(crate) fn callback_address(portal: &Portal) -> String {
    format!("{}{CALLBACK}", portal.public_url)
}

/// Whether consents of an application come back to this portal.
pub(crate) fn comes_back(portal: &Portal, application: &AmazonApplication) -> bool {
    application.spec.redirect_uri.as_ref().is_none_or(|uri| *uri == callback_address(portal))
}

/// Where a page of a connection may send its form: Amazon's consent page.
pub(crate) fn leave(ask: &Ask, connection: &AmazonConnection) -> Leave {
    let application = ask.index.applications.get(&connection.spec.application_ref).and_then(access::Entry::read);
    let page = application.and_then(|application| {
        origin(&access::consent_page(&connection.spec, application, ask.portal.allow_endpoints))
    });
    page.into_iter().collect()
}

/// A `state`: 32 random bytes, and what proves that the portal made them for this person.
struct State(Zeroizing<String>);

impl State {
    fn new(keys: &Keys, user: &str) -> Result<Self, Refusal> {
        let random = random()?;
        let mut bytes = Zeroizing::new(random.to_vec());
        bytes.extend_from_slice(&Self::tag(keys, user, &*random));
        Ok(Self(Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(&*bytes))))
    }

    /// One that comes back; `None` where the portal did not make it for this person.
    fn read(keys: &Keys, user: &str, text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (random, tag) = bytes.split_first_chunk::<32>()?;
        let same: bool = tag.ct_eq(&Self::tag(keys, user, random)).into();
        same.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    fn tag(keys: &Keys, user: &str, random: &[u8]) -> [u8; TAG_BYTES] {
        let mac = keys.mac(Purpose::Consent, &[random, user.as_bytes()].concat());
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&mac[..TAG_BYTES]);
        tag
    }

    /// What is kept of it.
    fn hash(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.0.as_bytes()))
    }
}

/// Puts a consent among those under way.
fn remember(spec: &mut crds::PortalUserSpec, pending: PendingConsent, now: Timestamp) {
    spec.consents.retain(|one| one.expires_at.0 + REMEMBERED > now);
    let surplus = (spec.consents.len() + 1).saturating_sub(MOST);
    spec.consents.drain(..surplus);
    spec.consents.push(pending);
}

/// What a `state` that came back stands for.
#[derive(Debug, PartialEq)]
enum Back {
    Pending(Box<PendingConsent>),
    Expired(Box<PendingConsent>),
    Reused,
    Foreign,
}

/// Takes a consent out of those under way: it is good once. Pure.
fn take(spec: &mut crds::PortalUserSpec, state: &str, session: &str, now: Timestamp) -> Back {
    let Some(at) = spec.consents.iter().position(|one| bool::from(one.state.as_bytes().ct_eq(state.as_bytes()))) else {
        return Back::Reused;
    };
    // Begun in another browser: it stays good there.
    if spec.consents[at].session != session {
        return Back::Foreign;
    }
    let pending = Box::new(spec.consents.remove(at));
    if pending.expires_at.0 <= now { Back::Expired(pending) } else { Back::Pending(pending) }
}

/// `GET /amazon/callback`. The code is in the address; a redirect takes it out again.
pub(crate) async fn callback(ask: &Ask, visitor: Option<&Visitor>) -> Result<Response<Body>, Refusal> {
    let sent = ask.parameters();
    let Some(visitor) = visitor else { return Ok(problem(Shell::default(), ConsentProblem::Foreign, None)) };
    let shell = || shown::shell(ask, visitor);
    let portal = &ask.portal;
    let Some(state) = State::read(&portal.keys, &visitor.name, sent.one("state")) else {
        return Ok(problem(shell(), ConsentProblem::Foreign, None));
    };
    let (state, session) = (state.hash(), &visitor.session.id);
    // It may have been begun at another replica, a moment ago.
    portal.users.read(&visitor.name).await?;
    let back = portal.users.change(&visitor.name, |spec| take(spec, &state, session, ask.now)).await?;
    let pending = match back.unwrap_or(Back::Foreign) {
        Back::Pending(pending) => pending,
        Back::Expired(pending) => {
            returned(ask, visitor, &pending, Some(Reason::new("ConsentExpired")));
            return Ok(problem(shell(), ConsentProblem::Expired, Some(again(&pending))));
        }
        Back::Reused => return Ok(problem(shell(), ConsentProblem::Reused, None)),
        Back::Foreign => return Ok(problem(shell(), ConsentProblem::Foreign, None)),
    };
    let code = sent.one("spapi_oauth_code");
    let seller = sent.one("selling_partner_id");
    if code.is_empty() {
        returned(ask, visitor, &pending, Some(Reason::new("ConsentRefused")));
        let said = ["error_description", "error"].map(|name| sent.text(name)).into_iter().find(|text| !text.is_empty());
        let said = said.map(|text| text.chars().filter(|c| !c.is_control()).take(200).collect());
        return Ok(problem(shell(), ConsentProblem::Refused { said }, Some(again(&pending))));
    }
    if !is_seller(seller) || !is_code(code) {
        returned(ask, visitor, &pending, Some(Reason::new("ConsentMalformed")));
        return Ok(problem(shell(), ConsentProblem::Malformed, Some(again(&pending))));
    }
    // Membership, role and objects as they are now, not as they were when the person left.
    let membership = connecting(ask, visitor, &pending.team)?;
    let name = NamespacedReference { namespace: pending.team.namespace.clone(), name: pending.connection.clone() };
    let existing = ask.index.connections.get(&name).and_then(access::Entry::read);
    if let Some(connection) = existing {
        // Of this name somebody has made another one meanwhile.
        if pending.draft.is_some() || connection.metadata.uid != pending.connection_uid {
            returned(ask, visitor, &pending, Some(Reason::new("ConnectionChanged")));
            let text =
                "Somebody made another connection of this name meanwhile. Nothing was stored; start again.".to_owned();
            return Err(Refusal::Problem(Problem::Conflict { text }));
        }
        let (name, _) = connections::own(ask, &membership, &name.name)?;
        connections::free(ask, &name, connection)?;
    }
    if let Some(found) = refused(ask, &pending, existing.map(AsRef::as_ref), &name, seller) {
        let reason =
            if matches!(found, ConsentProblem::OtherSeller { .. }) { "SellerMismatch" } else { "DuplicateSeller" };
        returned(ask, visitor, &pending, Some(Reason::new(reason)));
        return Ok(problem(shell(), found, Some(again(&pending))));
    }
    let consent = Consent { selling_partner_id: seller.to_owned(), redirect_uri: pending.redirect_uri.clone() };
    let Some(mut sealed) = seal(ask, &name, CredentialField::AuthorizationCode, code).await? else {
        return Ok(problem(shell(), ConsentProblem::Malformed, Some(again(&pending))));
    };
    sealed.spec.consent = Some(consent);
    let team = &membership.team.name;
    let event = |change| act::event(Kind::AmazonConnection, &name, None, team, change);
    portal.recorded(event(Change::ConsentReturnedBy(visitor.requester(ask), None))?).await?;
    sealed.metadata.owner_references = match existing {
        Some(connection) => act::owned_by(&**connection),
        None => {
            let draft = pending.draft.clone().ok_or(Refusal::NotFound)?;
            portal.recorded(event(Change::CreatedBy(visitor.requester(ask)))?).await?;
            let connection = connection(&name, team, &pending.application, draft, Some(seller));
            act::owned_by(&portal.create("connect a seller", &connection).await?)
        }
    };
    portal.create("give Amazon's answer to the operator", &sealed).await?;
    Ok(see_other(&format!("{}/connections/{}", membership.path(), name.name)))
}

/// Somebody's place in a Team in which they may connect sellers.
fn connecting(ask: &Ask, visitor: &Visitor, team: &NamespacedReference) -> Result<Membership, Refusal> {
    let membership = ask.portal.membership(&ask.index, visitor, team).ok_or(Refusal::NotFound)?;
    if !membership.is_accepted() {
        return Err(Refusal::NotFound);
    }
    if !membership.may(access::Action::Connect) {
        return Err(Refusal::Problem(crate::tokens::forbidden(
            &membership,
            "connect a seller",
            access::Action::Connect,
        )));
    }
    Ok(membership)
}

/// What the operator would refuse, told before anything is made.
fn refused(
    ask: &Ask,
    pending: &PendingConsent,
    existing: Option<&AmazonConnection>,
    name: &NamespacedReference,
    seller: &str,
) -> Option<ConsentProblem> {
    let known = existing.and_then(AmazonConnection::selling_partner_id);
    if let (Some(connection), Some(expected)) = (existing, known.filter(|known| *known != seller)) {
        return Some(ConsentProblem::OtherSeller {
            connection: shown::connection_name(connection),
            expected: expected.to_owned(),
            consented: seller.to_owned(),
        });
    }
    let (region, sandbox) = match (existing, &pending.draft) {
        (Some(connection), _) => (connection.spec.region, connection.spec.sandbox),
        (None, Some(draft)) => (draft.region, false),
        (None, None) => return None,
    };
    let (other, connection) = access::same_seller(&ask.index, &pending.application, region, sandbox, seller, name)?;
    // Of others nothing is told before Amazon has shown that the seller really consented.
    if other.namespace != name.namespace || connection.spec.team_ref.name != pending.team.name {
        return None;
    }
    let path = format!("/teams/{}/{}/connections/{}", other.namespace, connection.spec.team_ref.name, other.name);
    let other = Some((shown::connection_name(connection), path));
    Some(ConsentProblem::Duplicate { seller: seller.to_owned(), other })
}

/// A connection that the portal makes.
fn connection(
    name: &NamespacedReference,
    team: &str,
    application: &NamespacedReference,
    draft: crds::ConnectionDraft,
    seller: Option<&str>,
) -> AmazonConnection {
    let mut connection = AmazonConnection::new(
        &name.name,
        AmazonConnectionSpec {
            display_name: Some(draft.display_name),
            team_ref: LocalReference::to(team),
            application_ref: application.clone(),
            region: draft.region,
            marketplace_ids: draft.marketplace_ids,
            selling_partner_id: seller.map(str::to_owned),
            ..AmazonConnectionSpec::default()
        },
    );
    connection.metadata = made(name);
    connection
}

/// Records that a consent came back for nothing. Refusing waits for nobody.
fn returned(ask: &Ask, visitor: &Visitor, pending: &PendingConsent, reason: Option<Reason>) {
    let name = NamespacedReference { namespace: pending.team.namespace.clone(), name: pending.connection.clone() };
    let change = Change::ConsentReturnedBy(visitor.requester(ask), reason);
    if let Ok(event) = act::event(Kind::AmazonConnection, &name, None, &pending.team.name, change) {
        ask.portal.recorder.record_later(event);
    }
}

/// Where a consent is begun again.
fn again(pending: &PendingConsent) -> String {
    let team = format!("/teams/{}/{}", pending.team.namespace, pending.team.name);
    match pending.draft {
        Some(_) => format!("{team}/connections/new"),
        None => format!("{team}/connections/{}", pending.connection),
    }
}

fn problem(shell: Shell, problem: ConsentProblem, again: Option<String>) -> Response<Body> {
    page_with(StatusCode::UNPROCESSABLE_ENTITY, &ConsentReturn { shell, problem, again }, &Vec::new())
}

/// Amazon's id of a seller, as the kind's own rule has it.
fn is_seller(text: &str) -> bool {
    (11..=21).contains(&text.len())
        && text.starts_with('A')
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// A code is opaque; it is short and has no spaces.
fn is_code(text: &str) -> bool {
    (1..=2048).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A secret of a connection, sealed for the operator alone; `None` where the text cannot be one.
pub(crate) async fn seal(
    ask: &Ask,
    connection: &NamespacedReference,
    field: CredentialField,
    secret: &str,
) -> Result<Option<SealedCredential>, Refusal> {
    let secret = secret.trim();
    if secret.is_empty() || secret.len() > MAX_SECRET_LEN || !secret.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(None);
    }
    let key = sealing_key(&ask.portal).await?;
    let owner = CredentialOwner { kind: CredentialOwnerKind::AmazonConnection, name: connection.name.clone() };
    let binding = Binding {
        namespace: &connection.namespace,
        kind: owner.kind.as_str(),
        name: &connection.name,
        field: field.as_str(),
    };
    let sealed_at = u64::try_from(ask.now.as_millisecond()).map_err(|_| Refusal::Bug)?;
    let ciphertext = seal_input(&key, &binding, sealed_at, secret.as_bytes()).map_err(|_| Refusal::Bug)?;
    let suffix = sign_in::random_id()?;
    let stem: String = connection.name.chars().take(40).collect();
    let name = NamespacedReference {
        namespace: connection.namespace.clone(),
        name: format!("{}-{suffix}", stem.trim_end_matches(['-', '.'])),
    };
    let mut sealed =
        SealedCredential::new(&name.name, SealedCredentialSpec { r#for: owner, field, consent: None, ciphertext });
    sealed.metadata = made(&name);
    Ok(Some(sealed))
}

/// The public key that inputs are sealed with now.
async fn sealing_key(portal: &Portal) -> Result<PublicKey, Refusal> {
    let maps: Api<ConfigMap> = Api::namespaced(portal.client.clone(), &portal.namespace);
    let map = act::finish("read the sealing keys", maps.get_opt(SEALING_KEYS)).await?;
    let data = map.and_then(|map| map.data).unwrap_or_default();
    let key = data.get("current").and_then(|id| PublicKey::from_entry(id, data.get(id)?).ok());
    key.ok_or_else(|| {
        tracing::error!("ConfigMap openteam-sealing-keys is not as the operator makes it");
        Refusal::Unavailable
    })
}

/// Amazon's consent page, with what goes along.
fn consent_address(page: &str, state: &State, redirect_uri: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("state", &state.0);
    if let Some(uri) = redirect_uri {
        query.append_pair("redirect_uri", uri);
    }
    format!("{page}&{}", query.finish())
}

/// An application that a Team may use here.
fn application<'a>(
    ask: &'a Ask,
    name: &NamespacedReference,
    namespace: &str,
) -> Result<&'a std::sync::Arc<AmazonApplication>, Refusal> {
    let application = found(ask.index.applications.get(name))?;
    access::allowed(&ask.index, name, application, namespace).then_some(application).ok_or(Refusal::NotFound)
}

#[cfg(test)]
mod tests {
    use crds::PortalUserSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn pending(state: &str, session: &str, ends: i64) -> PendingConsent {
        PendingConsent {
            state: state.into(),
            session: session.into(),
            expires_at: MicroTime(at(ends)),
            team: NamespacedReference { namespace: "acme".into(), name: "acme".into() },
            application: NamespacedReference { namespace: "acme".into(), name: "app".into() },
            connection: "na".into(),
            connection_uid: None,
            draft: None,
            redirect_uri: None,
        }
    }

    #[test]
    fn a_state_is_good_once_in_its_own_session_and_for_its_time() {
        let mut spec = PortalUserSpec::default();
        remember(&mut spec, pending("one", "here", 300), at(0));
        assert_eq!(take(&mut spec, "other", "here", at(1)), Back::Reused);
        assert_eq!(take(&mut spec, "one", "elsewhere", at(1)), Back::Foreign);
        assert!(matches!(take(&mut spec.clone(), "one", "here", at(300)), Back::Expired(_)));
        assert!(matches!(take(&mut spec, "one", "here", at(299)), Back::Pending(_)));
        assert_eq!(take(&mut spec, "one", "here", at(299)), Back::Reused);
    }

    #[test]
    fn so_many_consents_are_under_way_and_what_is_long_over_is_forgotten() {
        let mut spec = PortalUserSpec::default();
        for number in 0..20 {
            remember(&mut spec, pending(&format!("s{number}"), "here", 300), at(0));
        }
        assert_eq!(spec.consents.len(), MOST);
        assert_eq!(spec.consents[0].state, "s12");
        remember(&mut spec, pending("late", "here", 99_999), at(300 + 3600));
        assert_eq!(spec.consents.len(), 1);
    }

    #[test]
    fn a_state_is_the_portals_own_and_of_one_person() {
        let keys = Keys::of(1);
        let state = State::new(&keys, "ada").unwrap();
        assert_eq!(State::read(&keys, "ada", &state.0).unwrap().hash(), state.hash());
        assert!(State::read(&keys, "bob", &state.0).is_none());
        assert!(State::read(&Keys::of(2), "ada", &state.0).is_none());
        for wrong in ["", "x", &state.0[1..], &format!("{}A", &*state.0)] {
            assert!(State::read(&keys, "ada", wrong).is_none());
        }
        let page = "https://sellercentral.amazon.com/apps/authorize/consent?application_id=a";
        let address = consent_address(page, &state, Some("https://portal.example/amazon/callback"));
        assert_eq!(
            address,
            format!("{page}&state={}&redirect_uri=https%3A%2F%2Fportal.example%2Famazon%2Fcallback", &*state.0)
        );
    }

    #[test]
    fn what_amazon_sends_back_is_taken_only_in_its_form() {
        for (text, is) in
            [("A3TESTSELLER01", true), ("a3testseller01", false), ("A1", false), ("A3TEST SELLER", false), ("", false)]
        {
            assert_eq!(is_seller(text), is, "{text}");
        }
        for (text, is) in [("RHabc123", true), ("", false), ("a b", false), ("a\r\nb", false)] {
            assert_eq!(is_code(text), is, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_state_but_the_portals_own(text in "\\PC*", close in "[A-Za-z0-9_=-]{60,70}", at in 0..64_usize) {
            let keys = Keys::of(1);
            prop_assert!(State::read(&keys, "ada", &text).is_none());
            prop_assert!(State::read(&keys, "ada", &close).is_none());
            let state = State::new(&keys, "ada").unwrap();
            let mut changed = state.0.to_string();
            let other = if changed.as_bytes()[at] == b'A' { "B" } else { "A" };
            changed.replace_range(at..=at, other);
            prop_assert!(State::read(&keys, "ada", &changed).is_none());
        }

        /// What comes with the callback goes into an object's fields and into a record.
        #[test]
        fn a_seller_and_a_code_hold_nothing_but_what_theirs_do(text in "\\PC*", close in "A[A-Z0-9 -~]{9,22}") {
            for text in [text, close] {
                prop_assert!(!is_seller(&text) || text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()));
                prop_assert!(!is_code(&text) || text.bytes().all(|b| (0x21..0x7f).contains(&b)));
            }
        }
    }
}

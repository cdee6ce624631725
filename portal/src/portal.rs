//! What every answer is made from.

use std::{net::IpAddr, sync::Arc, time::Duration};

use access::Index;
use audit::{Digest, Person, Recorder, Requester, Source};
use axum::http::{HeaderMap, HeaderValue, header};
use crds::{NamespacedReference, PortalSession, PortalUser, Role};
use jiff::Timestamp;
use kube::{Client, ResourceExt};
use process::{certificate::RoleCertificate, mail::EmailAddress, policies::Policies, view::View};
use tokio_util::sync::CancellationToken;

use crate::{
    answer::Refusal,
    cookie::SessionCookie,
    inputs::Inputs,
    keys::{Keys, hash},
    metrics::Counts,
    network,
    pace::Paces,
    session,
    sign_in::{Door, Post},
    users::Users,
};

/// The portal.
pub(crate) struct Portal {
    pub(crate) client: Client,
    /// The namespace OpenTeam runs in.
    pub(crate) namespace: String,
    /// Where people find it, without a trailing slash.
    pub(crate) public_url: String,
    /// Where agents find the gateway, likewise.
    pub(crate) gateway_url: String,
    pub(crate) trusted_proxies: usize,
    pub(crate) allow_endpoints: bool,
    /// Whom people write to for help.
    pub(crate) contact: Option<EmailAddress>,
    pub(crate) view: Arc<View>,
    pub(crate) staleness_limit: Duration,
    pub(crate) inputs: Arc<Inputs>,
    pub(crate) keys: Keys,
    /// Of this process, signed by whom agents trust for the gateway.
    pub(crate) certificate: Arc<RoleCertificate>,
    pub(crate) users: Arc<Users>,
    pub(crate) door: Door,
    pub(crate) post: Post,
    pub(crate) paces: Paces,
    pub(crate) policies: Arc<Policies>,
    pub(crate) recorder: Recorder,
    pub(crate) activity: crate::activity::Source,
    pub(crate) counts: Counts,
    pub(crate) shutdown: CancellationToken,
}

impl Portal {
    /// The objects that decisions look at.
    pub(crate) fn index(&self) -> Result<Arc<Index>, Refusal> {
        self.view.current(self.staleness_limit).map_err(|stale| {
            tracing::warn!(%stale, "the view of the cluster is too old to decide by");
            Refusal::Unavailable
        })
    }
}

/// A request, as far as it is the same for all pages.
pub(crate) struct Ask {
    pub(crate) portal: Arc<Portal>,
    pub(crate) index: Arc<Index>,
    pub(crate) now: Timestamp,
    /// Where it comes from.
    pub(crate) from: IpAddr,
    pub(crate) headers: HeaderMap,
    /// The raw query, without `?`.
    pub(crate) query: String,
}

impl Ask {
    /// The values of a parameter of the query.
    pub(crate) fn parameters(&self) -> Fields {
        Fields::read(self.query.as_bytes())
    }

    pub(crate) fn source(&self) -> Source {
        Source::Address(self.from)
    }

    /// A person by address, for the record.
    pub(crate) fn person(&self, email: &str) -> Person {
        Person { address: self.portal.keys.digests.email(email), source: self.source() }
    }
}

/// Who is signed in.
#[derive(Clone)]
pub(crate) struct Visitor {
    /// Name of the PortalUser.
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) user: Arc<PortalUser>,
    pub(crate) session: PortalSession,
    /// How the record names the session.
    pub(crate) digest: Digest,
}

impl Visitor {
    pub(crate) fn requester(&self, ask: &Ask) -> Requester {
        Requester::Person(ask.person(&self.email))
    }

    /// Whether a membership was accepted, of this very Team.
    pub(crate) fn has_accepted(&self, team: &NamespacedReference, uid: Option<&str>) -> bool {
        self.user.spec.accepted.iter().any(|one| one.team == *team && Some(one.uid.as_str()) == uid)
    }
}

/// Somebody's place in a Team.
#[derive(Clone)]
pub(crate) struct Membership {
    pub(crate) visitor: Visitor,
    pub(crate) team: NamespacedReference,
    pub(crate) object: Arc<crds::Team>,
    pub(crate) role: Role,
}

impl Membership {
    /// Whether the person has accepted it.
    pub(crate) fn is_accepted(&self) -> bool {
        self.visitor.has_accepted(&self.team, self.object.metadata.uid.as_deref())
    }

    pub(crate) fn may(&self, action: access::Action) -> bool {
        access::may(self.role, action)
    }

    pub(crate) fn display_name(&self) -> String {
        self.object.spec.display_name.clone().unwrap_or_else(|| self.team.name.clone())
    }

    /// Whether the Team is contained.
    pub(crate) fn is_contained(&self) -> bool {
        crds::annotation::incidents(&self.object.metadata).is_some()
    }

    /// Its overview.
    pub(crate) fn path(&self) -> String {
        format!("/teams/{}/{}", self.team.namespace, self.team.name)
    }
}

impl Portal {
    /// Who a request's cookie says is signed in, if the session lives. A person whose PortalUser is contained is nobody.
    /// A use counts where `counts` says so: not what a page does by itself.
    pub(crate) async fn visitor(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
        counts: bool,
    ) -> Result<Option<Visitor>, Refusal> {
        let Some(cookie) = SessionCookie::of(headers, &self.keys) else { return Ok(None) };
        let secret = hash(&cookie.secret);
        let find = |user: Arc<PortalUser>| {
            let session = session::find(&user.spec, &secret, now)?.clone();
            Some((user, session))
        };
        let mut found = self.users.get(&cookie.user).and_then(find);
        if found.is_none() {
            // Begun a moment ago, by another replica. The portal made the cookie, so this is not for strangers to cause.
            found = self.users.read(&cookie.user).await.map_err(Refusal::from)?.and_then(find);
        }
        let Some((user, session)) = found else { return Ok(None) };
        if crds::annotation::incidents(&user.metadata).is_some() {
            return Ok(None);
        }
        if counts && session::is_due(&session, now) {
            let (users, name, id) = (self.users.clone(), user.name_any(), session.id.clone());
            // Nothing waits for it: a use that is not kept ends a session a minute early.
            tokio::spawn(async move {
                if let Err(error) = users.change(&name, |spec| session::touch(spec, &id, now)).await {
                    tracing::warn!(error = %error, "the use of a session was not kept");
                }
            });
        }
        let digest = session::digest(&session.hash);
        Ok(Some(Visitor { name: user.name_any(), email: user.spec.email.clone(), user, session, digest }))
    }

    /// Somebody's place in a Team, as it is now.
    pub(crate) fn membership(
        &self,
        index: &Index,
        visitor: &Visitor,
        team: &NamespacedReference,
    ) -> Option<Membership> {
        let object = index.teams.get(team)?.read()?.clone();
        let role = object.spec.role_of(&visitor.email)?;
        Some(Membership { visitor: visitor.clone(), team: team.clone(), object, role })
    }

    /// Somebody's place in a Team as it is now, for an answer that takes a while: nobody's who was signed out or contained
    /// since.
    pub(crate) fn still(&self, index: &Index, membership: &Membership, now: Timestamp) -> Option<Membership> {
        let visitor = &membership.visitor;
        let user = self.users.get(&visitor.name)?;
        session::find(&user.spec, &visitor.session.hash, now)?;
        if crds::annotation::incidents(&user.metadata).is_some() {
            return None;
        }
        self.membership(index, visitor, &membership.team)
    }

    pub(crate) fn client_address(&self, connection: IpAddr, headers: &HeaderMap) -> IpAddr {
        network::client(connection, headers, self.trusted_proxies)
    }
}

/// The fields of a form or a query (URL Standard, `application/x-www-form-urlencoded`).
#[derive(Clone, Default)]
pub(crate) struct Fields(Vec<(String, zeroize::Zeroizing<String>)>);

impl Fields {
    pub(crate) fn read(body: &[u8]) -> Self {
        let pairs = url::form_urlencoded::parse(body);
        Self(pairs.map(|(name, value)| (name.into_owned(), zeroize::Zeroizing::new(value.into_owned()))).collect())
    }

    /// The value of a field that is there once; empty where it is not there, or twice.
    pub(crate) fn one<'a>(&'a self, name: &str) -> &'a str {
        let mut values = self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (Some(value), None) => value,
            _ => "",
        }
    }

    /// The same without surrounding space.
    pub(crate) fn text(&self, name: &str) -> String {
        self.one(name).trim().to_owned()
    }

    /// All values of a field.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// All values of the fields `NAME.OF`.
    pub(crate) fn all_of<'a>(&'a self, name: &'a str, of: &'a str) -> impl Iterator<Item = &'a str> {
        let own = move |found: &str| found.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) == Some(of);
        self.0.iter().filter(move |(found, _)| own(found)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }
}

/// What browsers call themselves, in short: `Firefox on Linux`.
pub(crate) fn browser_of(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    let agent = String::from_utf8_lossy(agent);
    let named = |names: &[(&'static str, &'static str)]| {
        names.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| *name)
    };
    // In this order: most of them also claim to be those below.
    let browser = named(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = named(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "Unknown browser".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn fields_of_anything_are_read_without_a_panic_and_twice_is_nothing(body in vec(any::<u8>(), 0..400)) {
            let fields = Fields::read(&body);
            for (name, _) in &fields.0 {
                let all: Vec<&str> = fields.all(name).collect();
                prop_assert!(fields.has(name) && !all.is_empty());
                prop_assert_eq!(fields.one(name), if let [only] = all[..] { only } else { "" });
                prop_assert_eq!(fields.text(name), fields.one(name).trim());
            }
        }

        #[test]
        fn fields_are_read_as_browsers_write_them(pairs in vec((".{0,12}", ".{0,40}"), 0..8)) {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let read: Vec<_> = Fields::read(body.as_bytes()).0;
            let read: Vec<_> = read.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
            prop_assert_eq!(read, pairs);
        }

        /// It is kept, shown and recorded: of what a client says of itself only words of ours go on.
        #[test]
        fn a_browser_is_named_in_the_portals_own_words(agent in vec(prop_oneof![0x20..=0x7e_u8, 0x80..=0xff_u8], 0..200)) {
            let headers = HeaderMap::from_iter([(header::USER_AGENT, HeaderValue::from_bytes(&agent).unwrap())]);
            let name = browser_of(&headers);
            prop_assert!(name.len() <= 20 && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b' '), "{}", name);
        }
    }

    #[test]
    fn a_browser_is_named_by_what_it_is_and_not_by_what_it_also_claims() {
        let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0";
        let of = |agent: &str| browser_of(&HeaderMap::from_iter([(header::USER_AGENT, agent.parse().unwrap())]));
        assert_eq!(of(edge), "Edge on Windows");
        assert_eq!(of("curl/8.14.1"), "curl");
        assert_eq!(browser_of(&HeaderMap::new()), "Unknown browser");
    }
}

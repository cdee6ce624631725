//! A record as detections look at it: leniently, since what is stored is stored whatever it holds.

use std::borrow::Cow;

use audit::{Actor, Digest, Name, Network, ObjectName, Peer, Person, Requester, Source, Suspect, Target};
use serde::Deserialize;
use uuid::Uuid;

use super::Evidence;

/// The part of a record that is looked at.
#[derive(Deserialize)]
pub(crate) struct Seen<'a> {
    /// When it was stored, in milliseconds since 1970.
    pub(crate) time: i64,
    pub(crate) writer: Peer,
    #[serde(borrow)]
    pub(crate) event: Event<'a>,
}

/// The part of an event that is looked at.
#[derive(Deserialize)]
pub(crate) struct Event<'a> {
    pub(crate) class_uid: u64,
    /// When it happened, in milliseconds since 1970.
    pub(crate) time: i64,
    #[serde(borrow)]
    pub(crate) message: Cow<'a, str>,
    /// OCSF: 1 allowed, 2 denied.
    pub(crate) action_id: Option<u64>,
    #[serde(borrow)]
    pub(crate) status_detail: Option<Cow<'a, str>>,
    /// Of an event that stands for many.
    pub(crate) count: Option<u64>,
    pub(crate) metadata: Metadata,
    #[serde(borrow, default)]
    pub(crate) unmapped: Unmapped<'a>,
    #[serde(borrow)]
    actor: Option<ActorPart<'a>>,
    #[serde(borrow)]
    user: Option<User<'a>>,
    #[serde(borrow)]
    src_endpoint: Option<Endpoint<'a>>,
    #[serde(borrow)]
    api: Option<Api<'a>>,
    #[serde(borrow)]
    pub(crate) entity: Option<Entity<'a>>,
    http_response: Option<HttpResponse>,
}

#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) sequence: Option<u64>,
    tenant_uid: Option<Uuid>,
}

#[derive(Default, Deserialize)]
pub(crate) struct Unmapped<'a> {
    pub(crate) run: Option<Uuid>,
    #[serde(borrow)]
    pub(crate) team: Option<Named<'a>>,
    #[serde(borrow)]
    pub(crate) connection: Option<Named<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct Named<'a> {
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

impl Named<'_> {
    /// `<namespace>/<name>`
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    fn object(&self) -> Option<ObjectName> {
        ObjectName::parse(&self.namespace, &self.name).ok()
    }
}

#[derive(Deserialize)]
struct ActorPart<'a> {
    #[serde(borrow)]
    user: User<'a>,
    #[serde(borrow)]
    invoked_by: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct User<'a> {
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    uid: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Endpoint<'a> {
    #[serde(borrow)]
    ip: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Api<'a> {
    #[serde(borrow)]
    operation: Cow<'a, str>,
}

#[derive(Deserialize)]
pub(crate) struct Entity<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct HttpResponse {
    code: u16,
}

impl<'a> Seen<'a> {
    /// Of a record as it is stored, if it is one.
    pub(crate) fn of(payload: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }

    /// What a finding says of who and what it is about.
    pub(crate) fn evidence(&self) -> Evidence {
        Evidence {
            target: self.event.target(),
            suspect: self.event.suspect(),
            source: self.event.source(),
            writer: None,
        }
    }
}

impl Event<'_> {
    /// The caller of the gateway, by name, where that is known: not one of OpenTeam's own processes.
    pub(crate) fn caller(&self) -> Option<&str> {
        let user = &self.actor.as_ref()?.user;
        matches!(user.r#type.as_deref(), Some("ServiceAccount" | "RuntimeToken")).then_some(&*user.name)
    }

    /// The RuntimeToken that was used, `<namespace>/<name>`.
    pub(crate) fn runtime_token(&self) -> Option<&str> {
        let user = &self.actor.as_ref()?.user;
        (user.r#type.as_deref() == Some("RuntimeToken")).then_some(&*user.name)
    }

    /// Whose sign-in it is.
    pub(crate) fn person(&self) -> Option<&str> {
        self.user.as_ref().map(|user| &*user.name)
    }

    /// A call of somebody's that was allowed and is about to be made.
    pub(crate) fn is_granted_call(&self) -> bool {
        self.class_uid == 6003 && self.message == "call intended" && self.caller().is_some()
    }

    pub(crate) fn operation(&self) -> Option<&str> {
        self.api.as_ref().map(|api| &*api.operation)
    }

    /// The HTTP status, where there is one.
    pub(crate) fn status(&self) -> Option<u16> {
        self.http_response.as_ref().map(|response| response.code)
    }

    /// /24 of IPv4 and /64 of IPv6; `None` where nobody is outside.
    pub(crate) fn network(&self) -> Option<Network> {
        match self.source()? {
            Source::Address(address) => Some(Network::of(address)),
            Source::Network(network) => Some(network),
            Source::Itself => None,
        }
    }

    fn source(&self) -> Option<Source> {
        let endpoint = self.src_endpoint.as_ref()?;
        if let Some(ip) = &endpoint.ip {
            return ip.parse().ok().map(Source::Address);
        }
        let name = endpoint.name.as_deref()?;
        if name == "others" {
            return Some(Source::Network(Network::Others));
        }
        let (address, _) = name.split_once('/')?;
        address.parse().ok().map(|address| Source::Network(Network::of(address)))
    }

    fn target(&self) -> Option<Target> {
        let Unmapped { team, connection, .. } = &self.unmapped;
        let connection = connection.as_ref().and_then(Named::object);
        Some(Target { team: team.as_ref()?.object()?, team_uid: self.metadata.tenant_uid, connection })
    }

    fn suspect(&self) -> Option<Suspect> {
        if let (Some(user), Some(source)) = (&self.user, self.source()) {
            let address = Digest::repeated(&user.name)?;
            return Some(Suspect::Requester(Requester::Person(Person { address, source })));
        }
        let actor = self.actor.as_ref()?;
        let name = &*actor.user.name;
        match actor.user.r#type.as_deref()? {
            "ServiceAccount" => {
                let (namespace, name) = name.strip_prefix("system:serviceaccount:")?.split_once(':')?;
                Some(Suspect::Caller(Actor::ServiceAccount {
                    account: ObjectName::parse(namespace, name).ok()?,
                    uid: actor.user.uid.as_deref().and_then(|uid| Uuid::try_parse(uid).ok()),
                    pod: None,
                    credential: None,
                }))
            }
            "RuntimeToken" => {
                let (namespace, name) = name.split_once('/')?;
                Some(Suspect::Caller(Actor::RuntimeToken {
                    token: ObjectName::parse(namespace, name).ok()?,
                    issuer: Digest::repeated(actor.invoked_by.as_deref()?)?,
                }))
            }
            _ => None,
        }
    }
}

/// A process by its role and pod, as one key.
pub(crate) fn process(writer: &Peer) -> String {
    let pod: &Name = &writer.pod;
    format!("{}/{pod}", writer.role)
}

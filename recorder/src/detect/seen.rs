//! What detections see in a record.

use audit::{Actor, Digest, Name, Network, ObjectName, Peer, Person, Requester, Source, Suspect, Target};
use uuid::Uuid;

use super::Evidence;
use crate::{
    frame::Record,
    view::{Event, Named, Unmapped},
};

/// A record, and who wrote it.
pub(crate) type Seen<'a> = Record<Peer, Event<'a>>;

impl Seen<'_> {
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
        let connection = connection.as_ref().and_then(object);
        Some(Target { team: object(team.as_ref()?)?, team_uid: self.metadata.tenant_uid, connection })
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

fn object(named: &Named<'_>) -> Option<ObjectName> {
    ObjectName::parse(&named.namespace, &named.name).ok()
}

/// A process by its role and pod, as one key.
pub(crate) fn process(writer: &Peer) -> String {
    let pod: &Name = &writer.pod;
    format!("{}/{pod}", writer.role)
}

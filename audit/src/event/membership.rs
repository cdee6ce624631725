//! Who belongs to a Team (OCSF 3005, User Access Management).

use serde::Serialize;
use uuid::Uuid;

use super::{
    Actor, Digest, EventName, Origin, Source, Target,
    actor::{ActorBody, SourceBody, User},
    ocsf::{Body, Shape, Unmapped},
};

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of a Team's roles")]
pub enum MemberRole {
    Owner,
    Member,
    Viewer,
}

impl MemberRole {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "Owner",
            Self::Member => "Member",
            Self::Viewer => "Viewer",
        }
    }
}

/// What happened to a membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipChange {
    /// The operator saw a new member.
    Assigned,
    /// The operator saw that a member had this role before.
    RoleChanged(MemberRole),
    /// The operator saw that somebody, who had this role, is no member any more.
    Revoked,
    /// The member accepts it.
    AcceptedBy(Source),
}

/// A change of who belongs to a Team, or as what.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The Team.
    pub target: Target,
    /// The Team's UID.
    pub team_uid: Option<Uuid>,
    /// [`super::DigestKey::email`] of the member.
    pub member: Digest,
    /// As what they belong to it; of somebody who no longer does, as what they did.
    pub role: MemberRole,
    /// What happened.
    pub change: MembershipChange,
}

impl Membership {
    pub(super) fn shape(&self) -> Shape<'_> {
        let name = match self.change {
            MembershipChange::Assigned => EventName::MemberAssigned,
            MembershipChange::RoleChanged(_) => EventName::MemberRoleChanged,
            MembershipChange::Revoked => EventName::MemberRevoked,
            MembershipChange::AcceptedBy(_) => EventName::MembershipAcceptedBy,
        };
        Shape { target: Some(&self.target), ..Shape::of(name) }
    }

    pub(super) fn body<'a>(&'a self, origin: &'a Origin) -> (Body<'a>, Unmapped<'a>) {
        let (actor, src_endpoint, former_role) = match self.change {
            MembershipChange::AcceptedBy(source) => (ActorBody::person(&self.member), Some(source.body(origin)), None),
            MembershipChange::RoleChanged(former) => (Actor::Itself.body(origin), None, Some(former.as_str())),
            MembershipChange::Assigned | MembershipChange::Revoked => (Actor::Itself.body(origin), None, None),
        };
        let body = MembershipBody {
            actor,
            src_endpoint,
            user: User::person(&self.member),
            privileges: [self.role.as_str()],
            resources: [Resource { r#type: "Team", name: self.target.team.to_string(), uid: self.team_uid }],
            status_id: 1,
        };
        (Body::Membership(body), Unmapped { former_role, ..Unmapped::default() })
    }
}

/// What an event of the class has besides what all have.
#[derive(Serialize)]
pub(super) struct MembershipBody<'a> {
    actor: ActorBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_endpoint: Option<SourceBody<'a>>,
    user: User<'a>,
    privileges: [&'static str; 1],
    resources: [Resource; 1],
    status_id: u64,
}

/// OCSF's object resource_details.
#[derive(Serialize)]
struct Resource {
    r#type: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<Uuid>,
}

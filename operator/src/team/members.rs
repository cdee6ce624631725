//! Who belongs to a Team, for the record: what changed in `spec.members` since it was last recorded.

use std::collections::BTreeMap;

use audit::{MemberRole, Membership, MembershipChange, ObjectName, Target};
use crds::{Member, Role, Team, TeamStatus};
use futures::future::try_join_all;

use crate::{
    controller::Context,
    error::ReconcileError,
    status::{self, ours},
    subject::reference,
};

/// Records how the members of a Team differ from those that the record knows, and then keeps in its status that it does. A
/// process that ends in between records it once more.
///
/// After everything else of a pass, and only once its status is written: a recorder that does not answer must not hold up
/// a containment. The watch brings that status, and with it the next pass.
pub(super) async fn record(context: &Context, team: &Team, status: &TeamStatus) -> Result<(), ReconcileError> {
    let (recorded, members) = (by_address(&status.recorded_members), by_address(&team.spec.members));
    let is_settled = team.status.as_ref() == Some(status) && !status::is_outdated(context, team);
    if recorded == members || !is_settled || team.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let name = reference(&team.metadata);
    let target = Target { team: ObjectName::parse(&name.namespace, &name.name)?, team_uid: None, connection: None };
    let uid = team.metadata.uid.as_deref().and_then(|uid| uid.parse().ok());
    let memberships = changes(&recorded, &members).into_iter().map(|(address, role, change)| Membership {
        target: target.clone(),
        team_uid: uid,
        member: context.digests.email(address),
        role: told(role),
        change,
    });
    try_join_all(memberships.map(|membership| context.recorder.record(membership))).await?;
    let mut status = status.clone();
    status.recorded_members = members.into_iter().map(|(address, role)| Member { email: address, role }).collect();
    status::apply_to_version(context, team, &ours::<Team>(&status)).await.map(drop)
}

/// One role an address, however it is written, as [`crds::TeamSpec::role_of`] decides.
fn by_address(members: &[Member]) -> BTreeMap<String, Role> {
    let mut roles = BTreeMap::new();
    for Member { email, role } in members {
        roles
            .entry(email.to_ascii_lowercase())
            .and_modify(|there: &mut Role| *there = (*there).min(*role))
            .or_insert(*role);
    }
    roles
}

/// Each address whose membership changed, with the role it has, or had.
fn changes<'a>(
    recorded: &'a BTreeMap<String, Role>,
    members: &'a BTreeMap<String, Role>,
) -> Vec<(&'a str, Role, MembershipChange)> {
    let now = members.iter().filter_map(|(address, role)| {
        let change = match recorded.get(address) {
            None => MembershipChange::Assigned,
            Some(before) if before == role => return None,
            Some(before) => MembershipChange::RoleChanged(told(*before)),
        };
        Some((address.as_str(), *role, change))
    });
    let gone = recorded.iter().filter(|(address, _)| !members.contains_key(*address));
    let gone = gone.map(|(address, role)| (address.as_str(), *role, MembershipChange::Revoked));
    now.chain(gone).collect()
}

const fn told(role: Role) -> MemberRole {
    match role {
        Role::Owner => MemberRole::Owner,
        Role::Member => MemberRole::Member,
        Role::Viewer => MemberRole::Viewer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(members: &[(&str, Role)]) -> BTreeMap<String, Role> {
        let member = |(email, role): &(&str, Role)| Member { email: (*email).to_owned(), role: *role };
        by_address(&members.iter().map(member).collect::<Vec<_>>())
    }

    #[test]
    fn what_changed_is_told_once_a_person_however_the_address_is_written() {
        let before =
            members(&[("ann@a.example", Role::Owner), ("bob@a.example", Role::Viewer), ("cy@a.example", Role::Member)]);
        let after = members(&[
            ("Ann@A.example", Role::Owner),
            ("bob@a.example", Role::Member),
            ("dan@a.example", Role::Owner),
            ("Dan@a.example", Role::Viewer),
        ]);
        assert_eq!(
            changes(&before, &after),
            [
                ("bob@a.example", Role::Member, MembershipChange::RoleChanged(MemberRole::Viewer)),
                ("dan@a.example", Role::Viewer, MembershipChange::Assigned),
                ("cy@a.example", Role::Member, MembershipChange::Revoked),
            ]
        );
        assert_eq!(changes(&after, &after), []);
    }

    #[test]
    fn what_is_kept_is_what_is_compared() {
        let spec = members(&[("Ann@a.example", Role::Owner), ("bob@a.example", Role::Viewer)]);
        let kept: Vec<Member> = spec.iter().map(|(email, role)| Member { email: email.clone(), role: *role }).collect();
        assert_eq!(by_address(&kept), spec);
    }
}

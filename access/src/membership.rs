//! Membership: which Teams a person belongs to, and what its role there allows.

use crds::{NamespacedReference, Role};

use crate::index::{Entry, Index};

/// What a person may want to do in a Team. What a Team's YAML says is not among it: Teams come by YAML only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// See the Team, its connections, RuntimeTokens, members and activity.
    See,
    /// Issue RuntimeTokens, and revoke the own ones.
    IssueTokens,
    /// Have Amazon asked whether a connection works.
    Test,
    /// Connect a seller, have one consent again, rename or delete a connection.
    Connect,
    /// Revoke anybody's RuntimeTokens.
    RevokeTokens,
    /// Contain.
    Contain,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::See, Self::IssueTokens, Self::Test, Self::Connect, Self::RevokeTokens, Self::Contain];

    /// The least role that may.
    #[must_use]
    pub const fn least(self) -> Role {
        match self {
            Self::See => Role::Viewer,
            Self::IssueTokens | Self::Test => Role::Member,
            Self::Connect | Self::RevokeTokens | Self::Contain => Role::Owner,
        }
    }
}

/// Whether a role may.
#[must_use]
pub fn may(role: Role, action: Action) -> bool {
    role >= action.least()
}

/// The Teams that list this address, by name, with the role there. Of a Team that cannot be read nobody is a member.
#[must_use]
pub fn memberships(index: &Index, email: &str) -> Vec<(NamespacedReference, Role)> {
    let role = |entry: &Entry<crds::Team>| entry.read()?.spec.role_of(email);
    index.teams.iter().filter_map(|(name, entry)| Some((name.clone(), role(entry)?))).collect()
}

/// The role in one Team; `None` for who is no member, and where there is no such Team.
#[must_use]
pub fn role_in(index: &Index, team: &NamespacedReference, email: &str) -> Option<Role> {
    index.teams.get(team)?.read()?.spec.role_of(email)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crds::{Member, Team, TeamSpec};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;
    use crate::index::named;

    #[test]
    fn a_role_may_what_those_below_it_may_and_more() {
        use Action::*;
        let allowed = |role| Action::ALL.into_iter().filter(|action| may(role, *action)).collect::<Vec<_>>();
        assert_eq!(allowed(Role::Viewer), [See]);
        assert_eq!(allowed(Role::Member), [See, IssueTokens, Test]);
        assert_eq!(allowed(Role::Owner), Action::ALL);
    }

    #[test]
    fn a_person_belongs_to_the_teams_that_list_the_address_in_whatever_case() {
        let mut index = Index::default();
        for (name, members) in [
            ("acme", &[("ada@acme.example", Role::Owner)][..]),
            ("globex", &[("Ada@ACME.example", Role::Viewer), ("bob@acme.example", Role::Owner)]),
            // Twice: the lesser role holds.
            ("twice", &[("ada@acme.example", Role::Owner), ("ADA@acme.example", Role::Member)]),
            ("others", &[("ada@acme.example.evil.example", Role::Owner), ("xada@acme.example", Role::Owner)]),
            ("empty", &[]),
        ] {
            let members =
                members.iter().map(|(email, role)| Member { email: (*email).to_owned(), role: *role }).collect();
            let team = Team::new(name, TeamSpec { members, ..TeamSpec::default() });
            index.teams.insert_mut(named(name, name), Entry::Read(Arc::new(team)));
        }
        index.teams.insert_mut(named("broken", "broken"), Entry::Unreadable(Arc::new(ObjectMeta::default())));
        let found = memberships(&index, "ada@acme.example");
        let expected = [("acme", Role::Owner), ("globex", Role::Viewer), ("twice", Role::Member)];
        assert_eq!(found, expected.map(|(name, role)| (named(name, name), role)));
        assert_eq!(role_in(&index, &named("globex", "globex"), "ada@acme.example"), Some(Role::Viewer));
        for stranger in ["others", "empty", "broken", "absent"] {
            assert_eq!(role_in(&index, &named(stranger, stranger), "ada@acme.example"), None, "{stranger}");
        }
        assert_eq!(memberships(&index, ""), []);
    }
}

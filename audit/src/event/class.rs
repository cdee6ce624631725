//! The OCSF classes in use, and which roles may produce which.

use super::catalog::{Row, catalog};
use crate::Role;

/// An OCSF 1.8.0 class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// 2003: the record was reviewed, or is to be.
    ComplianceFinding,
    /// 2004: something in the record needs a look.
    DetectionFinding,
    /// 3001: an address was locked.
    AccountChange,
    /// 3002: somebody signs in to the portal, or out of it.
    Authentication,
    /// 3004: a connection, credential, certificate or containment changed.
    EntityManagement,
    /// 3005: a membership of a Team changed.
    UserAccess,
    /// 6002: a process or a log began or ended.
    ApplicationLifecycle,
    /// 6003: a call to Amazon or to the gateway.
    ApiActivity,
    /// 6008: something went wrong in OpenTeam itself.
    ApplicationError,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ComplianceFinding,
        Self::DetectionFinding,
        Self::AccountChange,
        Self::Authentication,
        Self::EntityManagement,
        Self::UserAccess,
        Self::ApplicationLifecycle,
        Self::ApiActivity,
        Self::ApplicationError,
    ];

    /// `class_uid`.
    pub const fn uid(self) -> u64 {
        match self {
            Self::ComplianceFinding => 2003,
            Self::DetectionFinding => 2004,
            Self::AccountChange => 3001,
            Self::Authentication => 3002,
            Self::EntityManagement => 3004,
            Self::UserAccess => 3005,
            Self::ApplicationLifecycle => 6002,
            Self::ApiActivity => 6003,
            Self::ApplicationError => 6008,
        }
    }

    /// OCSF's own name of it.
    pub const fn caption(self) -> &'static str {
        match self {
            Self::ComplianceFinding => "Compliance Finding",
            Self::DetectionFinding => "Detection Finding",
            Self::AccountChange => "Account Change",
            Self::Authentication => "Authentication",
            Self::EntityManagement => "Entity Management",
            Self::UserAccess => "User Access Management",
            Self::ApplicationLifecycle => "Application Lifecycle",
            Self::ApiActivity => "API Activity",
            Self::ApplicationError => "Application Error",
        }
    }

    /// The class with this `class_uid`, if it is one of ours.
    pub fn from_uid(uid: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.uid() == uid)
    }

    /// `category_uid`, the thousands of [`Class::uid`].
    pub const fn category(self) -> u64 {
        self.uid() / 1000
    }

    fn rows(self, role: Role) -> impl Iterator<Item = &'static Row> {
        catalog().filter(move |row| row.class == self && row.writers.contains(&role))
    }

    /// Whether a recorder takes this class from this role at all. A role has no code that makes other events than those the
    /// catalogue gives it, so one from it is forged.
    pub fn is_of(self, role: Role) -> bool {
        self.rows(role).next().is_some()
    }

    /// Whether a recorder takes this class with this `activity_id` from this role.
    pub fn takes(self, activity: u64, role: Role) -> bool {
        self.rows(role).any(|row| row.activities.contains(&activity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_found_by_its_uid_and_no_other_uid_is() {
        for class in Class::ALL {
            assert_eq!(Class::from_uid(class.uid()), Some(class));
            assert!(Role::ALL.into_iter().any(|role| class.is_of(role)), "{class:?} has a row");
        }
        for uid in [0, 3, 3000, 3003, 3006, 6004, 600_300, u64::MAX] {
            assert_eq!(Class::from_uid(uid), None);
        }
    }

    #[test]
    fn the_keeper_of_the_record_makes_no_records_of_others_deeds() {
        for class in [Class::ApiActivity, Class::AccountChange, Class::Authentication, Class::UserAccess] {
            assert!(!class.is_of(Role::Recorder), "{class:?}");
        }
        let read = 2;
        let of_entities: Vec<u64> = (0..=99).filter(|it| Class::EntityManagement.takes(*it, Role::Recorder)).collect();
        assert_eq!(of_entities, [read], "reading through it is all that it lets people do");
        assert!(!Class::ComplianceFinding.is_of(Role::Recorder), "who reviews it is the operator's to say");
    }

    #[test]
    fn no_role_makes_records_of_what_only_another_does() {
        for class in [Class::AccountChange, Class::Authentication] {
            for other in Role::ALL.into_iter().filter(|role| *role != Role::Portal) {
                assert!(!class.is_of(other), "nobody else has people sign in");
            }
        }
        for role in [Role::Portal, Role::Webhook] {
            assert!(!Class::ApiActivity.is_of(role));
            assert!(!Class::DetectionFinding.is_of(role));
        }
        assert!(!Class::EntityManagement.is_of(Role::Gateway), "a gateway changes nothing");
        assert!(!Class::ApplicationLifecycle.takes(2, Role::Operator), "only a recorder deletes a log");
    }
}

//! The OCSF classes in use, and which roles may produce which.

use crate::Role;

/// An OCSF 1.8.0 class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// 3001: an address was locked.
    AccountChange,
    /// 3002: somebody signs in to the portal, or out of it.
    Authentication,
    /// 3004: a connection, credential, certificate or containment changed.
    EntityManagement,
    /// 6002: a process started or stopped.
    ApplicationLifecycle,
    /// 6003: a call to Amazon or to the gateway.
    ApiActivity,
    /// 6008: something went wrong in OpenTeam itself.
    ApplicationError,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AccountChange,
        Self::Authentication,
        Self::EntityManagement,
        Self::ApplicationLifecycle,
        Self::ApiActivity,
        Self::ApplicationError,
    ];

    /// `class_uid`.
    pub const fn uid(self) -> u64 {
        match self {
            Self::AccountChange => 3001,
            Self::Authentication => 3002,
            Self::EntityManagement => 3004,
            Self::ApplicationLifecycle => 6002,
            Self::ApiActivity => 6003,
            Self::ApplicationError => 6008,
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

    /// The roles a recorder takes this class from. A role that is not listed has no code that makes such an
    /// event, so one from it is forged.
    pub const fn writers(self) -> &'static [Role] {
        match self {
            Self::AccountChange | Self::Authentication => &[Role::Portal],
            Self::EntityManagement => &[Role::Operator, Role::Webhook, Role::Portal, Role::Gateway],
            Self::ApiActivity => &[Role::Operator, Role::Gateway],
            Self::ApplicationLifecycle | Self::ApplicationError => &Role::ALL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_found_by_its_uid_and_no_other_uid_is() {
        for class in Class::ALL {
            assert_eq!(Class::from_uid(class.uid()), Some(class));
            assert!(!class.writers().is_empty());
        }
        for uid in [0, 3, 3000, 3003, 3005, 6004, 600_300, u64::MAX] {
            assert_eq!(Class::from_uid(uid), None);
        }
    }

    #[test]
    fn the_keeper_of_the_record_makes_no_records_of_others_deeds() {
        assert!(!Class::ApiActivity.writers().contains(&Role::Recorder));
        assert!(!Class::EntityManagement.writers().contains(&Role::Recorder));
        for class in [Class::AccountChange, Class::Authentication] {
            assert_eq!(class.writers(), [Role::Portal], "nobody else has people sign in");
        }
        assert!(!Class::ApiActivity.writers().contains(&Role::Portal));
        assert!(!Class::ApiActivity.writers().contains(&Role::Webhook));
    }
}

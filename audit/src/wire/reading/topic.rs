//! What events are about, in the few kinds that people tell apart.

use serde::{Deserialize, Serialize};

use crate::Class;

/// A kind of events. There are others, which are of no topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Topic {
    /// Calls, to Amazon and to the gateway.
    Calls,
    /// Something was made, changed, contained or deleted.
    Changes,
    /// Somebody came into the Team, left it, or has another role in it.
    Members,
    /// Something was read: the record itself, a credential to be used.
    Reads,
    /// Something needs a look.
    Alarms,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Calls, Self::Changes, Self::Members, Self::Reads, Self::Alarms];
    /// OCSF's `activity_id` of reading, in Entity Management.
    const READ: u64 = 2;

    /// The topic of an event by its `class_uid` and `activity_id`.
    #[must_use]
    pub fn of(class: u64, activity: u64) -> Option<Self> {
        Some(match Class::from_uid(class)? {
            Class::ApiActivity => Self::Calls,
            Class::EntityManagement if activity == Self::READ => Self::Reads,
            Class::EntityManagement => Self::Changes,
            Class::UserAccess => Self::Members,
            Class::DetectionFinding => Self::Alarms,
            Class::ComplianceFinding
            | Class::AccountChange
            | Class::Authentication
            | Class::ApplicationLifecycle
            | Class::ApplicationError => return None,
        })
    }

    /// As addresses name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Changes => "changes",
            Self::Members => "members",
            Self::Reads => "reads",
            Self::Alarms => "alarms",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;

    #[test]
    fn every_topic_has_events_and_each_event_one_topic_at_most() {
        for topic in Topic::ALL {
            let mut rows = catalog().filter(|row| Topic::of(row.class.uid(), row.activities[0]) == Some(topic));
            assert!(rows.next().is_some(), "{topic:?}");
        }
        for row in catalog() {
            let topics = row.activities.iter().map(|activity| Topic::of(row.class.uid(), *activity));
            assert!(topics.clone().all(|topic| topic == topics.clone().next().unwrap()), "{}", row.name.as_str());
        }
        let topic = |name: &str| {
            let row = catalog().find(|row| row.name.as_str() == name).unwrap();
            Topic::of(row.class.uid(), row.activities[0])
        };
        assert_eq!(topic("RecordReadBy"), Some(Topic::Reads));
        assert_eq!(topic("IssuedBy"), Some(Topic::Changes));
        assert_eq!((topic("LoggedOn"), Topic::of(1, 1)), (None, None));
    }
}

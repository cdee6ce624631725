//! Rotation: what one stops that is still to be acted on, and what died by the last.
//!
//! Read from the objects themselves, as containment is: from the annotation on nothing under it is served, whether the
//! operator is there to act on it or not.

use crds::{AmazonConnection, Rotation, RuntimeToken, Team, annotation};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The value of `openteam.dev/rotate`, where it was not acted on yet.
fn outstanding<'a>(meta: &'a ObjectMeta, acted_on: Option<&String>) -> Option<&'a str> {
    annotation::rotate(meta).filter(|value| acted_on.map(String::as_str) != Some(*value))
}

/// Whether a rotation of the connection, or of its Team, is still to be acted on.
#[must_use]
pub fn rotation_outstanding(connection: &AmazonConnection, team: Option<&ObjectMeta>) -> bool {
    let rotation = connection.status.as_ref().and_then(|status| status.rotation.as_ref());
    outstanding(&connection.metadata, rotation.and_then(|it| it.value.as_ref())).is_some()
        || team.is_some_and(|team| outstanding(team, rotation.and_then(|it| it.team_value.as_ref())).is_some())
}

/// Whether a token died by a rotation: of its Team, or of any connection that its scope names. The apiserver tells when it
/// was created, to the second; one of the very second of a rotation is dead.
pub(crate) fn is_dead<'a>(
    token: &RuntimeToken,
    team: &Team,
    connections: impl IntoIterator<Item = &'a AmazonConnection>,
    now: Timestamp,
) -> bool {
    let created = token.metadata.creation_timestamp.as_ref().map_or(now, |created| created.0);
    let died = |meta: &ObjectMeta, rotation: Option<&Rotation>| {
        outstanding(meta, rotation.and_then(|it| it.value.as_ref())).is_some()
            || rotation.and_then(|it| it.at.as_ref()).is_some_and(|at| created <= at.0)
    };
    died(&team.metadata, team.status.as_ref().and_then(|status| status.rotation.as_ref()))
        || connections.into_iter().any(|connection| {
            died(&connection.metadata, connection.status.as_ref().and_then(|status| status.rotation.as_ref()))
        })
}

#[cfg(test)]
mod tests {
    use crds::{AmazonConnectionStatus, RuntimeTokenSpec, Scope, TeamStatus, annotation::ROTATE};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn annotated(value: Option<&str>) -> ObjectMeta {
        let annotations = value.map(|value| [(ROTATE.to_owned(), value.to_owned())].into());
        ObjectMeta { annotations, ..ObjectMeta::default() }
    }

    fn rotation(value: Option<&str>, team_value: Option<&str>, at_second: Option<i64>) -> Rotation {
        Rotation {
            value: value.map(str::to_owned),
            team_value: team_value.map(str::to_owned),
            at: at_second.map(|second| MicroTime(at(second))),
        }
    }

    fn connection(annotation: Option<&str>, rotation: Option<Rotation>) -> AmazonConnection {
        let status = Some(AmazonConnectionStatus { rotation, ..AmazonConnectionStatus::default() });
        AmazonConnection { metadata: annotated(annotation), status, ..AmazonConnection::default() }
    }

    #[test]
    fn a_rotation_is_outstanding_until_its_very_value_was_acted_on() {
        for (own, team, acted, expected) in [
            (None, None, None, false),
            (Some("1"), None, None, true),
            (Some(""), None, None, true),
            (Some("1"), None, Some(rotation(Some("1"), None, None)), false),
            (Some("2"), None, Some(rotation(Some("1"), None, Some(5))), true),
            (Some("1"), None, Some(rotation(None, Some("1"), Some(5))), true),
            (None, None, Some(rotation(Some("1"), None, Some(5))), false),
            (None, Some("1"), None, true),
            (None, Some("1"), Some(rotation(None, Some("1"), Some(5))), false),
            (None, Some("2"), Some(rotation(None, Some("1"), Some(5))), true),
            (Some("1"), Some("1"), Some(rotation(Some("1"), None, Some(5))), true),
            (Some("1"), Some("1"), Some(rotation(Some("1"), Some("1"), Some(5))), false),
        ] {
            let team = annotated(team);
            let connection = connection(own, acted);
            assert_eq!(rotation_outstanding(&connection, Some(&team)), expected, "{connection:?} {team:?}");
        }
    }

    #[test]
    fn a_token_dies_by_every_rotation_since_it_was_created() {
        let mut token = RuntimeToken::new(
            "laptop",
            RuntimeTokenSpec {
                team_ref: crds::LocalReference::to("acme"),
                scope: Scope::default(),
                expires_at: Time(at(1000)),
                issued_by: "ann@example.com".to_owned(),
                hash: String::new(),
            },
        );
        token.metadata.creation_timestamp = Some(Time(at(100)));
        let team = |annotation, rotation| {
            let status = Some(TeamStatus { rotation, ..TeamStatus::default() });
            Team { metadata: annotated(annotation), status, ..Team::default() }
        };
        let whole = team(None, None);
        let calm = connection(None, None);
        for (team, connections, dead) in [
            (&whole, vec![&calm], false),
            (&team(None, Some(rotation(Some("1"), None, None))), vec![&calm], false),
            (&team(None, Some(rotation(Some("1"), None, Some(99)))), vec![&calm], false),
            (&team(None, Some(rotation(Some("1"), None, Some(100)))), vec![&calm], true),
            (&team(Some("1"), None), vec![], true),
            (&whole, vec![&calm, &connection(None, Some(rotation(Some("1"), None, Some(101))))], true),
            (&whole, vec![&connection(None, Some(rotation(None, Some("1"), Some(101))))], true),
            (&whole, vec![&connection(None, Some(rotation(Some("1"), None, Some(99))))], false),
            (&whole, vec![&connection(Some("2"), Some(rotation(Some("1"), None, Some(99))))], true),
        ] {
            assert_eq!(is_dead(&token, team, connections.clone(), at(500)), dead, "{team:?} {connections:?}");
        }
    }
}

//! What keeps an Incident from being closed: refresh tokens that were within its reach, and that Amazon has not refused since.

use crds::{
    AmazonConnection, IncidentTarget, NamespacedReference,
    condition::{OLD_TOKEN_STILL_ACCEPTED, find},
};

use super::name_of;
use crate::{
    dependents::Name,
    stores::{Kind, Stores, read},
};

/// The connections of which that is not shown: those that are a target, or hang from a Team or application that is one.
pub(super) fn unproven(stores: &Stores, targets: &[IncidentTarget]) -> Vec<Name> {
    let mut unproven = Vec::new();
    for target in targets {
        let Some(name) = name_of(target) else { continue };
        let below = match name.kind {
            Kind::AmazonConnection => vec![name],
            Kind::Team | Kind::AmazonApplication => {
                let below = stores.connections.looking_at(&name);
                below.iter().map(|it| Name::new(Kind::AmazonConnection, Some(&it.namespace), &it.name)).collect()
            }
            _ => continue,
        };
        for name in below {
            let connection = stores.connection(&name.namespace, &name.name);
            if !proves(read(connection.as_ref()), target) && !unproven.contains(&name) {
                unproven.push(name);
            }
        }
    }
    unproven
}

/// Whether nothing of a connection can be used any more that could when the target was contained. One that came later had
/// nothing then; of one that is gone, or does not parse, nobody can tell.
fn proves(connection: Option<&AmazonConnection>, target: &IncidentTarget) -> bool {
    let Some(connection) = connection else { return false };
    let contained_at = target.contained_at.0;
    if connection.metadata.creation_timestamp.as_ref().is_some_and(|created| created.0 > contained_at) {
        return true;
    }
    let Some(status) = &connection.status else { return false };
    let refused = find(&status.conditions, OLD_TOKEN_STILL_ACCEPTED).is_some_and(|it| it.status == "False");
    refused && status.old_token.as_ref().is_some_and(|old| old.tried_at.0 >= contained_at)
}

/// The names of what an Incident's targets hang from a connection by.
pub(super) fn above(stores: &Stores, connection: &NamespacedReference) -> Vec<Name> {
    let found = stores.connection(&connection.namespace, &connection.name);
    let Some(found) = read(found.as_ref()) else { return Vec::new() };
    let application = &found.spec.application_ref;
    vec![
        Name::new(Kind::Team, Some(&connection.namespace), &found.spec.team_ref.name),
        Name::new(Kind::AmazonApplication, Some(&application.namespace), &application.name),
    ]
}

#[cfg(test)]
mod tests {
    use crds::{AmazonConnectionStatus, OldToken, condition::State};
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn only_a_refusal_since_the_containment_shows_that_nothing_is_left() {
        let target = IncidentTarget {
            kind: "AmazonConnection".to_owned(),
            namespace: "acme".to_owned(),
            name: "na".to_owned(),
            contained_at: Time(at(100)),
            restored_at: None,
            deleted_at: None,
        };
        let connection = |created: i64, said: Option<Option<bool>>, tried: i64| {
            let mut connection = AmazonConnection::default();
            connection.metadata.creation_timestamp = Some(Time(at(created)));
            let mut status = AmazonConnectionStatus::default();
            if let Some(status_of) = said {
                let state = State {
                    type_: OLD_TOKEN_STILL_ACCEPTED,
                    status: status_of,
                    reason: "X".to_owned(),
                    message: String::new(),
                };
                crds::condition::set(&mut status.conditions, state, None, at(tried));
                status.old_token = Some(OldToken { generation: 2, tried_at: Time(at(tried)), tested: None });
            }
            connection.status = Some(status);
            connection
        };
        for (connection, shown) in [
            (None, false),
            (Some(AmazonConnection::default()), false),
            (Some(connection(1, None, 0)), false),
            (Some(connection(1, Some(Some(true)), 200)), false),
            (Some(connection(1, Some(None), 200)), false),
            (Some(connection(1, Some(Some(false)), 99)), false),
            (Some(connection(1, Some(Some(false)), 100)), true),
            (Some(connection(100, None, 0)), false),
            (Some(connection(101, None, 0)), true),
        ] {
            assert_eq!(proves(connection.as_ref(), &target), shown, "{connection:?}");
        }
    }
}

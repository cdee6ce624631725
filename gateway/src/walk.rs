//! Which event everything that a gateway is asked leaves. A route or a refusal that is new does not compile until it is here.

use access::Refusal;
use audit::{EventName as E, Role};

use crate::{answer::Denial, metrics::Route};

/// What a request leaves that is served.
fn of_route(route: Route) -> &'static [E] {
    match route {
        // Told once: nothing happens between the event and the answer.
        Route::Token | Route::Connections => &[E::CallAnswered],
        // Before and after Amazon, or the cluster's status, is asked; a refresh on the way is a call of its own.
        Route::SpApi => &[E::CallIntended, E::CallAnswered, E::CallAnsweredWithError, E::CallFailed],
        Route::Credential => &[E::CallIntended, E::CallAnswered, E::CallFailed],
    }
}

/// What a request leaves that is not.
fn of_denial(denial: &Denial) -> &'static [E] {
    match denial {
        // Before anybody is known, or of a known caller.
        Denial::BadRequest(_) | Denial::TokenExpired => &[E::UnknownCallersRefused, E::CallRefused],
        Denial::TokenMissing | Denial::TokenInvalid | Denial::NotServedYet(_) => &[E::UnknownCallersRefused],
        Denial::TooLarge => &[E::CallRefused],
        Denial::Refused(refusal) => of_refusal(refusal),
        // A view that is not current, and TokenReviews that fail, before; a recorder that is away leaves nothing in the
        // record, but a gap in the sequence.
        Denial::Unavailable { .. } => &[E::UnknownCallersRefused, E::CallFailed],
        // After the intent.
        Denial::Amazon(_) | Denial::Upstream { .. } => &[E::CallFailed],
    }
}

/// A decision against a known caller; one that was good when the intent was recorded fails.
fn of_refusal(refusal: &Refusal) -> &'static [E] {
    match refusal {
        Refusal::NotFound { .. }
        | Refusal::Ambiguous { .. }
        | Refusal::RuntimeToken { .. }
        | Refusal::Contained { .. }
        | Refusal::NotReady { .. }
        | Refusal::NotAuthorized { .. }
        | Refusal::CredentialNotGiven { .. }
        | Refusal::MarketplaceNotInScope { .. } => &[E::CallRefused, E::CallFailed],
        Refusal::Path(_)
        | Refusal::Query(_)
        | Refusal::OperationUnknown { .. }
        | Refusal::NeverServed { .. }
        | Refusal::OperationNotAllowed { .. }
        | Refusal::MarketplaceMissing { .. }
        | Refusal::NotYetCheckable { .. } => &[E::CallRefused],
    }
}

#[test]
fn whatever_a_gateway_is_asked_leaves_an_event_that_a_recorder_takes_from_it() {
    let denials = [
        Denial::BadRequest(""),
        Denial::TokenMissing,
        Denial::TokenInvalid,
        Denial::TokenExpired,
        Denial::unavailable("ViewNotCurrent", ""),
        Denial::nonsense(""),
        Denial::Amazon(crds::AmazonRefusal::AmazonRefused),
        Denial::NotServedYet(""),
        Denial::TooLarge,
        Denial::Refused(Refusal::NotFound { name: None }),
        Denial::Refused(Refusal::Path(String::new())),
    ];
    let all = Route::ALL.into_iter().map(of_route).chain(denials.iter().map(of_denial));
    for events in all {
        assert!(!events.is_empty());
        for event in events {
            assert!(event.row().writers.contains(&Role::Gateway), "{}", event.as_str());
        }
    }
}

#[test]
fn nothing_that_the_catalogue_has_of_a_gateway_is_left_out() {
    let told = [
        E::CallIntended,
        E::CallAnswered,
        E::CallAnsweredWithError,
        E::CallFailed,
        E::CallRefused,
        E::UnknownCallersRefused,
        // Of the process, not of what it is asked.
        E::Started,
        E::Stopped,
        E::EventsLost,
        E::Unexpected,
    ];
    for row in audit::catalog().filter(|row| row.writers.contains(&Role::Gateway)) {
        assert!(told.contains(&row.name), "{}", row.name.as_str());
    }
}

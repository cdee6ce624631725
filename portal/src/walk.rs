//! Which events each address of the portal leaves. One that is new does not compile until it is here, and what changes
//! something leaves one.

use std::fmt::Write;

use audit::{EventName as E, Role};
use axum::http::Method;

use crate::route::{ConnectionRoute as C, Route, TeamRoute as T, TokenRoute, tests::all};

/// What a request leaves.
enum Leaves {
    /// Some of these, by what comes of it.
    Events(&'static [E]),
    /// Nothing, for this reason.
    Nothing(&'static str),
}

use Leaves::{Events, Nothing};

const SHOWS: Leaves = Nothing("shows what there is, and changes nothing");

/// What GET leaves.
fn of_get(route: &Route) -> Leaves {
    match route {
        // Amazon's answer comes by GET.
        Route::Callback => Events(&[E::ConsentReturnedBy, E::ConsentNotReturnedBy, E::CreatedBy, E::InputGivenBy]),
        Route::Team(_, T::Activity | T::Export) => Events(&[E::RecordReadBy]),
        Route::Home
        | Route::SignIn
        | Route::Code
        | Route::SignOut
        | Route::Sessions
        | Route::EndSession(_)
        | Route::EndOthers
        | Route::Team(..)
        | Route::Login
        | Route::Security
        | Route::SecurityTxt
        | Route::Asset(_) => SHOWS,
    }
}

/// What POST leaves, once it is let in.
fn of_post(route: &Route) -> Leaves {
    match route {
        Route::SignIn => Events(&[E::CodeAsked, E::CodeRefused, E::StrangersRefused]),
        Route::Code => Events(&[E::LoggedOn, E::LogonFailed, E::Locked]),
        Route::SignOut | Route::EndSession(_) | Route::EndOthers => Events(&[E::LoggedOff]),
        Route::Login => Events(&[E::ConsentBegunBy]),
        Route::Team(_, route) => of_team(route),
        Route::Home | Route::Sessions | Route::Callback | Route::Security | Route::SecurityTxt | Route::Asset(_) => {
            SHOWS
        }
    }
}

fn of_team(route: &T) -> Leaves {
    match route {
        T::Accept => Events(&[E::MembershipAcceptedBy]),
        // With a pasted token the connection is there at once; else after the consent.
        T::Connections => Events(&[E::CreatedBy, E::InputGivenBy, E::ConsentBegunBy]),
        T::Connection(_, route) => match route {
            C::Consent => Events(&[E::ConsentBegunBy]),
            C::Paste => Events(&[E::InputGivenBy]),
            C::Renew => Events(&[E::RenewalAskedBy]),
            C::Test => Events(&[E::TestAskedBy]),
            C::Rename => Events(&[E::RenamedBy]),
            C::Contain => Events(&[E::ContainedBy]),
            C::Delete => Events(&[E::DeletedBy]),
            C::Detail | C::Events => SHOWS,
        },
        T::Tokens => Events(&[E::IssuedBy]),
        // Under what is contained it is contained too: deleting it would destroy evidence.
        T::RevokeAll | T::Token(_, TokenRoute::Revoke) => Events(&[E::DeletedBy, E::ContainedBy]),
        T::Token(_, TokenRoute::Contain) | T::Contain => Events(&[E::ContainedBy]),
        T::Overview | T::Members | T::NewConnection | T::NewToken | T::Activity | T::Export => SHOWS,
    }
}

fn table() -> String {
    let mut table = String::from("# Which events a request leaves; for reviewers, checked by portal/src/walk.rs.\n");
    for (path, route) in all() {
        for (method, leaves) in [(Method::GET, of_get(&route)), (Method::POST, of_post(&route))] {
            if route.needs(&method).is_none() {
                continue;
            }
            let leaves = match leaves {
                Events(events) => events.iter().map(|event| event.as_str()).collect::<Vec<_>>().join(", "),
                Nothing(why) => format!("- {why}"),
            };
            let _ = writeln!(table, "{:5}{path:42}{leaves}", method.as_str());
        }
    }
    table
}

#[test]
fn every_address_leaves_the_events_that_were_reviewed() {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/route_events.txt"), table()).unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/route_events.txt");
    let reviewed = std::fs::read_to_string(path).unwrap();
    assert_eq!(table(), reviewed, "review the difference, then run this test with BLESS=1");
}

#[test]
fn whatever_may_be_posted_leaves_an_event_that_a_recorder_takes_from_the_portal() {
    for (path, route) in all() {
        for leaves in [of_get(&route), of_post(&route)] {
            if let Events(events) = leaves {
                assert!(events.iter().all(|event| event.row().writers.contains(&Role::Portal)), "{path}");
            }
        }
        if route.needs(&Method::POST).is_some() {
            assert!(matches!(of_post(&route), Events([_, ..])), "{path} changes something");
        }
    }
}

#[test]
fn nothing_that_the_catalogue_has_of_the_portal_is_left_out() {
    // Of the process, not of what it is asked; and what signs a review off has no page yet.
    let others = [E::Started, E::Stopped, E::EventsLost, E::Unexpected, E::ReviewSignedOff];
    let left = |event| {
        let leaves = |leaves| matches!(leaves, Events(events) if events.contains(&event));
        all().iter().any(|(_, route)| leaves(of_get(route)) || leaves(of_post(route)))
    };
    for row in audit::catalog().filter(|row| row.writers.contains(&Role::Portal)) {
        assert!(others.contains(&row.name) || left(row.name), "{}", row.name.as_str());
    }
}

//! Every address of the portal, and what one must be to go there.

use access::Action;
use axum::http::Method;
use crds::{NamespacedReference, is_name};

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Home,
    SignIn,
    Code,
    SignOut,
    Sessions,
    EndSession(String),
    EndOthers,
    Team(NamespacedReference, TeamRoute),
    Callback,
    Login,
    Security,
    SecurityTxt,
    Asset(String),
}

/// Where in a Team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TeamRoute {
    Overview,
    Accept,
    Members,
    Connections,
    NewConnection,
    Connection(String, ConnectionRoute),
    Tokens,
    NewToken,
    RevokeAll,
    Token(String, TokenRoute),
    Contain,
    Activity,
    Export,
}

/// What of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionRoute {
    Detail,
    Events,
    Consent,
    Paste,
    Renew,
    Test,
    Rename,
    Contain,
    Delete,
}

/// What of a RuntimeToken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenRoute {
    Revoke,
    Contain,
}

/// What one must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing.
    Nobody,
    /// Signed in.
    Person,
    /// A member whose role may.
    Member(Action),
}

impl Route {
    /// The route of a path, as it was sent: no address of the portal needs an escape, so none has any.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        Some(match parts[..] {
            [""] => Self::Home,
            ["sign-in"] => Self::SignIn,
            ["sign-in", "code"] => Self::Code,
            ["sign-out"] => Self::SignOut,
            ["sessions"] => Self::Sessions,
            ["sessions", "end-others"] => Self::EndOthers,
            ["sessions", id, "end"] if is_id(id) => Self::EndSession(id.to_owned()),
            ["teams", namespace, name, ref rest @ ..] if is_name(namespace) && is_name(name) => {
                let team = NamespacedReference { namespace: namespace.to_owned(), name: name.to_owned() };
                Self::Team(team, TeamRoute::parse(rest)?)
            }
            ["amazon", "callback"] => Self::Callback,
            ["amazon", "login"] => Self::Login,
            ["security"] => Self::Security,
            [".well-known", "security.txt"] => Self::SecurityTxt,
            ["assets", file] => Self::Asset(file.to_owned()),
            _ => return None,
        })
    }

    /// What a request of this method needs; `None` where there is no such thing.
    pub(crate) fn needs(&self, method: &Method) -> Option<Needs> {
        let get = method == Method::GET;
        let post = method == Method::POST;
        let (on_get, on_post) = match self {
            Self::Home | Self::Sessions => (Some(Needs::Person), None),
            Self::SignIn | Self::Code => (Some(Needs::Nobody), Some(Needs::Nobody)),
            Self::SignOut | Self::EndSession(_) | Self::EndOthers => (None, Some(Needs::Person)),
            Self::Callback => (Some(Needs::Person), None),
            Self::Login => (Some(Needs::Person), Some(Needs::Person)),
            Self::Security | Self::SecurityTxt | Self::Asset(_) => (Some(Needs::Nobody), None),
            Self::Team(_, route) => {
                let (get, post) = route.needs();
                (get.map(Needs::Member), post.map(Needs::Member))
            }
        };
        if get { on_get } else { on_post.filter(|_| post) }
    }

    /// For metrics: without names.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::SignIn => "sign-in",
            Self::Code => "sign-in-code",
            Self::SignOut => "sign-out",
            Self::Sessions => "sessions",
            Self::EndSession(_) | Self::EndOthers => "end-session",
            Self::Callback => "amazon-callback",
            Self::Login => "amazon-login",
            Self::Security => "security",
            Self::SecurityTxt => "security-txt",
            Self::Asset(_) => "asset",
            Self::Team(_, route) => route.label(),
        }
    }
}

impl TeamRoute {
    fn parse(parts: &[&str]) -> Option<Self> {
        Some(match parts[..] {
            [] => Self::Overview,
            ["accept"] => Self::Accept,
            ["members"] => Self::Members,
            ["connections"] => Self::Connections,
            ["connections", "new"] => Self::NewConnection,
            ["connections", name] if is_name(name) => Self::Connection(name.to_owned(), ConnectionRoute::Detail),
            ["connections", name, what] if is_name(name) => {
                let what = match what {
                    "events" => ConnectionRoute::Events,
                    "consent" => ConnectionRoute::Consent,
                    "token" => ConnectionRoute::Paste,
                    "renew" => ConnectionRoute::Renew,
                    "test" => ConnectionRoute::Test,
                    "name" => ConnectionRoute::Rename,
                    "contain" => ConnectionRoute::Contain,
                    "delete" => ConnectionRoute::Delete,
                    _ => return None,
                };
                Self::Connection(name.to_owned(), what)
            }
            ["tokens"] => Self::Tokens,
            ["tokens", "new"] => Self::NewToken,
            ["tokens", "revoke-all"] => Self::RevokeAll,
            ["tokens", name, "revoke"] if is_name(name) => Self::Token(name.to_owned(), TokenRoute::Revoke),
            ["tokens", name, "contain"] if is_name(name) => Self::Token(name.to_owned(), TokenRoute::Contain),
            ["contain"] => Self::Contain,
            ["activity"] => Self::Activity,
            ["activity", "export"] => Self::Export,
            _ => return None,
        })
    }

    /// What GET and POST need.
    fn needs(&self) -> (Option<Action>, Option<Action>) {
        use ConnectionRoute as C;
        match self {
            Self::Overview
            | Self::Members
            | Self::Activity
            | Self::Export
            | Self::Connection(_, C::Detail | C::Events) => (Some(Action::See), None),
            Self::Accept => (None, Some(Action::See)),
            Self::Connections => (None, Some(Action::Connect)),
            Self::NewConnection => (Some(Action::Connect), None),
            Self::Connection(_, C::Consent | C::Paste | C::Renew | C::Rename) => (None, Some(Action::Connect)),
            Self::Connection(_, C::Test) => (None, Some(Action::Test)),
            Self::Connection(_, C::Delete) => (Some(Action::Connect), Some(Action::Connect)),
            Self::Connection(_, C::Contain) | Self::Contain => (Some(Action::Contain), Some(Action::Contain)),
            Self::Tokens => (Some(Action::See), Some(Action::IssueTokens)),
            Self::NewToken => (Some(Action::IssueTokens), None),
            // Whose it is is looked at when it is found.
            Self::Token(_, TokenRoute::Revoke) => (None, Some(Action::IssueTokens)),
            Self::Token(_, TokenRoute::Contain) => (None, Some(Action::Contain)),
            Self::RevokeAll => (None, Some(Action::RevokeTokens)),
        }
    }

    const fn label(&self) -> &'static str {
        use ConnectionRoute as C;
        match self {
            Self::Overview => "team",
            Self::Accept => "accept",
            Self::Members => "members",
            Self::Connections | Self::NewConnection => "new-connection",
            Self::Connection(_, C::Detail) => "connection",
            Self::Connection(_, C::Events) => "connection-events",
            Self::Connection(_, C::Consent) => "consent",
            Self::Connection(_, C::Paste) => "paste-token",
            Self::Connection(_, C::Renew) => "renew",
            Self::Connection(_, C::Test) => "test",
            Self::Connection(_, C::Rename) => "rename",
            Self::Connection(_, C::Delete) => "delete-connection",
            Self::Connection(_, C::Contain) | Self::Token(_, TokenRoute::Contain) | Self::Contain => "contain",
            Self::Tokens => "tokens",
            Self::NewToken => "new-token",
            Self::Token(_, TokenRoute::Revoke) => "revoke-token",
            Self::RevokeAll => "revoke-all",
            Self::Activity => "activity",
            Self::Export => "activity-export",
        }
    }
}

/// The id of a session.
fn is_id(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fmt::Write;

    use crds::Role;
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Every address, one of each form.
    pub(crate) const ALL: [&str; 31] = [
        "/",
        "/sign-in",
        "/sign-in/code",
        "/sign-out",
        "/sessions",
        "/sessions/end-others",
        "/sessions/a1/end",
        "/amazon/callback",
        "/amazon/login",
        "/security",
        "/.well-known/security.txt",
        "/assets/openteam.css",
        "/teams/ns/acme",
        "/teams/ns/acme/accept",
        "/teams/ns/acme/members",
        "/teams/ns/acme/connections",
        "/teams/ns/acme/connections/new",
        "/teams/ns/acme/connections/na",
        "/teams/ns/acme/connections/na/events",
        "/teams/ns/acme/connections/na/consent",
        "/teams/ns/acme/connections/na/token",
        "/teams/ns/acme/connections/na/renew",
        "/teams/ns/acme/connections/na/test",
        "/teams/ns/acme/connections/na/name",
        "/teams/ns/acme/connections/na/contain",
        "/teams/ns/acme/connections/na/delete",
        "/teams/ns/acme/tokens",
        "/teams/ns/acme/tokens/new",
        "/teams/ns/acme/tokens/revoke-all",
        "/teams/ns/acme/tokens/t/revoke",
        "/teams/ns/acme/tokens/t/contain",
    ];
    const MORE: [&str; 3] = ["/teams/ns/acme/contain", "/teams/ns/acme/activity", "/teams/ns/acme/activity/export"];

    /// Every address with its route.
    pub(crate) fn all() -> Vec<(&'static str, Route)> {
        ALL.into_iter().chain(MORE).map(|path| (path, Route::parse(path).unwrap())).collect()
    }

    /// Who may what, as a table that a reviewer reads.
    const GOLDEN: &str = include_str!("route_matrix.txt");

    fn matrix() -> String {
        let mut table = String::from(
            "# Who gets an answer other than 403, 404 or the sign-in page: a stranger, somebody signed in who is no member, and\n\
             # members by role. Of a Team one is no member of, everything is 404.\n\
             method path                                      stranger person viewer member owner\n",
        );
        for path in ALL.into_iter().chain(MORE) {
            let route = Route::parse(path).unwrap();
            for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
                let Some(needs) = route.needs(&method) else { continue };
                let who = |role: Option<Option<Role>>| match (needs, role) {
                    (Needs::Nobody, _) | (Needs::Person, Some(_)) => "yes",
                    (Needs::Member(action), Some(Some(role))) if access::may(role, action) => "yes",
                    _ => "-",
                };
                let _ = writeln!(
                    table,
                    "{:6} {path:41} {:8} {:6} {:6} {:6} {}",
                    method.as_str(),
                    who(None),
                    who(Some(None)),
                    who(Some(Some(Role::Viewer))),
                    who(Some(Some(Role::Member))),
                    who(Some(Some(Role::Owner)))
                );
            }
        }
        table
    }

    #[test]
    fn who_may_go_where_is_as_it_was_reviewed() {
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/route_matrix.txt"), matrix()).unwrap();
        }
        assert_eq!(matrix(), GOLDEN, "review the difference, then run this test with BLESS=1");
    }

    #[test]
    fn every_route_is_in_the_matrix_and_known_by_one_label() {
        // Exhaustive by the compiler: a new variant without a row here does not build.
        let row = |route: &Route| match route {
            Route::Home => 0,
            Route::SignIn => 1,
            Route::Code => 2,
            Route::SignOut => 3,
            Route::Sessions => 4,
            Route::EndOthers => 5,
            Route::EndSession(_) => 6,
            Route::Callback => 7,
            Route::Login => 8,
            Route::Security => 9,
            Route::SecurityTxt => 10,
            Route::Asset(_) => 11,
            Route::Team(_, route) => match route {
                TeamRoute::Overview => 12,
                TeamRoute::Accept => 13,
                TeamRoute::Members => 14,
                TeamRoute::Connections => 15,
                TeamRoute::NewConnection => 16,
                TeamRoute::Connection(_, route) => match route {
                    ConnectionRoute::Detail => 17,
                    ConnectionRoute::Events => 18,
                    ConnectionRoute::Consent => 19,
                    ConnectionRoute::Paste => 20,
                    ConnectionRoute::Renew => 21,
                    ConnectionRoute::Test => 22,
                    ConnectionRoute::Rename => 23,
                    ConnectionRoute::Contain => 24,
                    ConnectionRoute::Delete => 25,
                },
                TeamRoute::Tokens => 26,
                TeamRoute::NewToken => 27,
                TeamRoute::RevokeAll => 28,
                TeamRoute::Token(_, TokenRoute::Revoke) => 29,
                TeamRoute::Token(_, TokenRoute::Contain) => 30,
                TeamRoute::Contain => 31,
                TeamRoute::Activity => 32,
                TeamRoute::Export => 33,
            },
        };
        for (number, path) in ALL.into_iter().chain(MORE).enumerate() {
            let route = Route::parse(path).unwrap();
            assert_eq!(row(&route), number, "{path}");
            assert!(!route.label().is_empty());
            assert!([Method::GET, Method::POST].iter().any(|method| route.needs(method).is_some()), "{path}");
        }
    }

    #[test]
    fn an_address_is_there_in_one_spelling_only() {
        for wrong in [
            "",
            "//",
            "/Sign-in",
            "/sign-in/",
            "/sign%2Din",
            "/teams",
            "/teams/ns",
            "/teams/ns/acme/",
            "/teams/NS/acme",
            "/teams/ns/acme/../globex",
            "/teams/ns/acme%2f..",
            "/teams//acme",
            "/teams/../acme",
            "/teams/ns/..",
            "/teams/../..",
            "/teams/ns/acme/connections/..",
            "/teams/ns/acme/connections/../events",
            "/teams/ns/-acme",
            "/teams/ns/acme/connections/na/restore",
            "/teams/ns/acme/connections/na/events/x",
            "/teams/ns/acme/tokens/t",
            "/teams/ns/acme/activity/export/csv",
            "/teams/ns/acme/activity.csv",
            "/sessions/A/end",
            "/sessions//end",
            "/assets/a/b",
            "/admin",
        ] {
            assert_eq!(Route::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_path_of_anything_is_read_without_a_panic(path in "\\PC*", parts in vec("[a-z./%~-]{0,12}", 0..7)) {
            let _ = Route::parse(&path);
            let _ = Route::parse(&format!("/{}", parts.join("/")));
            let _ = Route::parse(&format!("/teams/{}", parts.join("/")));
        }

        /// What a browser goes to is what was parsed: no `..`, no second slash, no escape is read in two ways.
        #[test]
        fn a_path_means_the_same_to_browsers(
            path in prop::sample::select(ALL.to_vec()),
            at in 0..6_usize,
            with in prop_oneof!["[a-z0-9.%-]{0,8}", Just("..".to_owned()), Just(".".to_owned()), Just("%2e%2e".to_owned())],
        ) {
            let mut parts: Vec<&str> = path[1..].split('/').collect();
            let at = at % parts.len();
            parts[at] = &with;
            let path = format!("/{}", parts.join("/"));
            // Files are looked for by name among a few.
            if let Some(route) = Route::parse(&path).filter(|route| !matches!(route, Route::Asset(_))) {
                let own: url::Url = "https://portal.example".parse().unwrap();
                let seen = own.join(&path).unwrap();
                prop_assert_eq!(seen.origin(), own.origin());
                prop_assert_eq!(seen.path(), &path);
                prop_assert_eq!(Route::parse(seen.path()), Some(route));
            }
        }

        #[test]
        fn an_address_that_the_portal_writes_is_one_that_it_reads(
            namespace in "[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?",
            team in "[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?",
            name in "[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?",
        ) {
            // There is a page of this name at the same place.
            prop_assume!(name != "new");
            let expected = NamespacedReference { namespace, name: team };
            let path = format!("/teams/{}/{}", expected.namespace, expected.name);
            prop_assert_eq!(Route::parse(&path), Some(Route::Team(expected.clone(), TeamRoute::Overview)));
            let detail = TeamRoute::Connection(name.clone(), ConnectionRoute::Detail);
            prop_assert_eq!(Route::parse(&format!("{path}/connections/{name}")), Some(Route::Team(expected.clone(), detail)));
            let revoke = TeamRoute::Token(name.clone(), TokenRoute::Revoke);
            prop_assert_eq!(Route::parse(&format!("{path}/tokens/{name}/revoke")), Some(Route::Team(expected, revoke)));
        }
    }
}

//! Pages with made-up data. `texts` makes each text that comes from people or from Amazon: as it is, or hostile.

use amazon::Region;
use askama::Template;

use super::super::*;

/// A page.
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) html: String,
}

/// How a text is made.
type Texts = fn(&str) -> String;

/// As it is.
pub(super) fn ordinary(text: &str) -> String {
    text.to_owned()
}

/// What must never stand in a page as it is here.
pub(super) const SCRIPT: &str = "<script>alert(1)</script>";

/// The same with what breaks out of attributes and layouts behind it. The text's own beginning keeps names apart.
pub(super) fn hostile(text: &str) -> String {
    format!("{text}\"'>{SCRIPT}<img src=x onerror=alert(1)>&amp;{{{{ 7*7 }}}} 🦊👩‍👩‍👧 \u{202e}{}", "W".repeat(200))
}

fn at(text: &str) -> When {
    When(text.parse().unwrap())
}

fn good(word: &str) -> Status {
    Status::new(Tone::Good, word)
}

fn us() -> Marketplace {
    Marketplace::new("ATVPDKIKX0DER", "US")
}

fn north_america() -> Vec<Marketplace> {
    Region::Na.marketplaces().map(|it| Marketplace::new(it.id, it.country)).collect()
}

pub(super) fn shell(texts: Texts) -> Shell {
    let link = |name: &str, display_name: &str| TeamLink {
        namespace: name.to_owned(),
        name: name.to_owned(),
        display_name: texts(display_name),
    };
    Shell {
        email: Some(texts("ada@acme.example")),
        teams: vec![link("acme", "Acme"), link("globex", "Globex Trading")],
        team: Some(Place {
            namespace: "acme".into(),
            name: "acme".into(),
            display_name: texts("Acme"),
            role: "Owner".into(),
            may_contain: true,
        }),
        banners: vec![],
        flash: None,
    }
}

fn outside(texts: Texts) -> Shell {
    Shell { team: None, ..shell(texts) }
}

fn place(texts: Texts) -> Place {
    shell(texts).team.unwrap()
}

fn contained(texts: Texts) -> Shell {
    Shell {
        banners: vec![
            Banner {
                what: texts("Connection Acme, North America"),
                who: Some(texts("grace@acme.example")),
                when: Some(at("2026-11-27T20:12:00Z")),
                incidents: texts("inc-7"),
                why: Some(texts("A token was in a screenshot")),
                contact: Some(texts("security@openteam.example")),
            },
            Banner {
                what: texts("Runtime token ci-nightly"),
                who: None,
                when: None,
                incidents: texts("inc-8"),
                why: None,
                contact: None,
            },
        ],
        flash: Some(good(&texts("The connection is contained."))),
        ..shell(texts)
    }
}

pub(super) fn team(texts: Texts) -> TeamPage {
    let row = |path: &str, name: &str, status: Status| ConnectionRow {
        path: path.to_owned(),
        name: texts(name),
        seller: Some(texts("A2EXAMPLESELLER")),
        region: "North America".into(),
        marketplaces: north_america(),
        status,
        expires: Some(at("2027-11-20T09:00:00Z")),
        sandbox: false,
    };
    TeamPage {
        shell: shell(texts),
        place: place(texts),
        connections: vec![
            ConnectionRow {
                seller: None,
                expires: None,
                region: "Europe, Middle East, India, Africa".into(),
                marketplaces: vec![Marketplace::new("A1PA6795UKMFR9", "DE"), Marketplace::new("A1F83G8C2ARO7P", "UK")],
                ..row(
                    "/teams/acme/acme/connections/acme-eu",
                    "Acme, Europe",
                    Status::new(Tone::Wait, "Waits for consent"),
                )
            },
            row("/teams/acme/acme/connections/acme-na", "Acme, North America", good("Ready")),
            row(
                "/teams/acme/acme/connections/acme-old",
                "Acme, old account",
                Status::new(Tone::Bad, "Consent withdrawn"),
            ),
            ConnectionRow {
                sandbox: true,
                marketplaces: vec![us()],
                ..row("/teams/acme/acme/connections/acme-sandbox", "Sandbox", Status::new(Tone::Warn, "Ends soon"))
            },
        ],
        ending: vec![EndingToken {
            name: texts("ada-laptop"),
            creator: texts("ada@acme.example"),
            expires: at("2026-11-28T06:00:00Z"),
        }],
        next: vec![
            NextStep::Consent {
                path: "/teams/acme/acme/connections/acme-eu".into(),
                name: texts("Acme, Europe"),
                by: None,
            },
            NextStep::Consent {
                path: "/teams/acme/acme/connections/acme-na".into(),
                name: texts("Acme, North America"),
                by: Some(at("2026-12-24T00:00:00Z")),
            },
            NextStep::IssueToken,
        ],
        may_connect: true,
        may_issue: true,
    }
}

pub(super) fn connection_new(texts: Texts) -> ConnectionNew {
    let region = |region: Region, name: &str| RegionChoice {
        value: region.as_str().into(),
        name: name.into(),
        marketplaces: region
            .marketplaces()
            .map(|it| MarketplaceChoice {
                marketplace: Marketplace::new(it.id, it.country),
                checked: ["DE", "UK", "FR"].contains(&it.country),
            })
            .collect(),
        selected: region == Region::Eu,
    };
    ConnectionNew {
        shell: shell(texts),
        place: place(texts),
        applications: vec![
            ApplicationChoice { value: "acme/acme-app".into(), name: texts("Acme orders"), note: None, selected: true },
            ApplicationChoice {
                value: "platform/analytics".into(),
                name: texts("Analytics"),
                note: Some(texts("Draft at Amazon: only your own account can consent")),
                selected: false,
            },
        ],
        regions: vec![
            region(Region::Na, "North America"),
            region(Region::Eu, "Europe, Middle East, India, Africa"),
            region(Region::Fe, "Far East and Australia"),
        ],
        name: Field::of(texts("Acme, Europe")),
        contact: Some(texts("ops@openteam.example")),
        ..ConnectionNew::default()
    }
}

fn steps(texts: Texts, at: usize, failed: bool) -> Vec<Step> {
    let state = |step: usize| match step.cmp(&at) {
        std::cmp::Ordering::Less => StepState::Done,
        std::cmp::Ordering::Equal if failed => StepState::Failed,
        std::cmp::Ordering::Equal => StepState::Now,
        std::cmp::Ordering::Greater => StepState::Later,
    };
    let all = [
        ("Consent", "The seller said yes."),
        ("Exchange", "OpenTeam exchanges Amazon’s code for a credential."),
        ("Verified", "Amazon is asked which marketplaces the seller has."),
        ("Ready", "Calls are served."),
    ];
    let all = all.into_iter().enumerate();
    all.map(|(i, (title, text))| Step { title: title.into(), state: state(i), text: texts(text) }).collect()
}

pub(super) fn connection(texts: Texts) -> Connection {
    Connection {
        shell: shell(texts),
        place: place(texts),
        name: "acme-eu".into(),
        display_name: texts("Acme, Europe"),
        status: Status::new(Tone::Wait, texts("Exchanging the code")),
        summary: texts("The seller has consented. It takes a few seconds until calls are served."),
        steps: steps(texts, 1, false),
        live: true,
        region: "Europe, Middle East, India, Africa".into(),
        seller: None,
        application: texts("Acme orders"),
        endpoint: texts("https://sellingpartnerapi-eu.amazon.com"),
        sandbox: false,
        marketplaces: vec![
            MarketplaceRow {
                marketplace: Marketplace::new("A1PA6795UKMFR9", "DE"),
                allowed: true,
                status: Status::new(Tone::Wait, texts("Not known yet")),
            },
            MarketplaceRow {
                marketplace: Marketplace::new("A1F83G8C2ARO7P", "UK"),
                allowed: true,
                status: Status::new(Tone::Wait, texts("Not known yet")),
            },
        ],
        authorized: None,
        expires: None,
        exposed_until: None,
        users: vec![],
        may: ConnectionMay { consent: true, test: true, contain: true, ..ConnectionMay::default() },
        rename: Field::of(texts("Acme, Europe")),
        token_error: None,
        from_yaml: false,
    }
}

fn ready(texts: Texts) -> Connection {
    let market = |id: &str, country: &str, allowed, status: Status| MarketplaceRow {
        marketplace: Marketplace::new(id, country),
        allowed,
        status,
    };
    Connection {
        name: "acme-na".into(),
        display_name: texts("Acme, North America"),
        status: good("Ready"),
        summary: texts("Calls are served. The consent has to be renewed by 20 Nov 2027."),
        steps: vec![],
        live: false,
        region: "North America".into(),
        seller: Some(texts("A2EXAMPLESELLER")),
        endpoint: texts("https://sellingpartnerapi-na.amazon.com"),
        sandbox: true,
        marketplaces: vec![
            market("ATVPDKIKX0DER", "US", true, good("Takes part")),
            market("A2EUQ1WTGCTBG2", "CA", true, Status::new(Tone::Warn, "Listings suspended")),
            market("A1AM78C64UM0Y8", "MX", false, Status::new(Tone::Off, "Does not take part")),
            market("A38D8NSA03LJTC", "", false, good("Takes part")),
        ],
        authorized: Some(at("2026-11-20T09:00:00Z")),
        expires: Some(at("2027-11-20T09:00:00Z")),
        exposed_until: Some(at("2026-11-27T22:12:00Z")),
        users: vec![
            ConnectionUser {
                kind: "Runtime token".into(),
                name: texts("ada-laptop"),
                who: texts("ada@acme.example"),
                status: good("Works"),
                expires: Some(at("2026-11-28T06:00:00Z")),
            },
            ConnectionUser {
                kind: "Agent".into(),
                name: texts("repricer"),
                who: texts("ServiceAccount repricer"),
                status: Status::new(Tone::Bad, "Contained"),
                expires: None,
            },
        ],
        may: ConnectionMay { consent: true, renew: true, test: true, rename: true, contain: true, delete: true },
        from_yaml: true,
        ..connection(texts)
    }
}

pub(super) fn tokens(texts: Texts) -> Tokens {
    let row = |name: &str, status: Status| TokenRow {
        name: texts(name),
        creator: texts("ada@acme.example"),
        yours: false,
        connections: vec![texts("acme-na")],
        marketplaces: vec![us(), Marketplace::new("A2EUQ1WTGCTBG2", "CA")],
        operations: vec!["read".into()],
        last_use: LastUse::At(at("2026-11-27T20:59:00Z")),
        expires: at("2026-11-28T06:00:00Z"),
        status,
        note: None,
        may_revoke: true,
        may_contain: true,
    };
    Tokens {
        shell: shell(texts),
        place: place(texts),
        tokens: vec![
            TokenRow { yours: true, ..row("ada-laptop", good("Works")) },
            TokenRow {
                connections: vec![texts("acme-na"), texts("acme-eu")],
                operations: vec!["read".into(), "financial".into(), texts("orders/v0/getOrder")],
                last_use: LastUse::Never,
                ..row("repricer-staging", Status::new(Tone::Warn, "Ends soon"))
            },
            TokenRow {
                creator: texts("bob@acme.example"),
                note: Some(texts("bob@acme.example left the Team, so every call with it is refused.")),
                last_use: LastUse::Unknown,
                may_contain: false,
                ..row("bob-notebook", Status::new(Tone::Bad, "Issuer left the Team"))
            },
            TokenRow { may_revoke: false, may_contain: false, ..row("ci-nightly", Status::new(Tone::Off, "Over")) },
        ],
        may_issue: true,
        may_revoke_all: Some(3),
        confirm: Field::default(),
    }
}

fn token_new(texts: Texts) -> TokenNew {
    let tick =
        |id: &str, country: &str| MarketplaceChoice { marketplace: Marketplace::new(id, country), checked: true };
    let class = |class, checked| ClassChoice { class, checked };
    let life =
        |value: &str, label: &str, selected| LifetimeChoice { value: value.into(), label: label.into(), selected };
    TokenNew {
        shell: shell(texts),
        place: place(texts),
        name: Field::of(texts("ada-laptop")),
        connections: vec![
            ConnectionChoice {
                name: "acme-na".into(),
                display_name: texts("Acme, North America"),
                marketplaces: vec![tick("ATVPDKIKX0DER", "US"), tick("A2EUQ1WTGCTBG2", "CA")],
                note: None,
                selected: true,
            },
            ConnectionChoice {
                name: "acme-eu".into(),
                display_name: texts("Acme, Europe"),
                marketplaces: vec![tick("A1PA6795UKMFR9", "DE")],
                note: Some(texts("Waits for consent")),
                selected: false,
            },
        ],
        classes: vec![class(OperationClass::Read, true), class(OperationClass::Financial, false)],
        lifetimes: vec![life("1h", "1 hour", false), life("8h", "8 hours", true), life("24h", "1 day", false)],
        limit: "24 hours".into(),
        ..TokenNew::default()
    }
}

pub(super) fn token_issued(texts: Texts) -> TokenIssued {
    TokenIssued {
        shell: shell(texts),
        place: place(texts),
        name: "ada-laptop".into(),
        token: format!("otrt_acme_ada-laptop_{}_EXAMPL", "not-a-token".repeat(4)).into(),
        expires: at("2026-11-28T06:00:00Z"),
        gateway: "https://localhost:8443".into(),
        authority: "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n".into(),
        connection: "acme-na".into(),
        marketplace: "ATVPDKIKX0DER".into(),
    }
}

fn activity(texts: Texts) -> Activity {
    let event = |when: &str, who: &str, what: &str, object: Option<&str>, outcome: Status| ActivityEvent {
        at: at(when),
        who: texts(who),
        what: texts(what),
        object: object.map(texts),
        outcome,
    };
    Activity {
        shell: shell(texts),
        place: place(texts),
        events: vec![
            event(
                "2026-11-27T21:10:00Z",
                "Token ada-laptop",
                "searchOrders",
                Some("Acme, North America"),
                good("Allowed"),
            ),
            event(
                "2026-11-27T21:08:31Z",
                "Agent repricer",
                "getOrderBuyerInfo",
                Some("Acme, North America"),
                Status::new(Tone::Bad, "Refused: not in its scope"),
            ),
            event("2026-11-27T20:59:00Z", "ada@acme.example", "Issued a token", Some("ada-laptop"), good("Done")),
            event("2026-11-27T20:58:00Z", "ada@acme.example", "Signed in", None, good("Done")),
        ],
        older: Some("/teams/acme/acme/activity?before=42".into()),
        newer: Some("/teams/acme/acme/activity".into()),
        filter: activity_filter(texts),
        exports: Some(["csv", "jsonl"].map(|it| format!("/teams/acme/acme/activity/export?as={it}"))),
        ..Activity::default()
    }
}

fn activity_filter(texts: Texts) -> ActivityFilter {
    let choice = |value: &str, label: String| Choice { value: value.into(), label, selected: false };
    let select = |choices| Select { choices, error: None };
    ActivityFilter {
        connection: select(vec![
            choice("acme-na", texts("Acme, North America")),
            choice("acme-eu", texts("Acme, Europe")),
        ]),
        what: select(vec![choice("calls", "Calls".into()), choice("changes", "Changes".into())]),
        outcome: select(vec![choice("failed", "Failed".into()), choice("refused", "Refused".into())]),
        suggested: vec![texts("ada@acme.example"), texts("Token ada-laptop")],
        ..ActivityFilter::default()
    }
}

/// A filter with something in every field.
fn filtered(texts: Texts) -> Activity {
    let mut filter = ActivityFilter {
        who: Field::of(texts("ada")),
        from: Field::of("2026-11-01"),
        to: Field::of("2026-11-30"),
        text: Field::of(texts("order")),
        is_used: true,
        ..activity_filter(texts)
    };
    filter.outcome.choices[1].selected = true;
    let loosened = |words: String, path: &str| Loosened { words, path: format!("/teams/acme/acme/activity?{path}") };
    Activity {
        filter,
        loosened: vec![
            loosened("Outcome: Refused".into(), "who=ada"),
            loosened(format!("Who: {}", texts("ada")), "outcome=refused"),
        ],
        newer: None,
        ..activity(texts)
    }
}

/// With something wrong in every field.
pub(super) fn wrongly_filtered(texts: Texts) -> Activity {
    let mut page = filtered(texts);
    let filter = &mut page.filter;
    filter.connection.error = Some(format!("There is no connection “{}” now. Choose one.", texts("old")));
    filter.what.error = Some(format!("“{}” is not what something can be. Choose from the list.", texts("x")));
    filter.outcome.error = Some(format!("“{}” is no outcome. Choose one from the list.", texts("maybe")));
    filter.who = Field::wrong(texts("a"), "This fits too many people and connections. Type more of it.");
    filter.from = Field::wrong(texts("yesterday"), "Give a day as year, month and day, such as 2026-11-27.");
    filter.to = Field::wrong("2026-01-01", "Choose a last day that is not before the first.");
    filter.text = Field::wrong(texts("b"), "Type up to 100 letters.");
    Activity { events: vec![], older: None, exports: None, ..page }
}

/// As many events as a page has, under a filter with much to choose from.
fn full_of_activity(texts: Texts) -> Activity {
    let mut page = filtered(texts);
    page.events = page.events.iter().cycle().take(crate::activity::EVENTS).cloned().collect();
    page.filter.suggested = (10..60).map(|number| texts(&format!("Token nightly-report-{number}"))).collect();
    let connections = page.filter.connection.choices.iter().cycle().take(20).cloned();
    page.filter.connection.choices = connections.collect();
    Activity { is_partial: true, ..page }
}

/// A page by its name, rendered.
fn sample(name: &str, page: &impl Template) -> Sample {
    Sample { name: name.to_owned(), html: page.render().unwrap() }
}

/// Every page in every shape that people meet.
pub(super) fn samples(texts: Texts) -> Vec<Sample> {
    let mut all = signing_in(texts);
    all.extend(of_a_team(texts));
    all.extend(of_connections(texts));
    all.extend(of_tokens(texts));
    all.extend(others(texts));
    all
}

fn signing_in(texts: Texts) -> Vec<Sample> {
    let contact = Some(texts("ops@openteam.example"));
    let wrong = Field::wrong(texts("ada"), texts("Type a whole address, such as ada@acme.example."));
    let code = SignInCode { email: texts("ada@acme.example"), minutes: 10, ..SignInCode::default() };
    let denied = Field::wrong("", texts("That is not the code. You have 4 tries left."));
    vec![
        sample("sign-in", &SignIn { next: Some(texts("/teams/acme/acme")), ..SignIn::default() }),
        sample("sign-in-wrong", &SignIn { email: wrong, ..SignIn::default() }),
        sample("sign-in-code", &code),
        sample("sign-in-code-wrong", &SignInCode { code: denied, ..code }),
        sample("limited", &Limited { shell: Shell::default(), contact: contact.clone() }),
        sample(
            "no-team",
            &NoTeam {
                shell: Shell { teams: vec![], ..outside(texts) },
                email: texts("ada@acme.example"),
                contact: contact.clone(),
            },
        ),
    ]
}

fn of_a_team(texts: Texts) -> Vec<Sample> {
    let row = |name: &str, role: &str, connections, accepted, status| TeamRow {
        path: "/teams/acme/acme".into(),
        name: texts(name),
        role: role.into(),
        connections,
        accepted,
        status,
    };
    let member = |email: &str, role: &str, accepted: bool| MemberRow {
        email: texts(email),
        role: role.into(),
        accepted: accepted.then(|| at("2026-11-20T09:00:00Z")),
        you: email.starts_with("ada"),
        contained: email.starts_with("eve"),
    };
    let owners = vec![texts("grace@acme.example"), texts("joan@acme.example")];
    let first = |next: NextStep, may: bool| TeamPage {
        connections: vec![],
        ending: vec![],
        next: vec![next],
        may_connect: may,
        may_issue: may,
        place: Place { may_contain: may, ..place(texts) },
        ..team(texts)
    };
    vec![
        sample(
            "teams",
            &Teams {
                shell: outside(texts),
                teams: vec![
                    row("Initech", "Viewer", 0, false, Status::new(Tone::Warn, "To accept")),
                    row("Acme", "Owner", 4, true, good("All works")),
                    row("Globex Trading", "Member", 1, true, Status::new(Tone::Bad, "Contained")),
                ],
            },
        ),
        sample(
            "accept",
            &Accept {
                shell: outside(texts),
                path: "/teams/initech/initech".into(),
                team: texts("Initech"),
                role: "Viewer".into(),
                email: texts("ada@acme.example"),
            },
        ),
        sample("team", &team(texts)),
        sample("team-contained", &TeamPage { shell: contained(texts), ..team(texts) }),
        sample("team-first", &first(NextStep::ConnectSeller, true)),
        sample("team-first-viewer", &first(NextStep::AskOwner { owners }, false)),
        sample(
            "members",
            &Members {
                shell: shell(texts),
                place: place(texts),
                members: vec![
                    member("ada@acme.example", "Owner", true),
                    member("grace.brewster.murray.hopper@a-rather-long-domain.acme.example", "Member", true),
                    member("eve@acme.example", "Viewer", false),
                ],
            },
        ),
        sample("members-empty", &Members { shell: shell(texts), place: place(texts), members: vec![] }),
        sample(
            "contain",
            &Contain {
                shell: shell(texts),
                place: place(texts),
                what: texts("Team Acme"),
                action: "/teams/acme/acme/contain".into(),
                back: "/teams/acme/acme".into(),
                connections: vec![texts("Acme, North America"), texts("Acme, Europe")],
                tokens: vec![texts("ada-laptop"), texts("ci-nightly")],
                agents: vec![texts("repricer")],
                exposed: vec![(texts("Acme, North America"), at("2026-11-27T22:12:00Z"))],
                incident: Field::of(texts("portal-20261127-1")),
                why: Field::default(),
            },
        ),
        sample(
            "contain-wrong",
            &Contain {
                shell: shell(texts),
                place: place(texts),
                what: texts("token ada-laptop"),
                action: "/teams/acme/acme/tokens/ada-laptop/contain".into(),
                back: "/teams/acme/acme/tokens".into(),
                incident: Field::wrong(texts("Inc 7"), "Use lower case letters, digits and hyphens."),
                why: Field::wrong(texts("A laptop was lost"), "That is longer than 500 characters."),
                ..Contain::default()
            },
        ),
        sample("activity", &activity(texts)),
        sample("activity-empty", &Activity { events: vec![], older: None, newer: None, ..activity(texts) }),
        sample("activity-filtered", &filtered(texts)),
        sample("activity-full", &full_of_activity(texts)),
        sample("activity-wrong", &wrongly_filtered(texts)),
        sample("activity-nothing-fits", &Activity { events: vec![], older: None, ..filtered(texts) }),
        sample("activity-nothing-yet", &Activity { events: vec![], is_partial: true, ..filtered(texts) }),
        sample("activity-unavailable", &Activity { events: vec![], unavailable: true, ..activity(texts) }),
    ]
}

fn of_connections(texts: Texts) -> Vec<Sample> {
    let wrong = ConnectionNew {
        name: Field::wrong(texts("Acme, Europe"), texts("Another connection has this name.")),
        application_error: Some("Choose an application.".into()),
        region_error: Some("Choose a region.".into()),
        marketplaces_error: Some("Tick at least one marketplace.".into()),
        token_error: Some("That is no refresh token: one begins with Atzr.".into()),
        ..connection_new(texts)
    };
    let mut one = connection_new(texts);
    one.applications.truncate(1);
    let failed = Connection {
        status: Status::new(Tone::Bad, texts("Another seller consented")),
        summary: texts("Sign in at Amazon as the seller of this connection, and start again. Nothing was stored."),
        steps: steps(texts, 1, true),
        live: false,
        token_error: Some(texts("That is no refresh token: one begins with Atzr.")),
        rename: Field::wrong("", "Type a name."),
        may: ConnectionMay { rename: true, ..connection(texts).may },
        ..connection(texts)
    };
    let viewed = Connection { may: ConnectionMay::default(), ..ready(texts) };
    let delete = ConnectionDelete {
        shell: shell(texts),
        place: place(texts),
        name: "acme-na".into(),
        display_name: texts("Acme, North America"),
        tokens: vec![texts("ada-laptop"), texts("ci-nightly")],
        agents: vec![texts("repricer")],
        confirm: Field::default(),
    };
    let unused = ConnectionDelete {
        tokens: vec![],
        agents: vec![],
        confirm: Field::wrong(texts("acme"), "Type acme-na."),
        ..delete.clone()
    };
    let problem = |problem| ConsentReturn {
        shell: outside(texts),
        problem,
        again: Some("/teams/acme/acme/connections/new".into()),
    };
    let seller = || texts("A2EXAMPLESELLER");
    let other = Some((texts("Acme, North America"), "/teams/acme/acme/connections/acme-na".into()));
    let pending =
        |value: &str| PendingConsent { value: value.into(), connection: texts("Acme, Europe"), team: texts("Acme") };
    let hop = AmazonLogin {
        shell: outside(texts),
        host: "sellercentral-europe.amazon.com".into(),
        seller: Some(seller()),
        fields: vec![
            ("amazon_callback_uri".into(), texts("https://sellercentral-europe.amazon.com/apps/authorize/confirm/x")),
            ("amazon_state".into(), texts("amazons-own")),
        ],
        consents: vec![pending("1")],
    };
    vec![
        sample("connection-new", &connection_new(texts)),
        sample("connection-new-one-application", &one),
        sample("connection-new-wrong", &wrong),
        sample("connection-new-no-application", &ConnectionNew { applications: vec![], ..connection_new(texts) }),
        sample("connection-live", &connection(texts)),
        sample("connection-failed", &failed),
        sample("connection-ready", &ready(texts)),
        sample("connection-viewer", &viewed),
        sample(
            "connection-bare",
            &Connection { marketplaces: vec![], live: false, steps: vec![], ..connection(texts) },
        ),
        sample("connection-delete", &delete),
        sample("connection-delete-wrong", &unused),
        sample("consent-refused", &problem(ConsentProblem::Refused { said: Some(texts("access_denied")) })),
        sample("consent-expired", &problem(ConsentProblem::Expired)),
        sample("consent-reused", &problem(ConsentProblem::Reused)),
        sample("consent-foreign", &ConsentReturn { again: None, ..problem(ConsentProblem::Foreign) }),
        sample("consent-malformed", &problem(ConsentProblem::Malformed)),
        sample(
            "consent-other-seller",
            &problem(ConsentProblem::OtherSeller {
                connection: texts("Acme, Europe"),
                expected: seller(),
                consented: texts("A3ANOTHERSELLER"),
            }),
        ),
        sample("consent-duplicate", &problem(ConsentProblem::Duplicate { seller: seller(), other })),
        sample("consent-duplicate-unseen", &problem(ConsentProblem::Duplicate { seller: seller(), other: None })),
        sample("amazon-login", &hop),
        sample("amazon-login-several", &AmazonLogin { consents: vec![pending("1"), pending("2")], ..hop.clone() }),
        sample("amazon-login-none", &AmazonLogin { consents: vec![], ..hop }),
    ]
}

fn of_tokens(texts: Texts) -> Vec<Sample> {
    let wrong = TokenNew {
        name: Field::wrong(texts("Ada Laptop"), "Use lower case letters, digits and hyphens."),
        connection_error: Some("Choose a connection.".into()),
        marketplaces_error: Some("Tick at least one marketplace.".into()),
        operations_error: Some("Tick at least one.".into()),
        lifetime_error: Some("Choose at most 24 hours.".into()),
        ..token_new(texts)
    };
    let empty = Tokens { tokens: vec![], may_revoke_all: None, ..tokens(texts) };
    vec![
        sample("tokens", &tokens(texts)),
        sample(
            "tokens-not-confirmed",
            &Tokens { confirm: Field::wrong(texts("ac"), "Type acme to revoke all of them."), ..tokens(texts) },
        ),
        sample("tokens-empty", &empty),
        sample("tokens-empty-viewer", &Tokens { may_issue: false, ..empty.clone() }),
        sample("token-new", &token_new(texts)),
        sample("token-new-wrong", &wrong),
        sample("token-new-no-connection", &TokenNew { connections: vec![], may_connect: true, ..token_new(texts) }),
        sample("token-new-ask", &TokenNew { connections: vec![], ..token_new(texts) }),
        sample("token-issued", &token_issued(texts)),
    ]
}

fn others(texts: Texts) -> Vec<Sample> {
    let session = |id: &str, device: &str, here: bool| SessionRow {
        id: id.into(),
        device: texts(device),
        network: texts("203.0.113.0/24"),
        began: at("2026-11-27T14:00:00Z"),
        last_use: at("2026-11-27T21:10:00Z"),
        ends: at("2026-11-28T02:00:00Z"),
        here,
    };
    let sessions = Sessions {
        shell: outside(texts),
        sessions: vec![session("s1", "Firefox on Linux", true), session("s2", "Safari on iPhone", false)],
    };
    let alone = Sessions { sessions: vec![session("s1", "Firefox on Linux", true)], ..sessions.clone() };
    let contact = Some(texts("security@openteam.example"));
    let public = Security { contact, staleness_seconds: 10, ..Security::default() };
    let fact = |name: &str, status: Status, text: &str| Fact { name: name.into(), status, text: texts(text) };
    let live = Security {
        shell: outside(texts),
        facts: vec![
            fact("Containment", good("Nothing is contained"), "In the Teams that you belong to."),
            fact("Your sessions", Status::new(Tone::Warn, "2 open"), "One of them is this."),
        ],
        ..public.clone()
    };
    let error = |name: &str, problem: Problem| {
        let (mut shell, reference) = (shell(texts), Some(texts("0198f7a2-7c1e-7d2a-9d0e-3c1d2e4f5a6b")));
        shell.team = Some(Place { role: "Viewer".into(), may_contain: false, ..place(texts) });
        sample(name, &ErrorPage { shell, problem, back: None, reference })
    };
    let text = || texts("Load the page again and repeat what you did.");
    vec![
        sample("sessions", &sessions),
        sample("sessions-one", &alone),
        sample("security", &public),
        sample("security-signed-in", &live),
        error("error-400", Problem::BadRequest { text: text() }),
        error(
            "error-403",
            Problem::Forbidden {
                wanted: texts("connect a seller"),
                needed: "Owner".into(),
                who: vec![texts("grace@acme.example")],
            },
        ),
        error("error-403-contained", Problem::Contained { text: text() }),
        error("error-404", Problem::NotFound),
        sample(
            "error-404-signed-out",
            &ErrorPage { shell: Shell::default(), problem: Problem::NotFound, back: Some("/".into()), reference: None },
        ),
        error("error-405", Problem::Method),
        error("error-409", Problem::Conflict { text: text() }),
        error("error-413", Problem::TooLarge),
        error("error-429", Problem::TooMany { seconds: Some(30) }),
        error("error-429-unknown", Problem::TooMany { seconds: None }),
        error("error-500", Problem::Bug),
        error("error-503", Problem::Unavailable),
    ]
}

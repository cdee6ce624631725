//! On the way to Amazon.

use std::collections::BTreeSet;

use access::Entry;
use amazon::MARKETPLACES;
use audit::{Change, CredentialField as Given, Kind};
use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use crds::{AmazonConnectionSpec, ConnectionDraft, CredentialField, NamespacedReference, PendingConsent, Region};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::{
    CONSENT_LIFE, NO_TOKEN, State, application, callback_address, comes_back, connection, consent_address, remember,
    seal,
};
use crate::{
    act,
    answer::{Leave, Refusal, origin, page_with, see_other},
    connections,
    page::{ApplicationChoice, ConnectionNew, Field, MarketplaceChoice, Problem, RegionChoice},
    portal::{Ask, Fields, Membership},
    shown,
};

const REGIONS: [Region; 3] = [Region::Na, Region::Eu, Region::Fe];
const NONE: &str = "Choose one of the applications.";

/// `GET …/connections/new`.
pub(crate) fn new_form(ask: &Ask, membership: &Membership) -> Response<Body> {
    let page = form_page(ask, membership, &Fields::default());
    page_with(StatusCode::OK, &page, &leave(ask, membership))
}

/// The applications that a Team may connect sellers to.
fn applications<'a>(
    ask: &'a Ask,
    membership: &'a Membership,
) -> impl Iterator<Item = (&'a NamespacedReference, &'a std::sync::Arc<crds::AmazonApplication>)> {
    let namespace = &membership.team.namespace;
    let found = ask.index.applications.iter().filter_map(|(name, entry)| Some((name, Entry::read(entry)?)));
    found.filter(move |(name, application)| {
        access::allowed(&ask.index, name, application, namespace)
            && comes_back(&ask.portal, application)
            && crds::annotation::incidents(&application.metadata).is_none()
    })
}

/// Every consent page that the form may lead to.
fn leave(ask: &Ask, membership: &Membership) -> Leave {
    let mut pages = BTreeSet::new();
    for (_, application) in applications(ask, membership) {
        for marketplace in MARKETPLACES {
            let region = REGIONS
                .into_iter()
                .find(|region| access::amazon_region(*region) == marketplace.region)
                .unwrap_or_default();
            let ids = vec![marketplace.id.to_owned()];
            let spec = AmazonConnectionSpec { region, marketplace_ids: ids, ..AmazonConnectionSpec::default() };
            pages.extend(origin(&access::consent_page(&spec, application, ask.portal.allow_endpoints)));
        }
    }
    pages.into_iter().collect()
}

fn form_page(ask: &Ask, membership: &Membership, form: &Fields) -> ConnectionNew {
    let chosen = form.text("application");
    let choices: Vec<_> = applications(ask, membership).collect();
    let only = choices.len() == 1;
    let choice = |(name, application): &(&NamespacedReference, &std::sync::Arc<crds::AmazonApplication>)| {
        let value = name.to_string();
        let selected = only || value == chosen;
        let note = application.spec.draft.then(|| "Draft at Amazon".to_owned());
        ApplicationChoice { name: name.name.clone(), note, selected, value }
    };
    let region = |region: Region| {
        let ticked: BTreeSet<&str> = form.all_of("marketplaces", region.as_str()).collect();
        let of_it = MARKETPLACES.iter().filter(|marketplace| access::amazon_region(region) == marketplace.region);
        RegionChoice {
            value: region.as_str().to_owned(),
            name: shown::region(region).to_owned(),
            marketplaces: of_it
                .map(|one| MarketplaceChoice {
                    marketplace: shown::marketplace(one.id),
                    checked: ticked.contains(one.id),
                })
                .collect(),
            selected: form.one("region") == region.as_str(),
        }
    };
    ConnectionNew {
        shell: shown::team_shell(ask, membership),
        place: shown::place(membership),
        applications: choices.iter().map(choice).collect(),
        regions: REGIONS.map(region).to_vec(),
        name: Field::of(form.text("name")),
        contact: ask.portal.contact.as_ref().map(ToString::to_string),
        ..ConnectionNew::default()
    }
}

/// `POST …/connections`: on to Amazon, or with a pasted token at once.
pub(crate) async fn begin_new(ask: &Ask, membership: &Membership, form: &Fields) -> Result<Response<Body>, Refusal> {
    let mut page = form_page(ask, membership, form);
    let Some((application_name, draft)) = wanted(form, &mut page) else {
        return Ok(page_with(StatusCode::UNPROCESSABLE_ENTITY, &page, &leave(ask, membership)));
    };
    if membership.is_contained() {
        let text = "The Team is contained. Nothing is added until whoever handles the incident restores it.".to_owned();
        return Err(Refusal::Problem(Problem::Contained { text }));
    }
    let name = NamespacedReference {
        namespace: membership.team.namespace.clone(),
        name: free_name(ask, &membership.team.namespace, &draft.display_name),
    };
    if form.one("how") == "token" {
        return with_token(ask, membership, form, page, &name, &application_name, draft).await;
    }
    let spec = AmazonConnectionSpec {
        region: draft.region,
        marketplace_ids: draft.marketplace_ids.clone(),
        ..AmazonConnectionSpec::default()
    };
    begin(ask, membership, &name, None, &application_name, &spec, Some(draft)).await
}

/// What a form asks for, or what is wrong with it beside the fields.
fn wanted(form: &Fields, page: &mut ConnectionNew) -> Option<(NamespacedReference, ConnectionDraft)> {
    let application: Option<NamespacedReference> =
        page.applications.iter().find(|one| one.selected).and_then(|one| one.value.parse().ok());
    if application.is_none() {
        page.application_error = Some(NONE.to_owned());
    }
    let region = REGIONS.into_iter().find(|region| region.as_str() == form.one("region"));
    if region.is_none() {
        page.region_error = Some("Choose the region that the seller sells in.".to_owned());
    }
    let chosen = page.regions.iter().find(|one| one.selected);
    let ticked = chosen.into_iter().flat_map(|one| &one.marketplaces).filter(|one| one.checked);
    let marketplace_ids: Vec<String> = ticked.map(|one| one.marketplace.id.clone()).collect();
    if region.is_some() && marketplace_ids.is_empty() {
        page.marketplaces_error = Some("Choose at least one marketplace.".to_owned());
    }
    let display_name = page.name.value.clone();
    if display_name.is_empty() || display_name.chars().count() > 100 || display_name.chars().any(char::is_control) {
        page.name.error = Some("Give it a name that your Team knows it by, of up to 100 letters.".to_owned());
    }
    let wrong = [&page.application_error, &page.region_error, &page.marketplaces_error, &page.name.error];
    if wrong.into_iter().any(Option::is_some) {
        return None;
    }
    Some((application?, ConnectionDraft { display_name, region: region?, marketplace_ids }))
}

/// A name for the object, from what people call it. Another person may take it meanwhile: then making it fails.
fn free_name(ask: &Ask, namespace: &str, display_name: &str) -> String {
    let letters: String = display_name
        .to_lowercase()
        .chars()
        .map(|letter| if letter.is_ascii_lowercase() || letter.is_ascii_digit() { letter } else { '-' })
        .collect();
    let words: Vec<&str> = letters.split('-').filter(|word| !word.is_empty()).collect();
    let stem: String = words.join("-").chars().take(40).collect();
    let stem = stem.trim_matches('-');
    let stem = if stem.is_empty() { "seller" } else { stem };
    let taken = |name: &str| {
        let name = NamespacedReference { namespace: namespace.to_owned(), name: name.to_owned() };
        ask.index.connections.get(&name).is_some()
    };
    let numbered = (2..).map(|number: u32| format!("{stem}-{number}"));
    std::iter::once(stem.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

/// A connection of a self-authorized application: its token is pasted.
async fn with_token(
    ask: &Ask,
    membership: &Membership,
    form: &Fields,
    mut page: ConnectionNew,
    name: &NamespacedReference,
    application_name: &NamespacedReference,
    draft: ConnectionDraft,
) -> Result<Response<Body>, Refusal> {
    application(ask, application_name, &name.namespace)?;
    let Some(mut sealed) = seal(ask, name, CredentialField::RefreshToken, form.one("token")).await? else {
        page.token_error = Some(NO_TOKEN.to_owned());
        return Ok(page_with(StatusCode::UNPROCESSABLE_ENTITY, &page, &leave(ask, membership)));
    };
    let team = &membership.team.name;
    let by = || membership.visitor.requester(ask);
    for change in [Change::CreatedBy(by()), Change::InputGivenBy(by(), Given::RefreshToken)] {
        ask.portal.recorded(act::event(Kind::AmazonConnection, name, None, team, change)?).await?;
    }
    let made = ask.portal.create("connect a seller", &connection(name, team, application_name, draft, None)).await?;
    sealed.metadata.owner_references = act::owned_by(&made);
    ask.portal.create("give a token", &sealed).await?;
    Ok(see_other(&format!("{}/connections/{}?done=pasted", membership.path(), name.name)))
}

/// `POST …/connections/{name}/consent`.
pub(crate) async fn begin_again(ask: &Ask, membership: &Membership, name: &str) -> Result<Response<Body>, Refusal> {
    let (name, connection) = connections::own(ask, membership, name)?;
    connections::free(ask, &name, &connection)?;
    let uid = connection.metadata.uid.clone();
    begin(ask, membership, &name, uid, &connection.spec.application_ref, &connection.spec, None).await
}

/// Remembers the consent and sends the browser to Amazon.
async fn begin(
    ask: &Ask,
    membership: &Membership,
    name: &NamespacedReference,
    connection_uid: Option<String>,
    application_name: &NamespacedReference,
    spec: &AmazonConnectionSpec,
    draft: Option<ConnectionDraft>,
) -> Result<Response<Body>, Refusal> {
    let portal = &ask.portal;
    let application = application(ask, application_name, &name.namespace)?;
    if !comes_back(portal, application) {
        let text = format!(
            "Consents of this application do not come back here: its redirectUri is not {}. Whoever runs it can change that.",
            callback_address(portal)
        );
        return Err(Refusal::Problem(Problem::BadRequest { text }));
    }
    let state = State::new(&portal.keys, &membership.visitor.name)?;
    let pending = PendingConsent {
        state: state.hash(),
        session: membership.visitor.session.id.clone(),
        expires_at: MicroTime(ask.now + CONSENT_LIFE),
        team: membership.team.clone(),
        application: application_name.clone(),
        connection: name.name.clone(),
        connection_uid,
        draft,
        redirect_uri: application.spec.redirect_uri.clone(),
    };
    let change = Change::ConsentBegunBy(membership.visitor.requester(ask));
    portal.recorded(act::event(Kind::AmazonConnection, name, None, &membership.team.name, change)?).await?;
    let redirect_uri = pending.redirect_uri.clone();
    portal.users.change(&membership.visitor.name, |spec| remember(spec, pending.clone(), ask.now)).await?;
    let page = access::consent_page(spec, application, portal.allow_endpoints);
    Ok(see_other(&consent_address(&page, &state, redirect_uri.as_deref())))
}

//! What the portal tells of the record: filtered, page by page, and as files.

use crds::Role;
use openteam_end_to_end::{US, eventually, house};
use reqwest::{StatusCode, header};

/// The rows of a page.
fn rows(html: &str) -> Vec<&str> {
    html.split("<li class=\"row\">").skip(1).map(|row| row.split("</li>").next().unwrap()).collect()
}

/// Where a link of a page leads.
fn link(html: &str, mark: &str) -> Option<String> {
    let tag = html.split('<').find(|tag| tag.starts_with("a ") && tag.contains(mark))?;
    let href = tag.split("href=\"").nth(1)?.split('"').next()?;
    Some(href.replace("&#38;", "&").replace("&amp;", "&"))
}

#[test]
fn the_record_is_filtered_by_the_address_and_downloaded_as_it_shows() {
    let house = house();
    let tenant = house.tenant("portal-record");
    let token = tenant.runtime_token("nightly");
    house.gateway(0).call(&token).orders(US).is_served();
    house.gateway(0).call(&token).orders("A2Q3Y263D00KWC").is_refused(403, "MarketplaceNotInScope");
    let person = house.person("192.0.2.74");
    person.sign_in(&tenant.member(Role::Viewer));
    person.join("portal-record");
    let activity = "/teams/portal-record/portal-record/activity";

    let refused = format!("{activity}?what=calls&outcome=refused&who=nightly");
    let html = eventually("the refusal is told", || {
        let html = person.get(&refused).shown();
        (!rows(&html).is_empty()).then_some(html)
    });
    assert!(rows(&html).iter().all(|row| row.contains("Refused: marketplace not in scope")), "{html}");
    assert!(html.contains(r#"value="nightly""#) && html.contains(r#"<option value="refused" selected>"#), "{html}");
    // By the words that show: the operation, the connection's name, the reason.
    for words in ["not+in+scope", "portal-record", "GETORDERS", "Token+nightly"] {
        let html = person.get(&format!("{activity}?outcome=refused&text={words}")).shown();
        assert!(!rows(&html).is_empty(), "{words}: {html}");
    }
    let nothing = person.get(&format!("{activity}?what=calls&who=nobody&to=2020-01-01")).shown();
    assert!(nothing.contains("Nothing fits all of this") && nothing.contains("What: Calls"), "{nothing}");
    for wrong in ["what=x", "outcome=Refused", "connection=other", "from=soon", "from=2026-02-02&to=2026-02-01"] {
        for path in [format!("{activity}?{wrong}"), format!("{activity}/export?as=csv&{wrong}")] {
            let page = person.get(&path);
            assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
            assert!(page.body.contains("aria-invalid") && rows(&page.body).is_empty(), "{path}");
        }
    }

    // Each look is an event, so there is more than a page of them.
    let reads = format!("{activity}?what=reads");
    for _ in 0..50 {
        assert_eq!(person.get(&reads).status, StatusCode::OK);
    }
    let html = person.get(&reads).shown();
    let older = link(&html, "rel=\"next\"").unwrap();
    assert!(older.contains("what=reads") && older.contains("before="), "{older}");
    let html = person.get(&older).shown();
    assert!(!rows(&html).is_empty());
    assert!(rows(&html).iter().all(|row| row.contains("Looked at this page") || row.contains("opened")), "{html}");

    let csv = person.get(&link(&person.get(&refused).shown(), "as=csv").unwrap());
    let sent = |name| csv.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(sent(header::CONTENT_DISPOSITION), Some("attachment; filename=\"openteam-portal-record-activity.csv\""));
    assert_eq!(sent(header::CACHE_CONTROL), Some("no-store"));
    assert!(sent(header::CONTENT_TYPE).unwrap().starts_with("text/csv"));
    let lines: Vec<&str> = csv.body.split_terminator("\r\n").collect();
    assert_eq!(lines[0], r#""time","who","what","object","outcome""#);
    let [events @ .., end] = &lines[1..] else { panic!("{lines:?}") };
    assert!(
        !events.is_empty() && events.iter().all(|line| line.contains("Refused: marketplace not in scope")),
        "{lines:?}"
    );
    assert_eq!(*end, format!(r#""","","End of the file, {} events","","""#, events.len()));

    let lines = person.get(&format!("{activity}/export?as=jsonl")).shown();
    let mut lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let end = lines.pop().unwrap();
    assert_eq!((&end["end"]["isComplete"], &end["end"]["events"]), (&true.into(), &lines.len().into()));
    assert_eq!(lines[0]["what"], "Looked at this page", "that somebody takes it is recorded before");
    assert!(lines.len() > 50);
    let told = serde_json::to_string(&lines).unwrap();
    assert!(!told.contains("hmac-sha256") && !told.contains("192.0.2."), "no more than the page tells");

    // A file is asked for as what there is, by whoever may see the page.
    assert_eq!(person.get(&format!("{activity}/export")).status, StatusCode::BAD_REQUEST);
    assert_eq!(person.get(&format!("{activity}/export?as=csv&before=nowhere")).status, StatusCode::BAD_REQUEST);
    let stranger = house.person("192.0.2.75");
    stranger.sign_in(&house.tenant("portal-record-others").member(Role::Owner));
    assert_eq!(stranger.get(&format!("{activity}/export?as=csv")).status, StatusCode::NOT_FOUND);
}

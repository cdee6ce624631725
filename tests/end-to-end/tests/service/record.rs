//! What cannot be recorded does not happen; what happened is in the journal.

use std::time::{Duration, Instant};

use audit::{Change, Entity, EntityChange, Kind, Name, Person, Requester, Role, Source, wire::reading::Asked};
use openteam_end_to_end::{House, NAMESPACE, US, alone, eventually, house, within};
use process::{
    arguments::RecorderAddress,
    certificate::RoleCertificate,
    journals::{Events, Journals, NoAnswer},
    metrics::Metrics,
    record,
};
use serde_json::{Value, json};

const RECORDER: &str = "openteam-recorder-0";
/// A gateway waits two seconds for an acknowledgement.
const PROMISED: Duration = Duration::from_secs(3);

fn refuses_without_a_record(name: &str, end: fn(&openteam_end_to_end::House)) {
    let house = alone();
    let tenant = house.tenant(name);
    let token = tenant.runtime_token("nightly");
    end(&house);
    let path = |mark: usize| {
        format!("/orders/v0/orders?MarketplaceIds={US}&CreatedAfter=2020-01-01T00:00:00Z&mark={name}-{mark}-")
    };
    for (number, gateway) in house.gateways().iter().enumerate() {
        let asked = Instant::now();
        let answer = gateway.call(&token).get(&path(number));
        assert!(asked.elapsed() < PROMISED, "{:?}", asked.elapsed());
        answer.is_refused(503, "NotRecorded");
        assert_eq!(answer.message(), "the call could not be recorded; try again");
        assert_eq!(answer.headers["retry-after"], "1");
        let exchanged = gateway.exchange(&format!("{name}/{name}-na~{token}"));
        assert_eq!((exchanged.status, &exchanged.json()["error"]), (503, &json!("temporarily_unavailable")));
        assert_eq!(exchanged.json()["error_description"], "the call could not be recorded; try again");
        // A refusal never waits for the record.
        let asked = Instant::now();
        gateway.call(&token).get("/no/such/operation").is_refused(403, "OperationUnknown");
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    }
    assert_eq!(house.amazon().heard(&format!("mark={name}-")), []);

    house.thaw(RECORDER);
    house.restart(RECORDER);
    for (number, gateway) in house.gateways().iter().enumerate() {
        eventually("it is served again by itself", || {
            (gateway.call(&token).get(&path(number)).status == 200).then_some(())
        });
    }
    // The refusals of that time were kept and are recorded now.
    eventually("the refusal is in the journal", || {
        let told = |record: &Value| {
            record["event"]["unmapped"]["connection"]["name"] == format!("{name}-na")
                && record.to_string().contains("OperationUnknown")
        };
        house.journal().iter().any(told).then_some(())
    });
}

#[test]
fn a_dead_recorder_stops_every_call_before_amazon_and_nothing_else() {
    refuses_without_a_record("unrecorded", |house| house.stop(RECORDER));
}

#[test]
fn a_recorder_that_hangs_stops_every_call_before_amazon_too() {
    refuses_without_a_record("hanging", |house| house.freeze(RECORDER));
}

#[test]
fn the_journal_tells_who_did_what_with_which_connection() {
    let house = house();
    let tenant = house.tenant("journal");
    let token = tenant.agent_token();
    let call = house.gateway(0);
    let call = call.call(&token);
    call.orders(US).is_served();
    call.orders("A2Q3Y263D00KWC").is_refused(403, "MarketplaceNotInScope");
    let ours = |record: &Value| record["event"]["unmapped"]["connection"]["name"] == "journal-na";
    fn of<'a>(events: &'a [Value], operation: &str) -> Vec<&'a Value> {
        events.iter().filter(|event| event["api"]["operation"] == operation).collect()
    }
    // The gateway's own use of the refresh token, and the operator's, each before it happened and with what came of it. Outcomes
    // may come late: a writer whose recorder was away pauses before it tries again.
    let (events, _) = within(Duration::from_secs(20), "calls, outcomes and refusal are recorded", || {
        let events: Vec<Value> =
            house.journal().into_iter().filter(ours).map(|record| record["event"].clone()).collect();
        let all = of(&events, "orders/v0/getOrders").len() >= 3 && of(&events, "lwa/o2/refreshToken").len() >= 4;
        all.then_some(events)
    });
    let of = |operation: &str| of(&events, operation);
    let calls = of("orders/v0/getOrders");
    for event in &calls {
        assert_eq!(event["class_uid"], 6003, "{event}");
        assert_eq!(event["actor"]["user"]["name"], "system:serviceaccount:journal:agent");
        assert_eq!(event["src_endpoint"]["ip"], "127.0.0.1");
    }
    // Intent and outcome belong together, and the marketplace is named; the refusal says why.
    let correlation = |event: &Value| event["metadata"]["correlation_uid"].clone();
    assert_eq!(correlation(calls[0]), correlation(calls[1]));
    assert_eq!(calls[1]["http_response"]["code"], 200);
    assert!(calls[0]["resources"].to_string().contains(US), "{}", calls[0]);
    assert!(calls[2].to_string().contains("MarketplaceNotInScope"), "{}", calls[2]);
    // Time of the query, a value of the caller's, is in no event.
    assert!(!serde_json::to_string(&events).unwrap().contains("2020-01-01"));
}

/// The recorders as a process of this role asks them, and where it records.
fn asking(house: &House, role: Role, pod: &str, client: kube::Client) -> (Journals, audit::Recorder, audit::Delivery) {
    let metrics = Metrics::new(role);
    let certificate = house.block_on(RoleCertificate::obtain(client, role, &metrics));
    let (_, port) = house.recorder();
    let address = RecorderAddress { recorder: None, recorder_connect: Some(([127, 0, 0, 1], port).into()) };
    let transport = record::https(NAMESPACE, &address, certificate.clone());
    let pod = Name::parse(pod).unwrap();
    let (recorder, delivery) = record::connect(role, pod, NAMESPACE, &address, transport, &metrics);
    let clients = record::clients(NAMESPACE, &address, certificate);
    (Journals::new(&address.base(NAMESPACE), NAMESPACE, 1, clients), recorder, delivery)
}

#[test]
fn the_portal_is_told_what_is_recorded_of_a_namespace_and_that_it_asked_is_recorded_first() {
    let house = house();
    let (tenant, other) = (house.tenant("pages"), house.tenant("pages-other"));
    let token = tenant.runtime_token("nightly");
    house.gateway(0).call(&token).orders(US).is_served();
    house.gateway(0).call(&token).orders("A2Q3Y263D00KWC").is_refused(403, "MarketplaceNotInScope");
    house.gateway(0).call(&other.runtime_token("elsewhere")).orders(US).is_served();

    let pod = "openteam-portal-reader";
    let (journals, recorder, delivery) = asking(&house, Role::Portal, pod, house.client_as("portal", pod));
    let by = || {
        let address = audit::DigestKey::new([7; 32]).email("ann@example.com");
        Requester::Person(Person { address, source: Source::Itself })
    };
    let read = |namespace: &str| {
        let team = Name::parse(namespace).unwrap();
        let entity = Entity { kind: Kind::Team, namespace: Some(team.clone()), name: team, uid: None };
        EntityChange { correlation: None, target: None, entity, change: Change::RecordReadBy(by()) }
    };
    let page = |namespace: &str, limit, from: Option<&process::journals::Cursor>| -> Events {
        let asked = Asked { namespace: namespace.to_owned(), limit, ..Asked::default() };
        house.block_on(async {
            let recorded = recorder.record(read(namespace)).await.unwrap();
            journals.activity(&recorded, &asked, from).await.unwrap()
        })
    };
    let _delivers = house.block_on(async { [tokio::spawn(delivery.run())] });
    // A page looks for half a second: after all that others recorded here that may be a part of the record.
    let whole = |namespace: &str| {
        let mut all = page(namespace, None, None);
        while let Some(from) = all.older.take_if(|_| all.is_partial) {
            let more = page(namespace, None, Some(&from));
            all.events.extend(more.events);
            (all.older, all.is_partial) = (more.older, more.is_partial);
        }
        all
    };
    let told = |events: &Events, message: &str, actor: &str| {
        let by = |event: &audit::wire::reading::Told| event.actor.as_ref().is_some_and(|by| by.name == actor);
        events.events.iter().filter(|event| event.message == message && by(event)).count()
    };
    let all = eventually("call and refusal are told", || {
        let all = whole("pages");
        let [answered, refused] = ["call answered", "call refused"].map(|what| told(&all, what, "pages/nightly"));
        (answered > 0 && refused > 0).then_some(all)
    });
    assert!(!all.is_partial);
    assert_eq!(
        all.events[0].message, "record read by",
        "that somebody reads is the newest of all: {:?}",
        all.events[0]
    );
    assert!(all.events.is_sorted_by(|newer, older| newer.sequence > older.sequence));
    let refused = all.events.iter().find(|event| event.message == "call refused").unwrap();
    assert_eq!(refused.reason.as_deref(), Some("MarketplaceNotInScope"));
    assert_eq!(refused.connection.as_deref(), Some("pages-na"));
    // Of the other tenant, whose namespace begins alike, there is nothing.
    let text = serde_json::to_string(&all.events).unwrap();
    assert!(!text.contains("pages-other") && !text.contains("elsewhere") && !text.contains("2020-01-01"), "{text}");
    assert_eq!(page("pages-nobody", None, None).events.len(), 1, "only that it was read");

    // Page by page it is the same, in small ones, of which some begin between an intent and its answer.
    let (mut from, mut sequences) = (None, Vec::new());
    loop {
        let part = page("pages", Some(3), from.as_ref());
        sequences.extend(part.events.iter().map(|event| event.sequence));
        from = part.older;
        if from.is_none() {
            break;
        }
    }
    assert!(sequences.is_sorted_by(|newer, older| newer > older), "{sequences:?}");
    assert!(all.events.iter().all(|event| sequences.contains(&event.sequence)), "{sequences:?}");

    let uses = house.block_on(journals.last_use("pages")).unwrap();
    let since = jiff::Timestamp::now().as_millisecond() - uses.runtime_tokens["nightly"];
    assert!((0..600_000).contains(&since), "{uses:?}");
    assert_eq!(uses.runtime_tokens.len(), 1);

    // A gateway that was taken over is told nothing.
    let gateway = "openteam-gateway-0";
    let (journals, _, _) = asking(&house, Role::Gateway, gateway, house.client_of(gateway));
    assert_eq!(house.block_on(journals.last_use("pages")), Err(NoAnswer));
}

#[test]
fn logs_are_copied_to_the_place_that_the_setting_names_up_to_what_was_witnessed() {
    let house = alone();
    let place = house.state_dir().join("copied-logs");
    // The witness writes once a minute at most.
    let (shard, _) = within(Duration::from_secs(150), "the witness has seen a log, and the recorder knows", || {
        let logs = std::fs::read_dir(house.disk().join("journal/log")).ok()?;
        let mut shards: Vec<_> = logs.flatten().map(|entry| entry.path()).collect();
        shards.sort();
        let newest = shards.pop()?;
        newest.join("witnessed").exists().then(|| newest.file_name().unwrap().to_str().unwrap().to_owned())
    });
    house.set("auditUrl", Some(&format!("file://{}", place.display())));
    house.stop(RECORDER);
    house.restart(RECORDER);
    let copy = audit::log::Directory(place.join(RECORDER).join(&shard));
    let (note, _) = within(Duration::from_secs(30), "it is copied", || {
        std::fs::read_to_string(place.join(RECORDER).join(&shard).join("checkpoint")).ok()
    });
    let key = std::fs::read_to_string(place.join(RECORDER).join(&shard).join("vkey")).unwrap().parse().unwrap();
    let verified =
        audit::log::verify(&copy, &key, &audit::log::Options::default(), &mut |_, _| {}, &mut |_, _| {}).unwrap();
    assert_eq!(verified.checkpoint.text(), note);
    // As many signatures as there are: the log's and the witness's.
    assert_eq!(note.lines().filter(|line| line.starts_with('\u{2014}')).count(), 2, "{note}");
    assert!(!house.metrics(RECORDER).contains("openteam_recorder_log_copied_timestamp_seconds 0"));

    // A place that cannot be used keeps nothing from being recorded.
    house.set("auditUrl", Some("file:///dev/null/logs"));
    house.stop(RECORDER);
    house.restart(RECORDER);
    let tenant = house.tenant("copied-logs");
    tenant.wait_until_ready(&tenant.connection);
    house.set("auditUrl", None);
    house.stop(RECORDER);
    house.restart(RECORDER);
}

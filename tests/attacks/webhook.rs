//! At the webhook's door: whoever can reach it may send what the apiserver would, claims and all.

use crds::annotation::DISABLE;
use openteam_end_to_end::{House, WEBHOOK, admission_review, good, house};
use serde_json::{Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");

/// How many requests the webhook took for strangers'.
fn strangers(house: &House) -> f64 {
    let text = house.metrics(WEBHOOK);
    let line = text.lines().find_map(|line| line.strip_prefix("openteam_webhook_strangers_total "));
    line.and_then(|count| count.parse().ok()).unwrap_or_default()
}

/// A contained Team of a tenant, as somebody would have the record believe.
fn claim(namespace: &str, uid: &str) -> Value {
    let mut object = good("Team");
    object["metadata"] = json!({
        "namespace": namespace, "name": namespace, "uid": uid, "annotations": { DISABLE: "inc-forged" },
    });
    object
}

#[test]
fn without_the_apiservers_key_nothing_is_told_and_nothing_recorded() {
    let house = house();
    let tenant = house.tenant("asked-about");
    let reviewer = house.reviewer();
    // What would tell whether a connection is there, and who is a member.
    let mut grant = good("AgentGrant");
    grant["metadata"]["namespace"] = json!(tenant.name);
    grant["spec"]["scope"]["connections"] = json!([tenant.connection]);
    let review = admission_review("CREATE", "system:admin", &grant, &Value::Null);
    let key = house.webhook_key().unwrap();
    let other = format!("{}{}", &key[1..], if key.starts_with('0') { '1' } else { '0' });
    let before = strangers(&house);
    let paths = [
        "/".to_owned(),
        "/validate".to_owned(),
        "/validate/".to_owned(),
        format!("/validate/{other}"),
        format!("/validate/{}", &key[..31]),
        format!("/validate/{key}0"),
        format!("/validate/{}", key.replace(|c: char| c.is_ascii_digit(), "*")),
        format!("/{key}"),
        format!("/{key}/validate"),
        format!("/validate/{key}/more"),
        format!("/review/{key}"),
        format!("/validate//{key}"),
    ];
    for path in &paths {
        assert_eq!(reviewer.ask(path, &review), (404, String::new()), "{path}");
    }
    let body = || review.to_string().into_bytes();
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"] {
        let answer = reviewer.send(method, &format!("/validate/{key}"), &[JSON], body());
        assert_eq!(answer, Some((404, String::new())), "{method}");
    }
    assert!(strangers(&house) >= before + paths.len() as f64);
    // Not read to its end: what is sent to a closed door takes no memory.
    let huge = reviewer.send("POST", &format!("/validate/{other}"), &[JSON], vec![b' '; 64 << 20]);
    assert!(huge.is_none_or(|answer| answer == (404, String::new())));
}

#[test]
fn what_is_no_review_is_refused_whoever_sends_it() {
    let house = house();
    let reviewer = house.reviewer();
    let path = format!("/validate/{}", house.webhook_key().unwrap());
    let review = admission_review("CREATE", "ann", &good("Team"), &Value::Null);
    let good_body = review.to_string().into_bytes();
    let (status, answer) = reviewer.ask(&path, &review);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["response"]["allowed"]), (200, &json!(true)), "{answer}");
    assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
    for (headers, status) in [
        (&[][..], 415),
        (&[("content-type", "text/plain")], 415),
        (&[("content-type", "application/jsonp")], 415),
        (&[JSON, ("content-encoding", "gzip")], 415),
        (&[("content-type", "Application/JSON; charset=utf-8")], 200),
    ] {
        assert_eq!(reviewer.send("POST", &path, headers, good_body.clone()).unwrap().0, status, "{headers:?}");
    }
    for body in [&b""[..], b"null", b"{}", b"[", b"\xff", &[b'['; 100_000]] {
        let (status, said) = reviewer.send("POST", &path, &[JSON], body.to_vec()).unwrap();
        assert_eq!((status, said.as_str()), (400, "body is no AdmissionReview"));
    }
    let mut foreign = review.clone();
    foreign["request"]["kind"]["group"] = json!("apps");
    assert_eq!(reviewer.ask(&path, &foreign).0, 400);
    let long = reviewer.send("POST", &path, &[JSON], [good_body.clone(), vec![b' '; 7 << 20]].concat());
    assert!(long.as_ref().is_none_or(|(status, _)| *status == 413), "{long:?}");
    // An object that is none of its kind is not let in, and not repeated.
    let mut odd = review.clone();
    odd["request"]["object"]["spec"] = json!({ "members": "Atzr|not-for-anybodys-eyes" });
    let (_, said) = reviewer.ask(&path, &odd);
    assert!(said.contains("\"allowed\":false") && !said.contains("Atzr"), "{said}");
    assert_eq!(reviewer.ask(&path, &review).0, 200, "it serves on");
}

#[test]
fn with_the_key_too_nothing_is_recorded_that_did_not_happen() {
    let house = house();
    let tenant = house.tenant("slandered");
    let reviewer = house.reviewer();
    let path = format!("/record/{}", house.webhook_key().unwrap());
    let team: crds::Team = house.read(&tenant.name, &tenant.name);
    let uid = team.metadata.uid.unwrap();
    let contained = claim(&tenant.name, &uid);
    for review in [
        admission_review("UPDATE", "innocent", &contained, &Value::Null),
        admission_review("CREATE", "innocent", &contained, &Value::Null),
        admission_review("DELETE", "innocent", &Value::Null, &contained),
    ] {
        let (status, answer) = reviewer.ask(&path, &review);
        assert!(status == 200 && answer.contains("\"allowed\":true"), "{answer}");
    }
    // Events are in order: what happens after is there before them, or they are not.
    house.disable::<crds::Team>(&tenant.name, &tenant.name, "inc-true");
    let mut real = claim(&tenant.name, &uid);
    real["metadata"]["annotations"][DISABLE] = json!("inc-true");
    let (status, _) = reviewer.ask(&path, &admission_review("UPDATE", "responder", &real, &Value::Null));
    assert_eq!(status, 200);
    let told = || {
        let text: Vec<String> = house.journal().iter().map(Value::to_string).collect();
        text.into_iter()
            .filter(|line| line.contains("slandered/slandered") && line.contains("webhook-0"))
            .collect::<Vec<_>>()
    };
    let told =
        openteam_end_to_end::eventually("what happened is recorded", || Some(told()).filter(|it| !it.is_empty()));
    assert!(told.iter().all(|line| line.contains("responder") && !line.contains("innocent")), "{told:?}");
    house.restore::<crds::Team>(&tenant.name, &tenant.name);
}

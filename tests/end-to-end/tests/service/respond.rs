//! `openteam disable | restore | status`, by somebody who may contain and no more.

use std::process::Output;

use openteam_end_to_end::{House, Tenant, US, eventually, house};
use serde_json::Value;

/// A kubeconfig for somebody with these ClusterRoles.
fn with_roles(house: &House, name: &str, roles: &[&str]) -> String {
    for role in roles {
        let binding = format!("{name}-{role}");
        let user = format!("--user={name}");
        house
            .kubectl()
            .run(&["create", "clusterrolebinding", &binding, &format!("--clusterrole={role}"), &user])
            .unwrap();
    }
    let text = std::fs::read_to_string(house.kubeconfig()).unwrap();
    let mut config: Value = serde_yaml::from_str(&text).unwrap();
    config["users"][0]["user"]["as"] = name.into();
    let path = house.state_dir().join(format!("{name}.kubeconfig"));
    std::fs::write(&path, config.to_string()).unwrap();
    path.display().to_string()
}

fn run(house: &House, kubeconfig: &str, arguments: &[&str]) -> Output {
    house.openteam_with(kubeconfig.as_ref(), arguments, "")
}

fn rows(output: &Output) -> Vec<Value> {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn target(tenant: &Tenant<'_>) -> String {
    format!("amzc/{}/{}", tenant.name, tenant.connection)
}

#[test]
fn who_may_contain_and_no_more_contains_and_does_not_restore() {
    let house = house();
    let tenant = house.tenant("respond");
    let token = tenant.runtime_token("nightly");
    let gateway = house.gateway(0);
    let (target, responder) = (target(&tenant), with_roles(&house, "robin", &["openteam-responder"]));

    let asked = run(&house, &responder, &["disable", "inc-1", &target]);
    let told = String::from_utf8_lossy(&asked.stderr);
    assert!(!asked.status.success() && told.contains("--yes"), "{told}");
    assert!(told.contains("1 connection, 1 agent grant and 1 runtime token stop working"), "{told}");
    assert_eq!(gateway.call(&token).orders(US).status, 200, "nothing was done");

    let done = run(&house, &responder, &["disable", "inc-1", &target, "--yes", "-o", "json"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(rows(&done)[0]["changed"], true);
    eventually("it is contained", || (gateway.call(&token).orders(US).code() == "Contained").then_some(()));
    let second = rows(&run(&house, &responder, &["disable", "inc-2", &target, "--yes", "-o", "json"]));
    assert_eq!(second[0]["incidents"], serde_json::json!(["inc-1", "inc-2"]), "the first one stays");
    assert_eq!(
        rows(&run(&house, &responder, &["disable", "inc-2", &target, "--yes", "-o", "json"]))[0]["changed"],
        false
    );

    let status = run(&house, &responder, &["status", "-o", "json"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let object = format!("{}/{}", tenant.name, tenant.connection);
    let contained =
        status["contained"].as_array().unwrap().iter().find(|one| one["object"] == object.as_str()).unwrap();
    assert_eq!(contained["incidents"], serde_json::json!(["inc-1", "inc-2"]));
    assert!(contained["since"].is_string(), "{contained}");
    assert!(status["stopped"].as_array().unwrap().iter().any(|one| one["connection"] == object.as_str()));

    let refused = run(&house, &responder, &["restore", "inc-1", &target, "--yes", "-o", "json"]);
    assert_eq!(refused.status.code(), Some(1));
    let error = rows(&refused)[0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("robin may not restore") && error.contains("openteam-restorer"), "{error}");

    let restorer = with_roles(&house, "rosa", &["openteam-restorer"]);
    for incident in ["inc-1", "inc-2"] {
        let restored = run(&house, &restorer, &["restore", incident, &target, "--yes"]);
        assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stdout));
    }
    eventually("it serves again", || (gateway.call(&token).orders(US).status == 200).then_some(()));
    let nothing = run(&house, &restorer, &["restore", "inc-1", &target, "--yes", "-o", "json"]);
    assert_eq!(rows(&nothing)[0]["error"], "it is not contained");
    let absent = run(&house, &responder, &["disable", "inc-1", "amzc/respond/nobody", "--yes", "-o", "json"]);
    assert!(rows(&absent)[0]["error"].as_str().unwrap().contains("not found"));
}

#[test]
fn who_may_not_list_still_contains_what_they_name() {
    let house = house();
    let tenant = house.tenant("respond-narrow");
    let narrow = with_roles(&house, "nora", &[]);
    let (role, binding) = ("contain-one", "contain-one");
    let namespace = tenant.name.as_str();
    let kubectl = house.kubectl();
    let verbs = "--verb=get,patch,contain";
    let resource = "--resource=amazonconnections.openteam.dev";
    kubectl.run(&["create", "role", role, "-n", namespace, verbs, resource]).unwrap();
    kubectl.run(&["create", "rolebinding", binding, "-n", namespace, "--role=contain-one", "--user=nora"]).unwrap();
    let done = run(&house, &narrow, &["disable", "inc-3", &target(&tenant), "--yes"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let all = run(&house, &narrow, &["disable", "inc-3", "--all", "--yes"]);
    assert!(String::from_utf8_lossy(&all.stderr).contains("name the objects"));
    house.restore::<crds::AmazonConnection>(namespace, &tenant.connection);
}

#[test]
fn an_incident_is_noted_and_closed_by_who_responds_in_their_own_name() {
    let house = house();
    let tenant = house.tenant("respond-notes");
    let responder = with_roles(&house, "nina", &["openteam-responder"]);
    let target = target(&tenant);
    let done = run(&house, &responder, &["disable", "inc-notes", &target, "--yes"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let show = || -> Option<Value> {
        let output = run(&house, &responder, &["incident", "show", "inc-notes", "-o", "json"]);
        serde_json::from_slice(&output.stdout).ok()
    };
    eventually("the operator has opened it", || show().filter(|it| it["status"]["phase"] == "Contained"));
    for text in ["a token was in a log", "the log is gone"] {
        let noted = run(&house, &responder, &["incident", "note", "inc-notes", text]);
        assert!(noted.status.success(), "{}", String::from_utf8_lossy(&noted.stderr));
    }
    let notes = show().unwrap()["spec"]["notes"].clone();
    assert_eq!((&notes[0]["author"], &notes[1]["text"]), (&"nina".into(), &"the log is gone".into()), "{notes}");
    let why = ["--root-cause", "a debug log", "--remedy", "no debug logs", "--waiver", "nina: it was a test's token"];
    let words = [&["incident", "close", "inc-notes"], &why[..]].concat();
    let closed = run(&house, &responder, &words);
    let told = String::from_utf8_lossy(&closed.stderr);
    assert!(closed.status.success() && told.contains("openteam restore inc-notes --all"), "{told}");
    assert_eq!(show().unwrap()["status"]["phase"], "Contained", "it still contains");
    house.restore::<crds::AmazonConnection>(&tenant.name, &tenant.connection);
    eventually("it is closed", || show().filter(|it| it["status"]["phase"] == "Closed"));
    let table = run(&house, &responder, &["incident", "show", "inc-notes"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    for told in [
        "inc-notes\nClosed",
        &tenant.connection,
        "Restored",
        "Root cause: a debug log",
        "Waiver: nina",
        "  a token was in a log",
    ] {
        assert!(table.contains(told), "{told:?} in {table}");
    }
    let list = run(&house, &responder, &["incident", "list"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("inc-notes"));
    let unknown = run(&house, &responder, &["incident", "note", "inc-none", "x"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("not found"));
    let bad = run(&house, &responder, &["disable", "INC_7", &target, "--yes"]);
    assert!(!bad.status.success() && String::from_utf8_lossy(&bad.stderr).contains("small letters"));
}

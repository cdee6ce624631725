//! Ending one's own containment.

use crds::{AmazonConnection, Team};
use openteam_end_to_end::{NAMESPACE, US, eventually, house};

/// An agent whose pod was taken over, in a namespace that it administers by Kubernetes' own role; and our own roles.
#[test]
fn neither_an_agent_that_administers_its_namespace_nor_a_role_of_ours_ends_a_containment() {
    let house = house();
    let tenant = house.tenant("captive");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    gateway.call(&token).orders(US).is_served();
    let kubectl = house.kubectl();
    let agent = "system:serviceaccount:captive:agent".to_owned();
    let bind =
        ["create", "rolebinding", "agent", "-n", "captive", "--clusterrole=admin", "--serviceaccount=captive:agent"];
    kubectl.run(&bind).unwrap();
    let ask = |user: &str, words: &[&str]| kubectl.run(&[words, &["-n", "captive", "--as", user]].concat());
    eventually("the agent has the role", || ask(&agent, &["annotate", "team/captive", "note=x"]).ok());

    house.disable::<AmazonConnection>("captive", &tenant.connection, "inc-7");
    house.disable::<Team>("captive", "captive", "inc-7");
    let users =
        ["gateway", "operator", "recorder"].map(|role| format!("system:serviceaccount:{NAMESPACE}:openteam-{role}"));
    let file = house.state_dir().join("captive.json");
    for object in [&format!("amzc/{}", tenant.connection), "team/captive"] {
        let mut manifest: serde_json::Value =
            serde_json::from_str(&kubectl.run(&["get", object, "-n", "captive", "-o", "json"]).unwrap()).unwrap();
        manifest["metadata"]["annotations"].as_object_mut().unwrap().remove(crds::annotation::DISABLE);
        std::fs::write(&file, manifest.to_string()).unwrap();
        let file = file.to_str().unwrap();
        let (off, said) = ("openteam.dev/disable-", "openteam.dev/restored=inc-7/2026-01-01T00:00:00Z");
        let attempts: [&[&str]; 8] = [
            &["annotate", object, off, said],
            &["annotate", object, "--overwrite", "openteam.dev/disable=none"],
            &["patch", object, "--type=merge", "-p", r#"{"metadata":{"annotations":null}}"#],
            &["patch", object, "--type=json", "-p", r#"[{"op":"remove","path":"/metadata/annotations"}]"#],
            &["replace", "-f", file],
            &["replace", "--force", "-f", file],
            &["delete", object],
            &["delete", "namespace", "captive"],
        ];
        for user in users.iter().chain([&agent]) {
            for attempt in attempts {
                let said = ask(user, attempt);
                assert!(said.is_err(), "{user}: kubectl {attempt:?}: {said:?}");
            }
        }
    }
    for kept in ["agentgrant/agent", &format!("sealedcredential/{}-refresh-token", tenant.connection)] {
        let said = ask(&agent, &["delete", kept]);
        assert!(said.is_err(), "{kept}: {said:?}");
    }
    for gateway in house.gateways() {
        gateway.call(&token).orders(US).is_refused(403, "Contained");
    }
}

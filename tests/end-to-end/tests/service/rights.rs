//! What the roles may not do, as the apiserver sees their ServiceAccounts. That they may do enough, every other test shows.

use openteam_end_to_end::{House, NAMESPACE, house};

/// Whether the ServiceAccount of a role may do something, where `in_namespace` says or everywhere.
fn may(house: &House, role: &str, verb: &str, resource: &str, in_namespace: Option<&str>) -> bool {
    let user = format!("--as=system:serviceaccount:{NAMESPACE}:openteam-{role}");
    let place = in_namespace.map_or("--all-namespaces".to_owned(), |namespace| format!("--namespace={namespace}"));
    // `TYPE/NAME` is an object of that name to kubectl; a subresource is asked for otherwise.
    let (resource, sub) = match resource.rsplit_once('/') {
        Some((resource, sub @ ("status" | "approval"))) => (resource, sub),
        _ => (resource, ""),
    };
    let sub = format!("--subresource={sub}");
    let output = house.kubectl().output(&["auth", "can-i", verb, resource, &user, &place, &sub]).unwrap();
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => true,
        "no" => false,
        other => unreachable!("kubectl auth can-i said {other:?}"),
    }
}

#[test]
fn a_role_may_nothing_that_is_not_its_own() {
    let house = house();
    let elsewhere = Some("default");
    let within = Some(NAMESPACE);
    assert!(may(&house, "gateway", "watch", "amazonconnections.openteam.dev", None), "the question is asked rightly");
    assert!(may(&house, "operator", "get", "secrets/openteam-keyset", within), "the question is asked rightly");

    for (verb, resource, place) in [
        // Credentials are for operator and gateway, their keys for nobody but by a mount.
        ("get", "secrets", None),
        ("list", "secrets", within),
        ("get", "secrets", within),
        ("create", "storedcredentials.internal.openteam.dev", None),
        ("patch", "amazonconnections.openteam.dev", None),
        ("update", "amazonconnections.openteam.dev/status", None),
        ("patch", "amazonapplications.openteam.dev/status", None),
        ("create", "runtimetokens.openteam.dev", None),
        ("approve", "signers.certificates.k8s.io/openteam.dev/role", None),
        ("patch", "certificatesigningrequests.certificates.k8s.io/approval", None),
        ("update", "certificatesigningrequests.certificates.k8s.io/approval", None),
        ("create", "pods", None),
        ("impersonate", "serviceaccounts", None),
    ] {
        for role in ["gateway", "portal", "recorder", "webhook"] {
            // People issue tokens in the portal, and rename what they connected.
            let its_own = role == "portal"
                && matches!(
                    (verb, resource),
                    ("patch", "amazonconnections.openteam.dev") | ("create", "runtimetokens.openteam.dev")
                );
            assert_eq!(may(&house, role, verb, resource, place), its_own, "{role} may {verb} {resource} in {place:?}");
        }
    }
    the_portal_may_what_people_do_there_and_no_more(&house);
    assert!(may(&house, "gateway", "patch", "amazonconnections.openteam.dev/status", None), "condition Refreshed");
    let approval = "certificatesigningrequests.certificates.k8s.io/approval";
    assert!(may(&house, "operator", "patch", approval, None), "the question is asked rightly");
    assert!(!may(&house, "recorder", "patch", "amazonconnections.openteam.dev/status", None));
    assert!(may(&house, "webhook", "watch", "amazonconnections.openteam.dev", None), "the question is asked rightly");
    for (verb, resource, place) in [
        ("patch", "amazonconnections.openteam.dev/status", None),
        ("get", "sealedcredentials.openteam.dev", None),
        ("list", "storedcredentials.internal.openteam.dev", None),
        ("list", "serviceaccounts", None),
        ("patch", "validatingwebhookconfigurations.admissionregistration.k8s.io/openteam-webhook", None),
        ("get", "validatingwebhookconfigurations.admissionregistration.k8s.io/other", None),
        ("patch", "validatingadmissionpolicies.admissionregistration.k8s.io", None),
        ("get", "configmaps", within),
        ("create", "tokenreviews.authentication.k8s.io", None),
        ("create", "events.events.k8s.io", None),
    ] {
        assert!(!may(&house, "webhook", verb, resource, place), "the webhook may {verb} {resource} in {place:?}");
    }
    let configuration = "validatingwebhookconfigurations.admissionregistration.k8s.io/openteam-webhook";
    assert!(may(&house, "operator", "patch", configuration, None), "the question is asked rightly");
    for kind in
        ["teams", "amazonapplications", "amazonconnections", "agentgrants", "runtimetokens", "sealedcredentials"]
    {
        let kind = format!("{kind}.openteam.dev");
        assert!(!may(&house, "recorder", "get", &kind, None), "the recorder may read {kind}");
        for verb in ["create", "delete", "update", "patch"] {
            // Codes that the portal made, and a policy says that it is these alone.
            let its_own = verb == "delete" && kind == "sealedcredentials.openteam.dev";
            assert_eq!(may(&house, "operator", verb, &kind, None), its_own, "the operator may {verb} {kind}");
        }
        for role in ["operator", "gateway", "recorder", "webhook"] {
            for verb in ["contain", "restore"] {
                assert!(!may(&house, role, verb, &kind, None), "{role} may {verb} {kind}");
            }
            assert!(!may(&house, role, "get", "portalusers.internal.openteam.dev", within), "{role} reads sessions");
        }
    }
    let incidents = "incidents.openteam.dev";
    assert!(may(&house, "operator", "create", incidents, within), "the question is asked rightly");
    assert!(may(&house, "operator", "patch", "incidents.openteam.dev/status", within));
    for verb in ["update", "patch", "delete"] {
        assert!(!may(&house, "operator", verb, incidents, within), "what people know of an incident is theirs: {verb}");
    }
    for verb in ["list", "create"] {
        assert!(!may(&house, "operator", verb, incidents, elsewhere), "{verb}");
    }
    for role in ["gateway", "recorder", "webhook"] {
        for verb in ["get", "list", "create", "update", "patch", "delete"] {
            assert!(!may(&house, role, verb, incidents, within), "{role} may {verb}");
        }
    }
    assert!(!may(&house, "recorder", "get", "storedcredentials.internal.openteam.dev", None));
    assert!(!may(&house, "operator", "restore-backup", "storedcredentials.internal.openteam.dev", None));
    assert!(!may(&house, "gateway", "get", "sealedcredentials.openteam.dev", None));
    for (verb, resource, place) in [
        ("get", "secrets", elsewhere),
        ("list", "secrets", elsewhere),
        ("create", "tokenreviews.authentication.k8s.io", None),
        ("create", "rolebindings.rbac.authorization.k8s.io", None),
        ("patch", "validatingwebhookconfigurations.admissionregistration.k8s.io/other", None),
        ("create", "validatingwebhookconfigurations.admissionregistration.k8s.io", None),
        ("patch", "validatingadmissionpolicies.admissionregistration.k8s.io/openteam-contain", None),
        ("create", "pods", None),
        ("approve", "signers.certificates.k8s.io/kubernetes.io/kube-apiserver-client", None),
    ] {
        assert!(!may(&house, "operator", verb, resource, place), "the operator may {verb} {resource} in {place:?}");
    }
}

fn the_portal_may_what_people_do_there_and_no_more(house: &House) {
    let within = Some(NAMESPACE);
    let everything = [
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "contain",
        "restore",
        "rotate",
    ];
    for (resource, place, its_own) in [
        ("teams.openteam.dev", None, &["list", "watch", "patch", "contain"][..]),
        ("amazonapplications.openteam.dev", None, &["list", "watch"]),
        ("amazonconnections.openteam.dev", None, &["list", "watch", "create", "update", "patch", "delete", "contain"]),
        ("runtimetokens.openteam.dev", None, &["list", "watch", "create", "patch", "delete", "contain"]),
        ("agentgrants.openteam.dev", None, &["list", "watch"]),
        ("sealedcredentials.openteam.dev", None, &["list", "watch", "create", "delete"]),
        ("sealedcredentials.openteam.dev/status", None, &[]),
        ("amazonconnections.openteam.dev/status", None, &[]),
        ("incidents.openteam.dev", None, &[]),
        ("incidents.openteam.dev", within, &["get", "list", "watch", "create", "update"]),
        ("storedcredentials.internal.openteam.dev", None, &[]),
        ("portalusers.internal.openteam.dev", None, &[]),
        ("portalusers.internal.openteam.dev", within, &["get", "list", "watch", "create", "update", "delete"]),
        ("namespaces", None, &["list", "watch"]),
        ("configmaps", within, &[]),
        ("configmaps/openteam-sealing-keys", within, &["get", "watch"]),
        ("secrets/openteam-portal", within, &[]),
        ("secrets/openteam-keyset", within, &[]),
        ("events.events.k8s.io", None, &[]),
        ("serviceaccounts", None, &[]),
        ("certificatesigningrequests.certificates.k8s.io", None, &["get", "create"]),
    ] {
        for verb in everything {
            let may = may(house, "portal", verb, resource, place);
            assert_eq!(may, its_own.contains(&verb), "the portal may {verb} {resource} in {place:?}: {may}");
        }
    }
}

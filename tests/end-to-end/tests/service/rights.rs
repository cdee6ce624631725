//! What the roles may not do, as the apiserver sees their ServiceAccounts. That they may do enough, every other test shows.

use openteam_end_to_end::{House, NAMESPACE, house};

/// Whether the ServiceAccount of a role may do something, where `in_namespace` says or everywhere.
fn may(house: &House, role: &str, verb: &str, resource: &str, in_namespace: Option<&str>) -> bool {
    let user = format!("--as=system:serviceaccount:{NAMESPACE}:openteam-{role}");
    let place = in_namespace.map_or("--all-namespaces".to_owned(), |namespace| format!("--namespace={namespace}"));
    let output = house.kubectl().output(&["auth", "can-i", verb, resource, &user, &place]).unwrap();
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
        ("patch", "amazonconnections.openteam.dev/status", None),
        ("create", "runtimetokens.openteam.dev", None),
        ("approve", "signers.certificates.k8s.io/openteam.dev/role", None),
        ("update", "certificatesigningrequests.certificates.k8s.io/approval", None),
        ("create", "pods", None),
        ("impersonate", "serviceaccounts", None),
    ] {
        for role in ["gateway", "recorder"] {
            assert!(!may(&house, role, verb, resource, place), "{role} may {verb} {resource} in {place:?}");
        }
    }
    for kind in
        ["teams", "amazonapplications", "amazonconnections", "agentgrants", "runtimetokens", "sealedcredentials"]
    {
        let kind = format!("{kind}.openteam.dev");
        assert!(!may(&house, "recorder", "get", &kind, None), "the recorder may read {kind}");
        for verb in ["create", "delete", "update"] {
            assert!(!may(&house, "operator", verb, &kind, None), "the operator may {verb} {kind}");
        }
    }
    assert!(!may(&house, "recorder", "get", "storedcredentials.internal.openteam.dev", None));
    assert!(!may(&house, "gateway", "get", "sealedcredentials.openteam.dev", None));
    for (verb, resource, place) in [
        ("get", "secrets", elsewhere),
        ("list", "secrets", elsewhere),
        ("create", "tokenreviews.authentication.k8s.io", None),
        ("create", "rolebindings.rbac.authorization.k8s.io", None),
        ("create", "pods", None),
        ("approve", "signers.certificates.k8s.io/kubernetes.io/kube-apiserver-client", None),
    ] {
        assert!(!may(&house, "operator", verb, resource, place), "the operator may {verb} {resource} in {place:?}");
    }
}

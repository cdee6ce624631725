//! Whom the roles of the manifests let do what.

use openteam_end_to_end::eventually;

use crate::place::{ADMIN, AUDITOR, RESPONDER, RESTORER, VIEWER, place};

/// Whether a user may do something with a kind of ours, and, with another group, with something else.
fn may(user: &str, verb: &str, resource: &str) -> bool {
    let words = ["auth", "can-i", verb, resource, &format!("--as={user}"), "-n", "default"];
    let output = place().kubectl().output(&words).unwrap();
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => true,
        "no" => false,
        other => unreachable!("kubectl auth can-i {verb} {resource} said {other:?}"),
    }
}

#[test]
fn each_role_may_what_it_is_for() {
    let kind = "amazonconnections.openteam.dev";
    let input = "sealedcredentials.openteam.dev";
    for (user, yes, no) in [
        (VIEWER, &["get", "list", "watch"][..], &["create", "update", "patch", "delete", "contain", "restore"][..]),
        (AUDITOR, &["get", "list", "watch"], &["create", "update", "patch", "delete", "contain", "restore"]),
        (ADMIN, &["get", "create", "update", "patch", "delete", "deletecollection", "contain"], &["restore", "rotate"]),
        (
            RESPONDER,
            &["get", "list", "watch", "patch", "contain"],
            &["create", "update", "delete", "restore", "rotate"],
        ),
        (RESTORER, &["get", "list", "watch", "patch", "restore"], &["create", "update", "delete", "contain"]),
    ] {
        for verb in yes {
            assert!(may(user, verb, kind), "{user} {verb}");
        }
        for verb in no {
            assert!(!may(user, verb, kind), "{user} {verb}");
        }
        for verb in ["get", "create", "update", "patch", "delete", "restore-backup"] {
            assert!(!may(user, verb, "storedcredentials.internal.openteam.dev"), "{user} {verb}");
        }
        assert!(user == RESTORER || may(user, "get", input), "{user}");
        assert!(!may(user, "get", "secrets"), "{user}");
    }
    let incident = "incidents.openteam.dev";
    for (user, yes) in [
        (VIEWER, &["get"][..]),
        (AUDITOR, &["get"]),
        (RESTORER, &["get"]),
        (RESPONDER, &["get", "create", "update", "patch"]),
        (ADMIN, &["get", "create", "update", "patch", "delete"]),
    ] {
        for verb in ["get", "create", "update", "patch", "delete"] {
            assert_eq!(may(user, verb, incident), yes.contains(&verb), "{user} {verb} {incident}");
        }
    }
    assert!(may(AUDITOR, "get", "validatingadmissionpolicies.admissionregistration.k8s.io"));
}

#[test]
fn kubernetes_own_roles_have_what_is_theirs() {
    let bind = |user: &str, role: &str| {
        let words = [
            "create",
            "rolebinding",
            user,
            "-n",
            "default",
            &format!("--clusterrole={role}"),
            &format!("--user={user}"),
        ];
        place().kubectl().run(&words).unwrap();
    };
    for (user, role) in [("tenant-view", "view"), ("tenant-edit", "edit"), ("tenant-admin", "admin")] {
        bind(user, role);
    }
    let kind = "agentgrants.openteam.dev";
    // A controller adds our roles to these.
    eventually("the roles are added", || {
        (may("tenant-view", "get", kind) && may("tenant-admin", "get", kind)).then_some(())
    });
    assert!(!may("tenant-view", "create", kind));
    assert!(may("tenant-edit", "get", kind) && !may("tenant-edit", "create", kind));
    assert!(may("tenant-admin", "create", kind) && may("tenant-admin", "contain", kind));
    assert!(!may("tenant-admin", "restore", kind));
}

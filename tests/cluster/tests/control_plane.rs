//! The control plane without a node: needs no root.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::thread;

use common::{descendants, eventually, first_line, naming};
use openteam_test_cluster::ControlPlane;
use openteam_test_cluster::binaries::Binaries;

#[test]
fn it_serves_tokens_that_it_accepts_and_removes_what_is_owned() {
    let cluster = ControlPlane::start().unwrap();
    let kubectl = cluster.client();
    kubectl.run(&["create", "namespace", "acme"]).unwrap();
    kubectl.run(&["create", "serviceaccount", "agent", "-n", "acme"]).unwrap();

    let token = kubectl.run(&["create", "token", "agent", "-n", "acme", "--audience=openteam-gateway"]).unwrap();
    let review = |audience: &str| {
        let review = serde_json::json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "metadata": {"name": "any"},
            "spec": {"token": token.trim(), "audiences": [audience]},
        });
        kubectl.run_with(&["create", "-f", "-", "-o", "jsonpath={.status.user.username}"], &review.to_string()).unwrap()
    };
    assert_eq!(review("openteam-gateway"), "system:serviceaccount:acme:agent");
    assert_eq!(review("another-audience"), "");

    // The garbage collector and the namespace controller at work.
    kubectl.run(&["create", "configmap", "owner", "-n", "acme"]).unwrap();
    let uid = kubectl.run(&["get", "configmap", "owner", "-n", "acme", "-o", "jsonpath={.metadata.uid}"]).unwrap();
    let owned = serde_json::json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "owned", "namespace": "acme", "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid},
        ]},
    });
    kubectl.run_with(&["apply", "-f", "-"], &owned.to_string()).unwrap();
    kubectl.run(&["delete", "configmap", "owner", "-n", "acme"]).unwrap();
    eventually("the owned object is gone", || kubectl.run(&["get", "configmap", "owned", "-n", "acme"]).is_err());
    kubectl.run(&["delete", "namespace", "acme", "--timeout=60s"]).unwrap();
}

#[test]
fn an_apiserver_can_be_paused_resumed_and_restarted() {
    let cluster = ControlPlane::start().unwrap();
    let answers =
        |cluster: &ControlPlane| cluster.client().run(&["get", "--raw=/livez", "--request-timeout=1s"]).is_ok();
    cluster.pause_apiserver().unwrap();
    assert!(!answers(&cluster));
    cluster.resume_apiserver().unwrap();
    assert!(answers(&cluster));
    cluster.client().run(&["create", "configmap", "kept"]).unwrap();
    cluster.restart_apiserver().unwrap();
    cluster.client().run(&["get", "configmap", "kept"]).unwrap();
}

#[test]
fn two_run_at_once_and_know_nothing_of_each_other() {
    let both = [(); 2].map(|()| thread::spawn(|| ControlPlane::start().unwrap()));
    let [one, two] = both.map(|start| start.join().unwrap());
    one.client().run(&["create", "namespace", "only-here"]).unwrap();
    assert!(two.client().run(&["get", "namespace", "only-here"]).is_err());
}

#[test]
fn nothing_is_left_behind_after_a_drop() {
    let cluster = ControlPlane::start().unwrap();
    let dir = cluster.state_dir().to_owned();
    assert!(naming(&dir).len() >= 4, "etcd, apiserver, controllers and the guardian: {:?}", naming(&dir));
    drop(cluster);
    assert!(naming(&dir).is_empty(), "{:?}", naming(&dir));
    assert!(!dir.exists());
}

#[test]
fn nothing_is_left_behind_when_the_owner_is_killed() {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_test-cluster"))
        .arg("control-plane")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let dir = first_line(&mut owner).parent().unwrap().to_owned();
    assert!(descendants(owner.id()).len() >= 3);
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("no process names the directory", || naming(&dir).is_empty());
    eventually("the directory is gone", || !dir.exists());
}

#[test]
fn programs_in_kubebuilder_assets_are_used_and_nothing_is_built() {
    let dir = tempfile::tempdir().unwrap();
    let (assets, cache) = (dir.path().join("assets"), dir.path().join("cache"));
    fs::create_dir(&assets).unwrap();
    let binaries = Binaries::for_control_plane().unwrap();
    for name in ["etcd", "kube-apiserver", "kubectl"] {
        symlink(binaries.path(name).canonicalize().unwrap(), assets.join(name)).unwrap();
    }
    let mut owner = Command::new(env!("CARGO_BIN_EXE_test-cluster"))
        .arg("control-plane")
        .env("KUBEBUILDER_ASSETS", &assets)
        .env("XDG_CACHE_HOME", &cache)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let state = first_line(&mut owner).parent().unwrap().to_owned();
    let used = naming(&assets);
    assert!(used.iter().any(|line| line.contains("kube-apiserver")), "{used:?}");
    assert!(!cache.exists());
    drop(owner.stdin.take());
    assert!(owner.wait().unwrap().success());
    assert!(!state.exists());
}

//! The whole cluster: needs Linux and root. `cargo xtask test --fast` leaves this file out.
#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{descendants, eventually, first_line, naming};
use openteam_test_cluster::{Cluster, Kubectl, agent};

/// A pod as the `restricted` standard wants it.
fn pod(name: &str, image: &str, command: &[&str]) -> String {
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "strict", "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "only",
                "image": image,
                "imagePullPolicy": "Never",
                "args": command,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
    .to_string()
}

fn wait_for(kubectl: &Kubectl, name: &str, phase: &str) {
    let condition = format!("--for=jsonpath={{.status.phase}}={phase}");
    let pod = format!("pod/{name}");
    if let Err(late) = kubectl.run(&["wait", &condition, &pod, "-n", "strict", "--timeout=60s"]) {
        let told = kubectl.run(&["describe", &pod, "-n", "strict"]);
        let logs = kubectl.run(&["logs", &pod, "-n", "strict"]);
        panic!("{late}\n{told:?}\n{logs:?}");
    }
}

#[test]
fn node_pods_run_resolve_names_and_are_reached_and_nothing_is_left_behind() {
    let mut cluster = Cluster::start().unwrap();
    let kubectl = cluster.client().clone();
    kubectl.run(&["create", "namespace", "strict"]).unwrap();
    kubectl.run(&["label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted"]).unwrap();
    kubectl.run_with(&["apply", "-f", "-"], &pod("idle", "localhost/pause:1", &[])).unwrap();
    wait_for(&kubectl, "idle", "Running");

    let out = tempfile::tempdir().unwrap();
    let archive = out.path().join("agent.tar");
    agent::image().unwrap().write(&archive).unwrap();
    cluster.import_image(&archive).unwrap();

    // The unmodified client loads as a user without a name to the machine, on a read-only root.
    let import = "import os, ssl, sp_api.api, sp_api.base; print(os.getuid(), len(ssl.create_default_context().get_ca_certs()) > 0)";
    kubectl.run_with(&["apply", "-f", "-"], &pod("client", agent::REFERENCE, &["-c", import])).unwrap();
    wait_for(&kubectl, "client", "Succeeded");
    assert_eq!(kubectl.run(&["logs", "client", "-n", "strict"]).unwrap().trim(), "65532 True");

    // A pod behind a Service, reached by name from another and through a forward from here.
    let serve = "import http.server as h; h.HTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()";
    kubectl.run_with(&["apply", "-f", "-"], &pod("web", agent::REFERENCE, &["-c", serve])).unwrap();
    kubectl.run(&["expose", "pod", "web", "--port=80", "--target-port=8000", "-n", "strict"]).unwrap();
    wait_for(&kubectl, "web", "Running");
    let fetch = "import time, urllib.request as u\n\
        for again in range(100):\n  \
        try: print(u.urlopen('http://web.strict.svc.cluster.local/etc/passwd').status); break\n  \
        except OSError: time.sleep(0.1)";
    kubectl.run_with(&["apply", "-f", "-"], &pod("fetch", agent::REFERENCE, &["-c", fetch])).unwrap();
    wait_for(&kubectl, "fetch", "Succeeded");
    assert_eq!(kubectl.run(&["logs", "fetch", "-n", "strict"]).unwrap().trim(), "200");

    let service =
        kubectl.run(&["get", "service", "web", "-n", "strict", "-o", "jsonpath={.spec.clusterIP}:80"]).unwrap();
    let forward = cluster.forward(&service).unwrap();
    let address = forward.address();
    let mut web = TcpStream::connect(address).unwrap();
    web.write_all(b"GET /etc/group HTTP/1.0\r\n\r\n").unwrap();
    let mut said = String::new();
    web.read_to_string(&mut said).unwrap();
    assert!(said.ends_with("nonroot:x:65532:\n"), "{said}");
    drop(forward);
    eventually("the forwarded port is closed", || TcpStream::connect(address).is_err());

    let name = cluster.in_node(&["hostname"]).unwrap();
    assert_eq!(String::from_utf8_lossy(&name.stdout).trim(), "node1");

    let answers = || kubectl.run(&["get", "--raw=/livez", "--request-timeout=1s"]).is_ok();
    cluster.pause_apiserver().unwrap();
    assert!(!answers());
    cluster.resume_apiserver().unwrap();
    assert!(answers());
    cluster.restart_apiserver().unwrap();
    kubectl.run(&["get", "pod", "idle", "-n", "strict"]).unwrap();

    let dir = cluster.state_dir().to_owned();
    let cgroups = fs::read_to_string(dir.join("cgroups")).unwrap();
    assert!(naming(&dir).len() > 8);
    drop(cluster);
    assert_gone(&dir, &cgroups);
}

#[test]
fn node_two_run_at_once_and_a_killed_owner_leaves_nothing() {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_test-cluster"))
        .arg("node")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let other = Cluster::start().unwrap();
    let dir = first_line(&mut owner).parent().unwrap().to_owned();
    let cgroups = fs::read_to_string(dir.join("cgroups")).unwrap();
    let started = descendants(owner.id());
    assert!(started.len() > 8);
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("every process it started is gone", || {
        started.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists())
    });
    eventually("the directory is gone", || !dir.exists());
    assert_gone(&dir, &cgroups);
    other.client().run(&["get", "--raw=/readyz"]).unwrap();
}

fn assert_gone(dir: &Path, cgroups: &str) {
    assert!(naming(dir).is_empty(), "{:?}", naming(dir));
    assert!(!dir.exists());
    assert!(cgroups.lines().count() > 3);
    for cgroup in cgroups.lines() {
        assert!(!Path::new(cgroup).exists(), "{cgroup}");
    }
}

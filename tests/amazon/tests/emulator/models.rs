//! Amazon's own client, which refuses an answer that its models do not allow.

use std::{fs, process::Stdio};

use cluster::{clients::Library, spawn};

use crate::world::{US, World};

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_fits_the_models_of_amazons_own_client() {
    let world = World::new().await;
    let parameters = world.refresh_parameters(1);
    let parameter = |name| &parameters.iter().find(|(known, _)| *known == name).unwrap().1;
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.crt");
    fs::write(&ca, world.emulator.ca_pem().unwrap()).unwrap();
    let mut command = Library::AmznSpApi.program("models").unwrap();
    command
        .env("AMAZON", world.emulator.https_url())
        .env("REQUESTS_CA_BUNDLE", &ca)
        .env("MARKETPLACE", US)
        .env("CLIENT_ID", parameter("client_id"))
        .env("CLIENT_SECRET", parameter("client_secret"))
        .env("REFRESH_TOKEN", parameter("refresh_token"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = spawn(command).unwrap();
    let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let mut served: Vec<String> = world.emulator.counters().calls.into_keys().filter(|name| name != "lwa").collect();
    let mut fitting: Vec<&str> = said.lines().collect();
    served.sort_unstable();
    fitting.sort_unstable();
    assert_eq!(fitting, served);
    assert_eq!(fitting.len(), 8, "every operation there is");
}

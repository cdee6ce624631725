//! The binary: what it makes is what it serves with.

use crate::world::US;
use openteam_amazon_emulator::{Authority, AuthorityError, Identity, Region, Seed, SeedError};
use reqwest::{Certificate, Client};
use std::{
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

fn emulator() -> Command {
    Command::new(env!("CARGO_BIN_EXE_amazon-emulator"))
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

fn made(folder: &Path) -> bool {
    let seed = emulator().args(["seed", "--out"]).arg(folder.join("seed.yaml")).stderr(Stdio::null()).status();
    let certificate = emulator()
        .args(["certificate", "--san", "localhost", "--san", "127.0.0.1", "--out"])
        .arg(folder)
        .stderr(Stdio::null())
        .status();
    let done = |status: std::io::Result<ExitStatus>| status.expect("it runs").success();
    done(seed) && done(certificate)
}

#[tokio::test]
async fn the_program_serves_the_seed_and_certificate_it_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    assert!(made(folder.path()));
    assert!(!made(folder.path()), "nothing is overwritten");
    for secret in ["seed.yaml", "tls.key"] {
        assert_eq!(file(secret).metadata().unwrap().permissions().mode() & 0o777, 0o600, "{secret}");
    }

    let mut child = emulator()
        .args(["serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--seed"])
        .arg(file("seed.yaml"))
        .arg("--tls-cert")
        .arg(file("tls.crt"))
        .arg("--tls-key")
        .arg(file("tls.key"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let _running = Running(child);
    let url = line.split(' ').nth(1).unwrap_or_else(|| panic!("it says where it serves, not: {line}"));

    let seed = Seed::parse(&std::fs::read_to_string(file("seed.yaml")).unwrap()).unwrap();
    let ca = Certificate::from_pem(&std::fs::read(file("ca.crt")).unwrap()).unwrap();
    let client = Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
    let (seller, application) = (&seed.sellers[0], &seed.applications[0]);
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", seller.refresh_token.expose()),
        ("client_id", &application.client_id),
        ("client_secret", application.client_secret.expose()),
    ];
    for url in [url.to_owned(), url.replace("localhost", "127.0.0.1")] {
        let answer = client.post(format!("{url}/auth/o2/token")).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let untrusting = Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    assert!(untrusting.get(url).send().await.is_err(), "the authority is its own");
}

#[test]
fn a_seed_that_contradicts_itself_is_refused() {
    let seed = Seed::made_up().unwrap();
    assert!(seed.check().is_ok());
    assert_ne!(seed.sellers[0].refresh_token, Seed::made_up().unwrap().sellers[0].refresh_token);
    assert_eq!(Seed::parse(&serde_json::to_string(&seed).unwrap()).unwrap().sellers.len(), 2, "JSON is taken too");
    let wrong = |change: fn(&mut Seed)| {
        let mut seed = seed.clone();
        change(&mut seed);
        Seed::parse(&seed.to_yaml().unwrap()).unwrap_err()
    };
    assert!(matches!(wrong(|seed| seed.sellers[0].client_id.push('x')), SeedError::NoApplication { .. }));
    assert!(matches!(wrong(|seed| seed.sellers[0].region = Region::EU), SeedError::Marketplace { .. }));
    assert!(matches!(
        wrong(|seed| seed.sellers[1].marketplaces.push("A0UNKNOWN".into())),
        SeedError::Marketplace { .. }
    ));
    assert!(matches!(
        wrong(|seed| {
            seed.sellers[1].marketplaces.clear();
            seed.sellers[1].suspended.push(US.into());
        }),
        SeedError::Marketplace { .. }
    ));
    assert!(matches!(wrong(|seed| seed.sellers.push(seed.sellers[0].clone())), SeedError::Taken { .. }));
    assert!(matches!(
        wrong(|seed| seed.sellers[1].refresh_token = seed.sellers[0].refresh_token.clone()),
        SeedError::Taken { what: "refresh token", .. }
    ));
    assert!(matches!(wrong(|seed| seed.applications.push(seed.applications[0].clone())), SeedError::Taken { .. }));
}

#[test]
fn no_secret_shows_in_debug_or_in_a_seeds_error() {
    let seed = Seed::made_up().unwrap();
    let debug = format!("{seed:?}");
    for secret in [&seed.sellers[0].refresh_token, &seed.applications[0].client_secret] {
        assert!(!debug.contains(secret.expose()));
    }
    let error = Seed::parse("applications: plainly-fake-secret").unwrap_err();
    assert!(!format!("{error:?} {error}").contains("plainly-fake"));
}

#[test]
fn a_certificate_without_its_own_key_is_refused() {
    let names = ["localhost".to_owned()];
    let (one, other) = (Authority::make(&names).unwrap(), Authority::make(&names).unwrap());
    assert!(Identity::from_pem(&one.certificate, &one.key).is_ok());
    let refused = |certificate: &str, key: &str| Identity::from_pem(certificate, key).unwrap_err();
    assert!(matches!(refused(&one.certificate, &other.key), AuthorityError::Use(_)));
    assert!(matches!(refused("", &one.key), AuthorityError::Use(_)));
    assert!(matches!(refused(&one.certificate, "none"), AuthorityError::Read { what: "key", .. }));
    let absent = Path::new("absent");
    let refused = Identity::from_files(absent, absent).unwrap_err();
    assert!(matches!(refused, AuthorityError::Read { what: "certificate", file, .. } if file == "absent"));
    assert!(matches!(Authority::make(&["not a name\u{e9}".to_owned()]), Err(AuthorityError::Make { .. })));
    assert!(!format!("{one:?}").contains(one.key.lines().nth(1).unwrap()));
}

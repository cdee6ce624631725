//! Evidence, and pages of the record, at the recorder's door.

use audit::{
    Role,
    wire::reading::{ACTIVITY_PATH, LAST_USE_PATH},
};
use openteam_end_to_end::{NAMESPACE, eventually, house};
use process::{certificate::RoleCertificate, metrics::Metrics};
use reqwest::{Client, ClientBuilder, Method};

const GATEWAY: &str = "openteam-gateway-1";
const KEEP: &str = "inc-1_0b1c_000001_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.tar";

/// What is asked for, and who alone is answered.
fn requests() -> Vec<(Method, String, &'static str)> {
    let one = format!("{}{KEEP}", evidence::wire::EVIDENCE_PATH);
    vec![
        (Method::PUT, one.clone(), "for the operator alone"),
        (Method::GET, one, "for the operator alone"),
        (Method::GET, evidence::wire::EVIDENCE_PATH.to_owned(), "for the operator alone"),
        (Method::POST, evidence::wire::EXTRACT_PATH.to_owned(), "for the operator alone"),
        (Method::GET, format!("{ACTIVITY_PATH}?namespace={NAMESPACE}"), "for the portal alone"),
        (Method::GET, format!("{LAST_USE_PATH}?namespace={NAMESPACE}"), "for the portal alone"),
    ]
}

#[test]
fn a_recorder_gives_what_it_has_to_no_other_role_and_no_stranger_and_takes_no_evidence_of_theirs() {
    let house = house();
    let (host, port) = house.recorder();
    let to = |builder: ClientBuilder| -> Client {
        builder.resolve(&host, ([127, 0, 0, 1], port).into()).no_proxy().https_only(true).build().unwrap()
    };
    // A gateway that was taken over has its certificate, and the recorder answers it.
    let certificate = {
        let client = house.client_of(GATEWAY);
        house.block_on(RoleCertificate::obtain(client, Role::Gateway, &Metrics::new(Role::Gateway)))
    };
    let gateway = to(Client::builder().tls_backend_preconfigured(certificate.client()));
    let stranger = to(Client::builder().tls_danger_accept_invalid_certs(true));
    for (method, path, alone) in requests() {
        let url = format!("https://{host}:{port}{path}");
        let asked = |client: &Client| house.block_on(client.request(method.clone(), &url).body("{}").send());
        let answer = eventually("the recorder answers", || asked(&gateway).ok());
        assert_eq!(answer.status(), 403, "{method} {path}");
        let told = house.block_on(answer.text()).unwrap();
        assert!(told.contains(alone) && !told.contains(NAMESPACE), "{told}");
        assert!(asked(&stranger).is_err(), "without a certificate there is no connection: {method} {path}");
    }
    assert!(!house.disk().join("journal/evidence").join(KEEP).exists());
}

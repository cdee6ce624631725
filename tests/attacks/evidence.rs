//! Evidence at the recorder's door.

use audit::Role;
use openteam_end_to_end::{NAMESPACE, eventually, house};
use process::{certificate::RoleCertificate, metrics::Metrics};
use reqwest::{Client, ClientBuilder, Method};

const GATEWAY: &str = "openteam-gateway-1";
const KEEP: &str = "inc-1_0b1c_000001_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.tar";

fn requests() -> Vec<(Method, String)> {
    let one = format!("{}{KEEP}", evidence::wire::EVIDENCE_PATH);
    vec![
        (Method::PUT, one.clone()),
        (Method::GET, one),
        (Method::GET, evidence::wire::EVIDENCE_PATH.to_owned()),
        (Method::POST, evidence::wire::EXTRACT_PATH.to_owned()),
    ]
}

#[test]
fn a_recorder_takes_and_gives_evidence_for_no_other_role_and_no_stranger() {
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
    for (method, path) in requests() {
        let url = format!("https://{host}:{port}{path}");
        let asked = |client: &Client| house.block_on(client.request(method.clone(), &url).body("{}").send());
        let answer = eventually("the recorder answers", || asked(&gateway).ok());
        assert_eq!(answer.status(), 403, "{method} {path}");
        let told = house.block_on(answer.text()).unwrap();
        assert!(told.contains("for the operator alone") && !told.contains(NAMESPACE), "{told}");
        assert!(asked(&stranger).is_err(), "without a certificate there is no connection: {method} {path}");
    }
    assert!(!house.disk().join("journal/evidence").join(KEEP).exists());
}

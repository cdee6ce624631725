//! Role certificates that are renewed and end while calls are made. Nothing makes a process renew sooner than at half of its
//! certificate's life, so the test signs one with a short life in the operator's place.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use audit::{Name, Peer, Role};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    ByteString,
    api::{certificates::v1::CertificateSigningRequest, core::v1::Secret},
};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use openteam_end_to_end::{House, NAMESPACE, US, alone, eventually, within};
use process::certificate::SIGNER;
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use seal::{Keyset, Sealed, StoredBinding};
use serde_json::json;
use x509_parser::time::ASN1Time;

const OPERATOR: &str = "openteam-operator-0";
const PEERS: [(Role, &str); 3] = [
    (Role::Gateway, "openteam-gateway-0"),
    (Role::Gateway, "openteam-gateway-1"),
    (Role::Recorder, "openteam-recorder-0"),
];
/// Renewed at half of it.
const LIFE: SignedDuration = SignedDuration::from_secs(60);

/// The operator's authority, opened with the keyset as the operator opens it.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn of(house: &House) -> Self {
        const NAME: &str = "openteam-ca";
        let secrets: Api<Secret> = Api::namespaced(house.client().clone(), NAMESPACE);
        let data = house.block_on(secrets.get(NAME)).unwrap().data.unwrap();
        let text = |key: &str| String::from_utf8(data[key].0.clone()).unwrap();
        let keyset = Keyset::parse(&std::fs::read_to_string(house.keyset_file()).unwrap()).unwrap();
        let binding = StoredBinding {
            namespace: NAMESPACE,
            kind: "CertificateAuthority",
            name: NAME,
            field: "PrivateKey",
            generation: 1,
        };
        let sealed = Sealed { data: text("private-key.data"), wrap: text("private-key.wrap") };
        let key = keyset.open(&binding, &sealed).unwrap();
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key.expose().into(), &PKCS_ECDSA_P256_SHA256).unwrap();
        let pem = text("ca.crt");
        Self { issuer: Issuer::from_ca_cert_pem(&pem, key).unwrap(), pem }
    }

    /// What the operator would sign for a pod, for a short time.
    fn sign(&self, role: Role, pod: &str, request: &str, until: Timestamp) -> String {
        let moment = |time: Timestamp| ASN1Time::from_timestamp(time.as_second()).unwrap().to_datetime();
        let peer = Peer { role, pod: Name::parse(pod).unwrap() };
        let service = format!("openteam-{role}");
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = vec![SanType::URI(peer.to_string().try_into().unwrap())];
        for name in [format!("{service}.{NAMESPACE}.svc"), "localhost".to_owned()] {
            parameters.subject_alt_names.push(SanType::DnsName(name.try_into().unwrap()));
        }
        if role == Role::Recorder {
            let own = format!("{pod}.{service}-peers.{NAMESPACE}.svc");
            parameters.subject_alt_names.push(SanType::DnsName(own.try_into().unwrap()));
        }
        parameters.is_ca = IsCa::NoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        parameters.use_authority_key_identifier_extension = true;
        parameters.not_before = moment(Timestamp::now() - SignedDuration::from_mins(1));
        parameters.not_after = moment(until);
        parameters.serial_number = Some(SerialNumber::from(fastrand::u64(1..)));
        let mut request = CertificateSigningRequestParams::from_pem(request).unwrap();
        request.params = parameters;
        request.signed_by(&self.issuer).unwrap().pem() + &self.pem
    }
}

/// Answers what a pod asks for.
fn answer(house: &House, authority: &Authority, (role, pod): (Role, &str), until: Timestamp) {
    let requests: Api<CertificateSigningRequest> = Api::all(house.client().clone());
    let request = eventually("it asks for a certificate", || {
        let all = house.block_on(requests.list(&ListParams::default())).unwrap().items;
        all.into_iter().find(|one| {
            let asks = one.spec.extra.as_ref().and_then(|extra| extra.get("authentication.kubernetes.io/pod-name"));
            one.spec.signer_name == SIGNER
                && asks.is_some_and(|pods| pods.iter().any(|name| name == pod))
                && one.status.as_ref().is_none_or(|status| status.certificate.is_none() && status.conditions.is_none())
        })
    });
    let name = request.metadata.name.unwrap();
    let pem = authority.sign(role, pod, std::str::from_utf8(&request.spec.request.0).unwrap(), until);
    let approved = json!({ "status": { "conditions": [
        { "type": "Approved", "status": "True", "reason": "Test", "message": "a short life" },
    ] } });
    let signed = json!({ "status": { "certificate": ByteString(pem.into_bytes()) } });
    let parameters = PatchParams::default();
    house.block_on(requests.patch_approval(&name, &parameters, &Patch::Merge(approved))).unwrap();
    house.block_on(requests.patch_status(&name, &parameters, &Patch::Merge(signed))).unwrap();
}

/// When a pod's certificate ends, as it tells.
fn end(house: &House, pod: &str) -> Option<i64> {
    let metrics = house.metrics(pod);
    let mut lines = metrics.lines();
    lines.find_map(|line| line.strip_prefix("openteam_role_certificate_expiry_timestamp_seconds ")?.parse().ok())
}

#[test]
fn no_call_fails_while_gateways_and_recorder_renew_their_certificates_and_when_the_old_ones_end() {
    let house = alone();
    let tenant = house.tenant("renewing");
    let token = tenant.runtime_token("nightly");
    let authority = Authority::of(&house);
    house.freeze(OPERATOR);
    PEERS.iter().for_each(|(_, pod)| house.kill(pod));
    house.start_what_ended();
    let until = Timestamp::now() + LIFE;
    PEERS.iter().for_each(|peer| answer(&house, &authority, *peer, until));
    // It renews, when it is asked: it may have lost its lease, and begins anew then.
    house.thaw(OPERATOR);
    house.settles();
    for (_, pod) in PEERS {
        assert_eq!(end(&house, pod), Some(until.as_second()), "{pod}");
    }

    let path = format!("/orders/v0/orders?MarketplaceIds={US}&CreatedAfter=2020-01-01T00:00:00Z");
    let (served, failed, over) = (AtomicUsize::new(0), Mutex::new(Vec::new()), AtomicBool::new(false));
    thread::scope(|scope| {
        for number in 0..House::GATEWAYS {
            // One goes on with the connection it has, one makes another for each call.
            for keeps in [true, false] {
                let (house, path, token, served, failed, over) = (&*house, &path, &token, &served, &failed, &over);
                scope.spawn(move || {
                    let mut gateway = house.gateway(number);
                    while !over.load(SeqCst) {
                        if !keeps {
                            gateway = house.gateway(number);
                        }
                        match gateway.call(token).try_get(path) {
                            Some(answer) if answer.status == 200 => drop(served.fetch_add(1, SeqCst)),
                            other => failed.lock().unwrap().push((Timestamp::now(), number, keeps, other)),
                        }
                        thread::sleep(Duration::from_millis(20));
                    }
                });
            }
        }
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for (_, pod) in PEERS {
                eventually(&format!("{pod} renews its certificate"), || {
                    end(&house, pod).filter(|end| *end > until.as_second())
                });
            }
            let before = served.load(SeqCst);
            let past = until + SignedDuration::from_secs(5);
            within(Duration::from_secs(90), "the old ones have ended", || (Timestamp::now() > past).then_some(()));
            assert!(served.load(SeqCst) > before + 100, "calls were made all the time");
        }));
        over.store(true, SeqCst);
        looked.unwrap();
    });
    assert_eq!(format!("{:?}", failed.into_inner().unwrap()), "[]", "of {} calls", served.into_inner());
}

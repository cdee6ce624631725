use k8s_openapi::api::certificates::v1::CertificateSigningRequestSpec;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType};
use x509_parser::{extensions::GeneralName, pem::Pem};

use super::*;
use crate::testing::now;

const NAMESPACE: &str = "openteam-system";

fn csr(key: &KeyPair) -> Vec<u8> {
    let mut parameters = CertificateParams::default();
    // What a request asks for itself: none of it may reach the certificate.
    parameters.subject_alt_names = vec![SanType::DnsName("api.amazon.com".try_into().unwrap())];
    parameters.serialize_request(key).unwrap().pem().unwrap().into_bytes()
}

fn request() -> CertificateSigningRequest {
    CertificateSigningRequest {
        metadata: ObjectMeta { name: Some("openteam-gateway-x".into()), ..ObjectMeta::default() },
        spec: CertificateSigningRequestSpec {
            request: ByteString(csr(&KeyPair::generate().unwrap())),
            signer_name: SIGNER.to_owned(),
            username: Some("system:serviceaccount:openteam-system:openteam-gateway".into()),
            extra: Some([(POD_NAME.to_owned(), vec!["openteam-gateway-7c9f".to_owned()])].into()),
            usages: Some(USAGES.map(str::to_owned).to_vec()),
            expiration_seconds: Some(24 * 3600),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    }
}

fn changed(change: impl FnOnce(&mut CertificateSigningRequest)) -> CertificateSigningRequest {
    let mut request = request();
    change(&mut request);
    request
}

fn answered(type_: &str) -> CertificateSigningRequest {
    changed(|request| request.status = Some(with(&request.clone(), type_, "", "", now())))
}

fn applicant_of(request: &CertificateSigningRequest) -> Applicant {
    match decide(request, NAMESPACE) {
        Decision::Sign(applicant, _) => applicant,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pod_of_a_role_gets_a_certificate_for_that_role_and_pod() {
    for role in Role::ALL {
        let request = changed(|request| {
            request.spec.username = Some(format!("system:serviceaccount:{NAMESPACE}:openteam-{role}"));
        });
        let peer = Peer { role, pod: Name::parse("openteam-gateway-7c9f").unwrap() };
        assert_eq!(applicant_of(&request).peer, peer);
    }
}

#[test]
fn everything_else_is_denied_with_the_reason() {
    use Denial::{Key, Malformed, NoPod, NotARole, Proof, Usages};
    let user = |name: &str| changed(|it| it.spec.username = Some(name.to_owned()));
    let pods = |pods: &[&str]| {
        changed(|it| {
            let pods = pods.iter().map(ToString::to_string).collect();
            it.spec.extra = Some([(POD_NAME.to_owned(), pods)].into());
        })
    };
    let usages =
        |usages: &[&str]| changed(|it| it.spec.usages = Some(usages.iter().map(ToString::to_string).collect()));
    let body = |body: Vec<u8>| changed(|it| it.spec.request = ByteString(body));
    let twice = || [request().spec.request.0, request().spec.request.0].concat();
    let relabelled = || {
        let text = String::from_utf8(request().spec.request.0).unwrap();
        text.replace("CERTIFICATE REQUEST", "CERTIFICATE").into_bytes()
    };
    let forged = || {
        let text = String::from_utf8(request().spec.request.0).unwrap();
        let mut document = x509_parser::pem::parse_x509_pem(text.as_bytes()).unwrap().1;
        // The last byte is the signature's.
        *document.contents.last_mut().unwrap() ^= 1;
        pem(&document.contents)
    };
    for (number, (request, denial)) in [
        (user("system:serviceaccount:openteam-system:openteam-admin"), NotARole),
        (user("system:serviceaccount:openteam-system:openteam-"), NotARole),
        (user("system:serviceaccount:openteam-system:gateway"), NotARole),
        (user("system:serviceaccount:openteam-system:openteam-gateway2"), NotARole),
        (user("system:serviceaccount:openteam-system:openteam-gateway:x"), NotARole),
        (user("system:serviceaccount:openteam-system:openteam-Gateway"), NotARole),
        (user("system:serviceaccount:acme:openteam-gateway"), NotARole),
        (user("system:serviceaccount:openteam-system2:openteam-gateway"), NotARole),
        (user("openteam-system:openteam-gateway"), NotARole),
        (user("openteam-gateway"), NotARole),
        (user("system:admin"), NotARole),
        (user(""), NotARole),
        (changed(|it| it.spec.username = None), NotARole),
        (pods(&[]), NoPod),
        (pods(&["one", "two"]), NoPod),
        (pods(&["Not/A/Name"]), NoPod),
        (pods(&[""]), NoPod),
        (changed(|it| it.spec.extra = None), NoPod),
        (changed(|it| it.spec.extra = Some([("pod-name".to_owned(), vec!["one".to_owned()])].into())), NoPod),
        (usages(&["digital signature", "client auth", "cert sign"]), Usages),
        (usages(&["any"]), Usages),
        (usages(&["key encipherment"]), Usages),
        (usages(&[]), Usages),
        (changed(|it| it.spec.usages = None), Usages),
        (body(Vec::new()), Malformed),
        (body(b"hello".to_vec()), Malformed),
        (body(relabelled()), Malformed),
        (body(twice()), Malformed),
        (body([request().spec.request.0, b"more".to_vec()].concat()), Malformed),
        (body(csr(&KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap())), Key),
        (body(csr(&KeyPair::generate_for(&PKCS_ED25519).unwrap())), Key),
        (body(forged()), Proof),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(decide(&request, NAMESPACE), Decision::Deny(denial, false), "{number}: {denial}");
    }
}

fn pem(der: &[u8]) -> Vec<u8> {
    let body = data_encoding::BASE64.encode(der);
    format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n").into_bytes()
}

#[test]
fn what_is_answered_or_anothers_is_left_alone() {
    assert_eq!(decide(&answered("Denied"), NAMESPACE), Decision::Leave);
    assert_eq!(decide(&answered("Failed"), NAMESPACE), Decision::Leave);
    let others = changed(|it| it.spec.signer_name = "kubernetes.io/kube-apiserver-client".into());
    assert_eq!(decide(&others, NAMESPACE), Decision::Leave);
    let signed = changed(|it| {
        let certificate = Some(ByteString(b"pem".to_vec()));
        it.status = Some(CertificateSigningRequestStatus { certificate, conditions: None });
    });
    assert_eq!(decide(&signed, NAMESPACE), Decision::Leave);
}

#[test]
fn an_approval_by_someone_else_makes_no_role_of_a_stranger() {
    assert!(matches!(decide(&answered("Approved"), NAMESPACE), Decision::Sign(_, true)));
    let mut stranger = answered("Approved");
    stranger.spec.username = Some("mallory".into());
    assert_eq!(decide(&stranger, NAMESPACE), Decision::Deny(Denial::NotARole, true));
}

#[test]
fn a_certificate_lives_as_long_as_asked_and_never_longer_than_a_day() {
    for (asked, seconds) in [
        (None, 86_400),
        (Some(86_400), 86_400),
        (Some(3600), 3600),
        (Some(864_000), 86_400),
        (Some(-1), 86_400),
        (Some(1), 600),
    ] {
        let request = changed(|it| it.spec.expiration_seconds = asked);
        assert_eq!(applicant_of(&request).life.as_secs(), seconds, "{asked:?}");
    }
}

#[test]
fn a_certificate_says_what_we_say_and_nothing_that_was_asked() {
    let authority = Authority::generate(now()).unwrap();
    for (role, names) in [
        (Role::Operator, &[][..]),
        (
            Role::Gateway,
            &[
                "openteam-gateway",
                "openteam-gateway.openteam-system",
                "openteam-gateway.openteam-system.svc",
                "openteam-gateway.openteam-system.svc.cluster.local",
                "localhost",
            ],
        ),
        (
            Role::Recorder,
            &[
                "openteam-recorder",
                "openteam-recorder.openteam-system",
                "openteam-recorder.openteam-system.svc",
                "openteam-recorder.openteam-system.svc.cluster.local",
                "pod-0.openteam-recorder-peers.openteam-system.svc",
            ],
        ),
    ] {
        let peer = Peer { role, pod: Name::parse("pod-0").unwrap() };
        let applicant = applicant_of(&request());
        let until = now() + SignedDuration::from_hours(1);
        let signed = authority.sign(&peer, NAMESPACE, &applicant.public_key, now(), until).unwrap();
        let documents: Vec<Pem> = Pem::iter_from_buffer(signed.as_bytes()).collect::<Result<_, _>>().unwrap();
        let [leaf, root] = documents.as_slice() else { panic!("{} certificates", documents.len()) };
        let (leaf, root) = (leaf.parse_x509().unwrap(), root.parse_x509().unwrap());
        leaf.verify_signature(Some(root.public_key())).unwrap();
        root.verify_signature(None).unwrap();
        assert!(root.is_ca() && !leaf.is_ca());
        assert_eq!(leaf.public_key().raw, applicant.public_key);
        assert_eq!(leaf.validity().not_before.timestamp(), now().as_second() - 300);
        assert_eq!(leaf.validity().not_after.timestamp(), until.as_second());
        let alternatives = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
        let uri = format!("openteam://{role}/pod-0");
        let expected: Vec<GeneralName<'_>> = std::iter::once(GeneralName::URI(&uri))
            .chain(names.iter().map(|name| GeneralName::DNSName(name)))
            .collect();
        assert_eq!(*alternatives, expected);
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && usage.client_auth && !usage.any && !usage.code_signing);
        let usage = leaf.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && !usage.key_cert_sign());
    }
}

#[test]
fn the_authority_comes_back_from_its_certificate_and_key_and_from_no_others() {
    let authority = Authority::generate(now()).unwrap();
    let again = Authority::open(authority.pem().to_owned(), &authority.private_key()).unwrap();
    assert_eq!(again.pem(), authority.pem());
    let other = Authority::generate(now()).unwrap();
    assert!(matches!(Authority::open(authority.pem().to_owned(), &other.private_key()), Err(AuthorityError::Mismatch)));
    assert!(Authority::open("no certificate".to_owned(), &other.private_key()).is_err());
    assert!(Authority::open(authority.pem().to_owned(), b"no key").is_err());
}

use std::sync::LazyLock;

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeS, Serializable};
use openteam_seal::{
    Binding, MAX_INPUT_TEXT_LEN, MAX_SECRET_LEN, OpenError, PrivateKey, PublicKey, PublicKeyError, SealError,
    input_key_id, open_input, seal_input,
};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::by_hand::join;
use crate::{each_byte_changed, mangled, relabelled, to_bytes, to_text, with_byte_changed};

static KEY: LazyLock<PrivateKey> = LazyLock::new(PrivateKey::generate);
static OTHER_KEY: LazyLock<PrivateKey> = LazyLock::new(PrivateKey::generate);

const BINDING: Binding<'static> =
    Binding { namespace: "acme", kind: "AmazonConnection", name: "acme-na", field: "RefreshToken" };
const SECRET: &[u8] = b"not a real token";

fn sealed() -> String {
    seal_input(KEY.public(), &BINDING, 42, SECRET).unwrap()
}

fn open(text: &str) -> Result<(u64, Vec<u8>), OpenError> {
    open_input([&*KEY], &BINDING, text).map(|opened| (opened.sealed_at_ms, opened.secret.expose().to_vec()))
}

#[test]
fn an_input_opens_for_what_it_was_sealed_for() {
    let (other, text) = (PrivateKey::generate(), sealed());
    assert_eq!(open(&text), Ok((42, SECRET.to_vec())));
    assert!(open_input([&other, &*KEY], &BINDING, &text).is_ok(), "the key is found by its id");
    assert_eq!(input_key_id(&text), Ok(KEY.id()));
}

#[test]
fn sealing_twice_gives_two_texts() {
    assert_ne!(sealed(), sealed());
}

#[test]
fn a_changed_byte_does_not_open() {
    for changed in each_byte_changed(&sealed()) {
        assert_eq!(open(&changed), Err(OpenError));
    }
}

#[test]
fn a_mangled_text_does_not_open() {
    for mangled in mangled(&sealed(), MAX_INPUT_TEXT_LEN) {
        assert_eq!(open(&mangled), Err(OpenError), "{} characters", mangled.len());
    }
}

#[test]
fn an_input_opens_for_no_other_object_or_field() {
    let text = sealed();
    for other in [
        Binding { namespace: "acmf", ..BINDING },
        Binding { namespace: "", ..BINDING },
        Binding { kind: "AmazonApplication", ..BINDING },
        Binding { kind: "amazonconnection", ..BINDING },
        Binding { name: "acme-eu", ..BINDING },
        Binding { field: "ClientSecret", ..BINDING },
        Binding { field: "RefreshToken ", ..BINDING },
        Binding { namespace: "acmeA", kind: "mazonConnection", ..BINDING },
        Binding { name: "acme-naRefreshToken", field: "", ..BINDING },
    ] {
        assert_eq!(open_input([&*KEY], &other, &text).unwrap_err(), OpenError, "{other:?}");
    }
}

#[test]
fn an_input_opens_with_no_other_key() {
    let (other, text) = (PrivateKey::generate(), sealed());
    assert_eq!(open_input([&other], &BINDING, &text).unwrap_err(), OpenError);
    assert_eq!(open_input([], &BINDING, &text).unwrap_err(), OpenError);

    let relabelled = relabelled(&text, 5, other.id());
    assert_eq!(input_key_id(&relabelled), Ok(other.id()));
    assert_eq!(open_input([&other, &*KEY], &BINDING, &relabelled).unwrap_err(), OpenError);
}

/// Sound but for the name: whoever has both public keys can write it, and learns which keys a reader tries.
#[test]
fn an_input_sealed_to_one_key_in_the_name_of_another_does_not_open() {
    let sealed_in_the_name_of = |named: &PrivateKey| {
        let label = b"openteam.dev/input/v1";
        let Binding { namespace, kind, name, field } = BINDING;
        let info = join(&[label, namespace.as_bytes(), kind.as_bytes(), name.as_bytes(), field.as_bytes()]);
        let header = &to_bytes(&relabelled(&sealed(), 5, named.id()))[..13];
        let to = <XWing as Kem>::PublicKey::from_bytes(&to_bytes(&KEY.public().to_string())).unwrap();
        let (encapsulated, mut sender) =
            hpke::setup_sender::<AesGcm256, HkdfSha256, XWing>(&OpModeS::Base, &to, &info).unwrap();
        let ciphertext = sender.seal(&[&42_u64.to_be_bytes(), SECRET].concat(), header).unwrap();
        to_text(&[header, &encapsulated.to_bytes(), &ciphertext].concat())
    };
    let open = |text: &str| open_input([&*KEY, &*OTHER_KEY], &BINDING, text).map(|opened| opened.sealed_at_ms);
    assert_eq!(open(&sealed_in_the_name_of(&KEY)), Ok(42));
    assert_eq!(open(&sealed_in_the_name_of(&OTHER_KEY)), Err(OpenError));
}

#[test]
fn only_secrets_within_the_limits_are_sealed() {
    let seal = |len| seal_input(KEY.public(), &BINDING, 0, &vec![b'x'; len]);
    assert_eq!(seal(0), Err(SealError::Empty));
    assert_eq!(seal(MAX_SECRET_LEN + 1), Err(SealError::TooLong));
    assert!(open(&seal(1).unwrap()).is_ok());
    let longest = seal(MAX_SECRET_LEN).unwrap();
    assert_eq!(longest.len(), MAX_INPUT_TEXT_LEN);
    assert!(open(&longest).is_ok());
}

#[test]
fn an_id_is_read_only_from_a_sealed_input() {
    let text = sealed();
    let whole = to_bytes(&text).len();
    for len in [0, 4, 12, 13, 1133, 1157] {
        assert!(len < whole);
        assert_eq!(input_key_id(&to_text(&to_bytes(&text)[..len])), Err(OpenError), "{len} bytes");
    }
    for (at, what) in [(0, "magic"), (4, "version")] {
        let mut bytes = to_bytes(&text);
        bytes[at] += 1;
        assert_eq!(input_key_id(&to_text(&bytes)), Err(OpenError), "{what}");
    }
}

#[test]
fn a_public_key_has_exactly_one_text() {
    let text = KEY.public().to_string();
    assert_eq!(text.parse::<PublicKey>().unwrap(), *KEY.public());
    assert_eq!(PublicKey::from_entry(&KEY.id().to_string(), &text).unwrap().id(), KEY.id());

    let bytes = to_bytes(&text);
    let coefficient_past_the_modulus = [&[0xff; 1184], &bytes[1184..]].concat();
    for refused in [
        String::new(),
        "A".to_owned(),
        format!("{text}\n"),
        format!("{text}="),
        to_text(&bytes[1..]),
        to_text(&[&bytes[..], &[0]].concat()),
        to_text(&coefficient_past_the_modulus),
        "A".repeat(100_000),
    ] {
        assert_eq!(refused.parse::<PublicKey>(), Err(PublicKeyError::Malformed));
    }
}

#[test]
fn a_public_key_under_another_id_is_refused() {
    let text = KEY.public().to_string();
    let other = PrivateKey::generate().id().to_string();
    let own = KEY.id().to_string();
    let upper = own.to_uppercase();
    // An id of sixteen digits has no upper case.
    for id in [other.as_str(), "", &upper, &own[1..]].into_iter().filter(|id| *id != own) {
        let error = PublicKey::from_entry(id, &text).unwrap_err();
        assert_eq!(error, PublicKeyError::ListedUnderAnotherId { listed: id.to_owned(), actual: KEY.id() });
    }
}

#[test]
fn a_private_key_survives_its_bytes_and_shows_none() {
    let again = PrivateKey::from_bytes(KEY.to_bytes().as_slice()).unwrap();
    assert_eq!(again.public(), KEY.public());
    assert!(open_input([&again], &BINDING, &sealed()).is_ok());
    for len in [0, 31, 33, 64] {
        assert!(PrivateKey::from_bytes(&vec![7; len]).is_err(), "{len} bytes");
    }
    assert_eq!(format!("{:?}", *KEY), format!("PrivateKey({}, [REDACTED])", KEY.id()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_secret_comes_back_for_any_binding(
        fields in prop::array::uniform4("\\PC{0,70}"),
        at in any::<u64>(),
        secret in prop::collection::vec(any::<u8>(), 1..600),
    ) {
        let [namespace, kind, name, field] = &fields;
        let binding = Binding { namespace, kind, name, field };
        let text = seal_input(KEY.public(), &binding, at, &secret).unwrap();
        let opened = open_input([&*KEY], &binding, &text).unwrap();
        prop_assert_eq!(opened.sealed_at_ms, at);
        prop_assert_eq!(opened.secret.expose(), &secret[..]);
    }

    /// Short fields of few letters, so that neighbours often are equal, empty, or the other's beginning.
    #[test]
    fn any_other_field_or_key_does_not_open_an_input(
        fields in prop::array::uniform4("[aB-]{0,3}"),
        changed in 0..5_usize,
        into in "[aB-]{0,3}",
        secret in prop::collection::vec(any::<u8>(), 1..100),
    ) {
        let of = |fields: &[String; 4], text: &str| {
            let [namespace, kind, name, field] = fields;
            let opened = open_input([&*KEY, &*OTHER_KEY], &Binding { namespace, kind, name, field }, text);
            opened.map(|opened| opened.secret.expose().to_vec())
        };
        let [namespace, kind, name, field] = &fields;
        let text = seal_input(KEY.public(), &Binding { namespace, kind, name, field }, 42, &secret).unwrap();
        prop_assert_eq!(of(&fields, &text), Ok(secret));
        if changed < 4 {
            prop_assume!(fields[changed] != into);
            let mut other = fields;
            other[changed] = into;
            prop_assert_eq!(of(&other, &text), Err(OpenError));
        } else {
            prop_assert_eq!(of(&fields, &relabelled(&text, 5, OTHER_KEY.id())), Err(OpenError));
        }
    }

    #[test]
    fn any_change_of_any_byte_does_not_open(
        secret in prop::collection::vec(any::<u8>(), 1..600),
        at in any::<Index>(),
        change in 1..=u8::MAX,
    ) {
        let text = seal_input(KEY.public(), &BINDING, 42, &secret).unwrap();
        prop_assert_eq!(open(&with_byte_changed(&text, &at, change)), Err(OpenError));
    }

    #[test]
    fn no_other_text_opens(text in "\\PC{0,100}", body in prop::collection::vec(any::<u8>(), 1100..1300)) {
        prop_assert_eq!(open(&text), Err(OpenError));
        let mut header = to_bytes(&sealed())[..13].to_vec();
        prop_assert_eq!(open(&to_text(&body)), Err(OpenError));
        header.extend(body);
        prop_assert_eq!(open(&to_text(&header)), Err(OpenError));
    }
}

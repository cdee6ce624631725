use std::sync::LazyLock;

use openteam_seal::{
    Keyset, MAX_DATA_TEXT_LEN, MAX_SECRET_LEN, OpenError, SealError, Sealed, StoredBinding, WRAP_TEXT_LEN, wrap_key_id,
};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::by_hand::Known;
use crate::{document, each_byte_changed, keyset_of, mangled, relabelled, with_byte_changed};

static KEYSET: LazyLock<Keyset> = LazyLock::new(|| Keyset::generate(0));

const BINDING: StoredBinding<'static> = StoredBinding {
    namespace: "acme",
    kind: "AmazonConnection",
    name: "acme-na",
    field: "RefreshToken",
    generation: 7,
};
const SECRET: &[u8] = b"not a real token";

fn sealed() -> Sealed {
    KEYSET.seal(&BINDING, SECRET).unwrap()
}

fn open(sealed: &Sealed) -> Result<Vec<u8>, OpenError> {
    KEYSET.open(&BINDING, sealed).map(|secret| secret.expose().to_vec())
}

/// The keyset's cluster and key, and a newer key, active.
fn with_active_key_of(newer: &Keyset) -> Keyset {
    let mut both = document(&KEYSET);
    both["keys"].as_array_mut().unwrap().extend(document(newer)["keys"].as_array().unwrap().clone());
    both["active"] = document(newer)["active"].clone();
    keyset_of(&both)
}

/// The keyset's key in another cluster.
fn in_cluster(id: &[u8; 16]) -> Keyset {
    let mut same_key = document(&KEYSET);
    same_key["clusterId"] = data_encoding::HEXLOWER.encode(id).into();
    keyset_of(&same_key)
}

#[test]
fn a_stored_value_opens_for_what_it_was_sealed_for() {
    let sealed = sealed();
    assert_eq!(open(&sealed), Ok(SECRET.to_vec()));
    assert_eq!(wrap_key_id(&sealed.wrap), Ok(KEYSET.active_id()));
}

#[test]
fn sealing_twice_shares_nothing() {
    let (one, other) = (sealed(), sealed());
    assert_ne!(one.data, other.data);
    assert_ne!(one.wrap, other.wrap);
    assert_eq!(open(&Sealed { data: one.data, wrap: other.wrap }), Err(OpenError), "a wrap opens only its own data");
}

#[test]
fn a_changed_byte_does_not_open() {
    let Sealed { data, wrap } = sealed();
    for data in each_byte_changed(&data) {
        assert_eq!(open(&Sealed { data, wrap: wrap.clone() }), Err(OpenError));
    }
    for wrap in each_byte_changed(&wrap) {
        assert_eq!(open(&Sealed { data: data.clone(), wrap }), Err(OpenError));
    }
}

#[test]
fn a_mangled_text_does_not_open() {
    let Sealed { data, wrap } = sealed();
    for data in mangled(&data, MAX_DATA_TEXT_LEN) {
        assert_eq!(open(&Sealed { data, wrap: wrap.clone() }), Err(OpenError));
    }
    for wrap in mangled(&wrap, WRAP_TEXT_LEN) {
        assert_eq!(wrap_key_id(&wrap), Err(OpenError));
        assert_eq!(open(&Sealed { data: data.clone(), wrap }), Err(OpenError));
    }
    assert_eq!(open(&Sealed { data: wrap, wrap: data }), Err(OpenError));
}

#[test]
fn a_stored_value_opens_for_no_other_object_field_or_generation() {
    let sealed = sealed();
    for other in [
        StoredBinding { namespace: "acmf", ..BINDING },
        StoredBinding { kind: "AmazonApplication", ..BINDING },
        StoredBinding { name: "acme-eu", ..BINDING },
        StoredBinding { field: "ClientSecret", ..BINDING },
        StoredBinding { generation: 6, ..BINDING },
        StoredBinding { generation: 8, ..BINDING },
        StoredBinding { generation: 0, ..BINDING },
        StoredBinding { namespace: "acmeA", kind: "mazonConnection", ..BINDING },
        StoredBinding { name: "", field: "acme-naRefreshToken", ..BINDING },
    ] {
        assert_eq!(KEYSET.open(&other, &sealed).unwrap_err(), OpenError, "{other:?}");
        assert_eq!(KEYSET.rewrap(&other, &sealed), Err(OpenError), "{other:?}");
    }
}

#[test]
fn a_stored_value_opens_in_no_other_cluster() {
    let sealed = sealed();
    let elsewhere = in_cluster(b"another cluster!");
    assert_eq!(elsewhere.active_id(), KEYSET.active_id());
    assert_eq!(elsewhere.open(&BINDING, &sealed).unwrap_err(), OpenError);
    assert_eq!(elsewhere.rewrap(&BINDING, &sealed), Err(OpenError));
}

#[test]
fn a_stored_value_opens_with_no_other_key() {
    let newer = Keyset::generate(1);
    let (both, sealed) = (with_active_key_of(&newer), sealed());
    let relabelled = Sealed { wrap: relabelled(&sealed.wrap, 6, newer.active_id()), ..sealed };
    assert_eq!(wrap_key_id(&relabelled.wrap), Ok(newer.active_id()));
    for keyset in [&both, &newer, &*KEYSET] {
        assert_eq!(keyset.open(&BINDING, &relabelled).unwrap_err(), OpenError);
        assert_eq!(keyset.rewrap(&BINDING, &relabelled), Err(OpenError));
    }
}

#[test]
fn only_secrets_within_the_limits_are_sealed() {
    let seal = |len| KEYSET.seal(&BINDING, &vec![b'x'; len]);
    assert_eq!(seal(0), Err(SealError::Empty));
    assert_eq!(seal(MAX_SECRET_LEN + 1), Err(SealError::TooLong));
    assert!(open(&seal(1).unwrap()).is_ok());
    let longest = seal(MAX_SECRET_LEN).unwrap();
    assert_eq!((longest.data.len(), longest.wrap.len()), (MAX_DATA_TEXT_LEN, WRAP_TEXT_LEN));
    assert!(open(&longest).is_ok());
}

#[test]
fn an_empty_or_overlong_secret_written_by_hand_does_not_open() {
    let known = Known::of(&KEYSET);
    for len in [0, MAX_SECRET_LEN + 1] {
        assert_eq!(open(&known.write(&BINDING, &[9; 32], &vec![b'x'; len])), Err(OpenError), "{len} bytes");
    }
    assert!(open(&known.write(&BINDING, &[9; 32], b"x")).is_ok());
}

#[test]
fn rewrapping_moves_to_the_active_key_and_leaves_the_data() {
    let newer = Keyset::generate(1);
    let both = with_active_key_of(&newer);

    let old = sealed();
    assert_eq!(both.open(&BINDING, &old).unwrap().expose(), SECRET, "the older key still opens");
    let moved = Sealed { data: old.data.clone(), wrap: both.rewrap(&BINDING, &old).unwrap() };
    assert_eq!(wrap_key_id(&moved.wrap), Ok(newer.active_id()));
    assert_eq!(both.open(&BINDING, &moved).unwrap().expose(), SECRET);
    assert_eq!(open(&moved), Err(OpenError), "a keyset without the newer key cannot open");

    let stranger = KEYSET.seal(&BINDING, SECRET).unwrap();
    assert_eq!(both.rewrap(&BINDING, &Sealed { data: old.data, wrap: stranger.wrap }), Err(OpenError));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// The differential test: what either side writes, the other reads.
    #[test]
    fn aws_lc_reads_what_we_write_and_we_read_what_it_writes(
        fields in prop::array::uniform4("\\PC{0,70}"),
        generation in any::<u64>(),
        data_key in any::<[u8; 32]>(),
        secret in prop::collection::vec(any::<u8>(), 1..600),
    ) {
        let [namespace, kind, name, field] = &fields;
        let binding = StoredBinding { namespace, kind, name, field, generation };
        let known = Known::of(&KEYSET);
        let ours = KEYSET.seal(&binding, &secret).unwrap();
        prop_assert_eq!(known.read(&binding, &ours), Some(secret.clone()));
        let theirs = known.write(&binding, &data_key, &secret);
        let opened = KEYSET.open(&binding, &theirs).unwrap();
        prop_assert_eq!(opened.expose(), &secret[..]);
    }

    /// Short fields of few letters, so that neighbours often are equal, empty, or the other's beginning.
    #[test]
    fn any_other_field_generation_key_or_cluster_does_not_open_a_stored_value(
        fields in prop::array::uniform4("[aB-]{0,3}"),
        generation in any::<u64>(),
        changed in 0..7_usize,
        into in "[aB-]{0,3}",
        other_generation in any::<u64>(),
        other_cluster in any::<[u8; 16]>(),
        secret in prop::collection::vec(any::<u8>(), 1..100),
    ) {
        let mut other = fields.clone();
        let [namespace, kind, name, field] = &fields;
        let binding = StoredBinding { namespace, kind, name, field, generation };
        let sealed = KEYSET.seal(&binding, &secret).unwrap();
        let opened = KEYSET.open(&binding, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), &secret[..]);

        let (refused, rewrapped) = match changed {
            0..4 => {
                prop_assume!(fields[changed] != into);
                other[changed] = into;
                let [namespace, kind, name, field] = &other;
                let other = StoredBinding { namespace, kind, name, field, generation };
                (KEYSET.open(&other, &sealed), KEYSET.rewrap(&other, &sealed))
            }
            4 => {
                prop_assume!(generation != other_generation);
                let other = StoredBinding { generation: other_generation, ..binding };
                (KEYSET.open(&other, &sealed), KEYSET.rewrap(&other, &sealed))
            }
            5 => {
                let elsewhere = in_cluster(&other_cluster);
                prop_assume!(elsewhere.cluster_id() != KEYSET.cluster_id());
                (elsewhere.open(&binding, &sealed), elsewhere.rewrap(&binding, &sealed))
            }
            _ => {
                let newer = Keyset::generate(1);
                let both = with_active_key_of(&newer);
                let relabelled = Sealed { wrap: relabelled(&sealed.wrap, 6, newer.active_id()), ..sealed };
                (both.open(&binding, &relabelled), both.rewrap(&binding, &relabelled))
            }
        };
        prop_assert_eq!(refused.unwrap_err(), OpenError);
        prop_assert_eq!(rewrapped, Err(OpenError));
    }

    #[test]
    fn any_change_of_any_byte_does_not_open(
        secret in prop::collection::vec(any::<u8>(), 1..600),
        at in any::<Index>(),
        change in 1..=u8::MAX,
    ) {
        let Sealed { data, wrap } = KEYSET.seal(&BINDING, &secret).unwrap();
        let changed = with_byte_changed(&data, &at, change);
        prop_assert_eq!(open(&Sealed { data: changed, wrap: wrap.clone() }), Err(OpenError));
        let changed = with_byte_changed(&wrap, &at, change);
        prop_assert_eq!(open(&Sealed { data, wrap: changed }), Err(OpenError));
    }

    #[test]
    fn no_other_texts_open(data in "\\PC{0,200}", wrap in "[A-Za-z0-9_-]{140,144}") {
        let real = sealed();
        prop_assert_eq!(open(&Sealed { data: data.clone(), wrap: real.wrap }), Err(OpenError));
        prop_assert_eq!(open(&Sealed { data: real.data, wrap: wrap.clone() }), Err(OpenError));
        prop_assert_eq!(open(&Sealed { data, wrap }), Err(OpenError));
    }
}

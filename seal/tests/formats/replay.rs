//! Inputs that opened and still must not be used: replays, older ones, and those from the future.

use openteam_seal::{Admission, Binding, MAX_CLOCK_LEAD_MS, PrivateKey, admit, open_input, seal_input};
use proptest::prelude::*;

const BINDING: Binding<'static> =
    Binding { namespace: "acme", kind: "AmazonConnection", name: "acme-na", field: "RefreshToken" };
const NOW: u64 = 1_764_000_000_000;
const DAY: u64 = 24 * 60 * 60 * 1000;

/// Judges by the time inside the text, as who opens it does.
fn judge(key: &PrivateKey, text: &str, not_before_ms: u64, now_ms: u64) -> (Admission, u64) {
    let opened = open_input([key], &BINDING, text).unwrap();
    (admit(opened.sealed_at_ms, not_before_ms, now_ms), opened.sealed_at_ms)
}

#[test]
fn a_replayed_or_older_input_is_superseded_for_good() {
    let key = PrivateKey::generate();
    let seal = |at, secret: &[u8]| seal_input(key.public(), &BINDING, at, secret).unwrap();
    let (older, used) = (seal(NOW - 1, b"older"), seal(NOW, b"used"));
    let (twin, newer) = (seal(NOW, b"sealed in the same millisecond"), seal(NOW + 1, b"newer"));

    let (first, not_before) = judge(&key, &used, 0, NOW);
    assert_eq!((first, not_before), (Admission::Use, NOW));
    for later in [NOW, NOW + 1, NOW + MAX_CLOCK_LEAD_MS, NOW + 3650 * DAY] {
        for text in [&used, &twin, &older] {
            assert_eq!(judge(&key, text, not_before, later).0, Admission::Superseded, "{later}");
        }
        assert_eq!(judge(&key, &newer, not_before, later).0, Admission::Use, "{later}");
    }
}

#[test]
fn an_input_over_five_minutes_ahead_is_refused_until_the_clock_has_caught_up() {
    assert_eq!(MAX_CLOCK_LEAD_MS, 300_000);
    let key = PrivateKey::generate();
    for (ahead, expected) in [
        (300_000, Admission::Use),
        (300_001, Admission::FromTheFuture),
        (DAY, Admission::FromTheFuture),
        (u64::MAX - NOW, Admission::FromTheFuture),
    ] {
        let text = seal_input(key.public(), &BINDING, NOW + ahead, b"not a real token").unwrap();
        for not_before in [0, NOW - 1, NOW] {
            assert_eq!(judge(&key, &text, not_before, NOW).0, expected, "{ahead} ms ahead, not before {not_before}");
        }
        assert_eq!(judge(&key, &text, 0, NOW + ahead - 300_000).0, Admission::Use, "{ahead} ms later but for the lead");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    /// Around one time, where the boundaries are, and anywhere.
    #[test]
    fn nothing_is_used_twice_nor_before_its_time(
        sealed_at in prop_oneof![any::<u64>(), NOW - 3..NOW + 3, NOW + 299_997..NOW + 300_003],
        not_before in prop_oneof![any::<u64>(), Just(0), NOW - 3..NOW + 3],
        now in prop_oneof![any::<u64>(), NOW - 3..NOW + 3],
        later in any::<u64>(),
    ) {
        match admit(sealed_at, not_before, now) {
            Admission::Use => {
                prop_assert!(sealed_at > not_before && sealed_at.saturating_sub(now) <= 300_000);
                let later = later.max(now);
                prop_assert_eq!(admit(sealed_at, sealed_at, later), Admission::Superseded);
            }
            Admission::Superseded => prop_assert!(sealed_at <= not_before && sealed_at.saturating_sub(now) <= 300_000),
            Admission::FromTheFuture => prop_assert!(sealed_at.saturating_sub(now) > 300_000),
        }
    }
}

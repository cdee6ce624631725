//! Who would fill the record, or read what is not theirs.

use std::time::Duration;

use openteam_end_to_end::{US, house, within};

const CALLS: u64 = 1000;

#[test]
fn a_flood_of_strangers_fills_no_record() {
    let house = house();
    let before = house.journal().len();
    for number in 0..CALLS {
        let answer = house.gateway(0).call(&format!("ort_made-up-{number}")).orders(US);
        assert!(answer.status == 401 || answer.status == 403, "{}", answer.status);
    }
    // Counted by network and reason, for ten seconds each.
    let (strangers, _) = within(Duration::from_secs(40), "all are counted", || {
        let all = house.journal();
        let counted = all[before..].iter().filter(|record| record["event"]["message"] == "unknown callers refused");
        let counts: Vec<u64> = counted.filter_map(|record| record["event"]["count"].as_u64()).collect();
        (counts.iter().sum::<u64>() >= CALLS).then_some(counts)
    });
    assert!(strangers.len() < 50, "{CALLS} calls are {} events", strangers.len());
}

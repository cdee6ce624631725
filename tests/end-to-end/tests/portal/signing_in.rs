//! Signing in.

use openteam_end_to_end::house;

use crate::told;

#[test]
fn one_signs_in_by_a_code_from_the_mail_and_by_nothing_else() {
    let house = house();
    let tenant = house.tenant("doorstep");
    house.browse("signing-in", &told(&tenant), |what, _| unreachable!("{what}"));
}

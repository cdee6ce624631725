//! After everything else in this binary.

#[test]
fn promise_4_nothing_leaked_in_all_that_ran_here() {
    openteam_end_to_end::nothing_leaked_and_nobody_panicked();
}

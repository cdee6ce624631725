//! After everything else in this binary.

#[test]
fn nothing_leaked_in_all_that_ran_here() {
    openteam_end_to_end::nothing_leaked_and_nobody_panicked();
}

//! Who is in the house: many tests that leave it as it is, or one that does not.

use std::{
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
};

use crate::{House, house::Plan};

static HOUSE: LazyLock<House> = LazyLock::new(|| House::start(&Plan::default()));
static DOOR: RwLock<()> = RwLock::new(());

#[expect(dead_code, reason = "guards are held, not read")]
enum Held {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

/// The house, for as long as the test holds this.
pub struct Visit {
    held: Held,
}

/// The house, for a test that changes only objects of its own.
#[must_use]
pub fn house() -> Visit {
    LazyLock::force(&HOUSE);
    Visit { held: Held::Shared(DOOR.read().unwrap_or_else(PoisonError::into_inner)) }
}

/// The house, for a test that disturbs the others: it may stop roles, freeze the apiserver, turn Amazon's switches.
#[must_use]
pub fn alone() -> Visit {
    LazyLock::force(&HOUSE);
    Visit { held: Held::Alone(DOOR.write().unwrap_or_else(PoisonError::into_inner)) }
}

impl Deref for Visit {
    type Target = House;

    fn deref(&self) -> &House {
        &HOUSE
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if thread::panicking() {
            HOUSE.tell_what_the_roles_complained_about();
        }
        if matches!(self.held, Held::Alone(_)) {
            // Where the test has failed already, a second panic would end the whole binary without a word.
            let ordered = catch_unwind(AssertUnwindSafe(|| HOUSE.put_in_order()));
            assert!(ordered.is_ok() || thread::panicking(), "the house is in order again");
        }
    }
}

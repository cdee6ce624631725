//! One portal replica, as who goes around the Ingress meets it.

use crate::{House, RawAnswer, RawConnection, raw};

/// The portal's name, which its certificate has.
pub(crate) const HOST: &str = "openteam-portal.openteam-system.svc";

/// One portal replica.
pub struct Portal<'h> {
    house: &'h House,
    /// Its port on loopback.
    pub port: u16,
}

impl<'h> Portal<'h> {
    pub(crate) const fn new(house: &'h House, port: u16) -> Self {
        Self { house, port }
    }

    /// Its name, for a `Host` header.
    #[must_use]
    pub const fn host(&self) -> &'static str {
        HOST
    }

    /// Sends bytes as they are and reads until the portal closes.
    #[must_use]
    pub fn raw(&self, bytes: &[u8]) -> RawAnswer {
        raw::send(raw::trusting(self.house.authority()), HOST, self.port, bytes)
    }

    /// Opens a connection to say bytes on.
    #[must_use]
    pub fn open(&self) -> RawConnection {
        RawConnection::open(self.house, raw::trusting(self.house.authority()), HOST, self.port)
    }
}

//! What OpenTeam knows about Amazon's Selling Partner API: marketplaces, endpoints, the table of all operations, and how a
//! request is matched to one of them. With the feature `client` also the calls OpenTeam makes itself (Login with
//! Amazon, the Sellers and the Application Management API) and the notices that Amazon sends. The tables know no network,
//! clock or Kubernetes.

mod class;
mod endpoint;
mod marketplace;
mod name;
mod operation;
mod path;
mod query;
mod restricted;

#[cfg(feature = "client")]
mod applications;
#[cfg(feature = "client")]
mod http;
#[cfg(feature = "client")]
mod lwa;
#[cfg(feature = "client")]
mod notice;
#[cfg(feature = "client")]
mod sellers;
#[cfg(feature = "client")]
#[cfg(test)]
mod test_server;

pub use class::{Class, NeverServed, UnknownClass};
pub use endpoint::{Endpoint, EndpointError, LWA_HOST, LWA_TOKEN_PATH, LWA_TOKEN_URL};
pub use marketplace::{InvalidMarketplaceId, MARKETPLACES, Marketplace, MarketplaceId, Region, UnknownRegion};
pub use name::{Known, known_name};
pub use operation::{MarketplaceParameter, Method, Operation, Place, RestrictedData, Selector, operations};
pub use path::{Match, Parameter, PathError, find};
pub use query::{NamedMarketplaces, Pair, Query, QueryError};
pub use restricted::asks_restricted;

#[cfg(feature = "client")]
pub use applications::{ApplicationsClient, RotationError};
#[cfg(feature = "client")]
pub use http::{ClientError, PerBundle, RetryCause, USER_AGENT, amz_date, streaming_client};
#[cfg(feature = "client")]
pub use lwa::{AccessToken, GrantlessScope, LwaClient, LwaError, RefusedCode};
#[cfg(feature = "client")]
pub use notice::{NoticeError, SecretNews, SecretNotice};
#[cfg(feature = "client")]
pub use sellers::{Participation, SellersClient, SpApiError, Unauthorized};

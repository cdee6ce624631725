//! PortalUsers: watched, and changed by compare-and-swap, so that replicas share them without another store.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use crds::{PortalUser, PortalUserSpec};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, PostParams, Preconditions},
};
use process::watch::Change;
use tokio::time::timeout;

/// A change that others are making at the same time is tried again this often.
const ATTEMPTS: usize = 8;
/// How long one call to the apiserver may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Why a PortalUser was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsersError {
    /// The apiserver refused or did not answer.
    #[error("PortalUser cannot be written")]
    Api(#[source] kube::Error),
    /// The apiserver did not answer in time.
    #[error("PortalUser cannot be written: no answer")]
    TimedOut,
    /// Others kept changing it.
    #[error("PortalUser is being changed by too many at a time")]
    Contended,
}

/// All PortalUsers.
pub(crate) struct Users {
    api: Api<PortalUser>,
    seen: RwLock<HashMap<String, Arc<PortalUser>>>,
}

impl Users {
    pub(crate) fn new(client: &Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client.clone(), namespace), seen: RwLock::default() }
    }

    /// What the watch saw.
    pub(crate) fn apply(&self, change: Change<PortalUser>) {
        match change.without_leaving() {
            Change::All(all) => {
                let all: HashMap<_, _> =
                    all.into_iter().flatten().map(|user| (user.name_any(), Arc::new(user))).collect();
                *self.seen.write().unwrap_or_else(PoisonError::into_inner) = all;
            }
            Change::Applied(Ok(user)) => self.keep(user),
            Change::Deleted(Ok(user)) => {
                self.seen.write().unwrap_or_else(PoisonError::into_inner).remove(&user.name_any());
            }
            // One that does not parse is nobody: who it is about must sign in anew.
            Change::Applied(Err(invalid)) | Change::Deleted(Err(invalid)) => {
                tracing::error!(kind = "PortalUser", object = ?invalid.metadata.name, error = %invalid.error, "object does not parse");
                let name = invalid.metadata.name.unwrap_or_default();
                self.seen.write().unwrap_or_else(PoisonError::into_inner).remove(&name);
            }
        }
    }

    /// Keeps the newest: what was just written is known before the watch tells.
    fn keep(&self, user: PortalUser) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        let name = user.name_any();
        if seen.get(&name).is_none_or(|known| version(known) <= version(&user) || known.uid() != user.uid()) {
            seen.insert(name, Arc::new(user));
        }
    }

    /// One, as it was last seen.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<PortalUser>> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// One as the apiserver has it now: another replica may have just written it. For names that the portal itself gave
    /// out, so that strangers cannot have the apiserver asked.
    pub(crate) async fn read(&self, name: &str) -> Result<Option<Arc<PortalUser>>, UsersError> {
        let found = within(self.api.get_opt(name)).await?.map_err(UsersError::Api)?;
        Ok(found.map(|user| {
            self.keep(user.clone());
            Arc::new(user)
        }))
    }

    /// Whether a PortalUser of this address, in lower case, is contained.
    pub(crate) fn is_contained(&self, email: &str) -> bool {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.values().any(|user| user.spec.email == email && crds::annotation::incidents(&user.metadata).is_some())
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<PortalUser>> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Changes one, on the version that it was worked out from; worked out anew where somebody else was faster. `None`
    /// where there is no such user. A change that changes nothing writes nothing.
    pub(crate) async fn change<T>(
        &self,
        name: &str,
        mut change: impl FnMut(&mut PortalUserSpec) -> T,
    ) -> Result<Option<T>, UsersError> {
        let mut found = self.get(name);
        for attempt in 0..ATTEMPTS {
            if attempt > 0 || found.is_none() {
                found = self.read(name).await?;
            }
            let Some(user) = &found else { return Ok(None) };
            let mut changed = PortalUser::clone(user);
            let result = change(&mut changed.spec);
            if changed.spec == user.spec {
                return Ok(Some(result));
            }
            match within(self.api.replace(name, &PostParams::default(), &changed)).await? {
                Ok(written) => {
                    self.keep(written);
                    return Ok(Some(result));
                }
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
                Err(error) => return Err(UsersError::Api(error)),
            }
        }
        Err(UsersError::Contended)
    }

    /// Makes one where there is none.
    pub(crate) async fn ensure(&self, name: &str, email: &str) -> Result<(), UsersError> {
        if self.get(name).is_some() {
            return Ok(());
        }
        let user = PortalUser::new(name, PortalUserSpec { email: email.to_owned(), ..PortalUserSpec::default() });
        match within(self.api.create(&PostParams::default(), &user)).await? {
            Ok(made) => self.keep(made),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(UsersError::Api(error)),
        }
        Ok(())
    }

    /// Deletes this very version of one.
    pub(crate) async fn delete(&self, user: &PortalUser) -> Result<(), UsersError> {
        let preconditions = Preconditions { uid: user.uid(), resource_version: user.resource_version() };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match within(self.api.delete(&user.name_any(), &parameters)).await? {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
            Err(error) => Err(UsersError::Api(error)),
        }
    }
}

/// A call to the apiserver, whose client has no limit of its own.
async fn within<T>(call: impl Future<Output = T>) -> Result<T, UsersError> {
    timeout(LIMIT, call).await.map_err(|_| UsersError::TimedOut)
}

/// Versions of one kind are numbers that grow (Kubernetes, "Resource versions", since 1.35 by contract).
fn version(user: &PortalUser) -> u64 {
    user.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

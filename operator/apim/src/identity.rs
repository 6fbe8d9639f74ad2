//! Who the operator is in Azure, and the one place where clients are made.

mod chain;
mod credentials;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use azure_core::credentials::TokenCredential;
use operator_core::pace::Pace;

pub(crate) use credentials::few_retries;
pub use credentials::{Credentials, Environment};

use crate::arm::{ArmClient, ArmOptions, ArmReader, Parts, ServiceRef};
use crate::bucket::{Buckets, Limits};
use crate::cloud::CloudSettings;
use crate::gate::{OpenGate, WriteGate};
use crate::http::{self, HttpError};
use crate::locks::KeyedLocks;
use crate::observer::{CallObserver, NoObserver};
use crate::secret::Secret;
use crate::token::{TokenCache, TokenSource};
use crate::transport::{Http, Transport};

/// Credentials that cannot work as they stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} credentials: {message}")]
pub struct IdentityError {
    /// Which kind of credentials.
    pub kind: &'static str,
    /// What is wrong with them.
    pub message: String,
}

/// One cloud, as this process sees it: HTTP clients, principals with their
/// budgets, and the locks that keep writes to an API serial.
///
/// There is one per cloud in a process; clients that are made by two of them
/// know nothing of each other's writes.
pub struct Azure {
    pub(crate) cloud: CloudSettings,
    transport: Arc<dyn Transport>,
    /// For the SDK's crates.
    pub(crate) transports: http::Transports,
    environment: Environment,
    options: ArmOptions,
    limits: Limits,
    observer: Arc<dyn CallObserver>,
    gate: Arc<dyn WriteGate>,
    locks: Arc<KeyedLocks>,
    principals: Mutex<HashMap<String, Arc<Principal>>>,
}

/// A principal: one identity with its tokens and its budget.
#[derive(Debug)]
pub struct Principal {
    /// For the SDK's clients.
    pub(crate) credential: Arc<dyn TokenCredential>,
    tokens: Arc<dyn TokenSource>,
    buckets: Arc<Buckets>,
}

impl fmt::Debug for Azure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Azure")
            .field("cloud", &self.cloud)
            .finish_non_exhaustive()
    }
}

impl Azure {
    /// A cloud with Azure's own limits and the process's environment.
    pub fn new(cloud: CloudSettings) -> Result<Self, HttpError> {
        let ca_file = cloud.ca_file.as_deref();
        let options = ArmOptions {
            api_version: cloud.api_version.clone(),
            ..ArmOptions::default()
        };
        Ok(Self {
            transport: Arc::new(Http(http::http_client(ca_file)?)),
            transports: http::Transports::new(ca_file)?,
            environment: Environment::of_process(),
            options,
            limits: Limits::default(),
            observer: Arc::new(NoObserver),
            gate: Arc::new(OpenGate),
            locks: Arc::default(),
            principals: Mutex::default(),
            cloud,
        })
    }

    /// With other times and sizes; the API version stays the cloud's.
    #[must_use]
    pub fn with_options(mut self, options: ArmOptions) -> Self {
        self.options = options;
        self.options.api_version.clone_from(&self.cloud.api_version);
        self
    }

    /// With pauses that pass at this pace.
    #[must_use]
    pub fn at(mut self, pace: Pace) -> Self {
        self.options = self.options.at(pace);
        self
    }

    /// With another budget per principal.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// With somebody who is told of every call.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn CallObserver>) -> Self {
        self.observer = observer;
        self
    }

    /// With somebody who is asked before each write whether it may leave.
    #[must_use]
    pub fn with_gate(mut self, gate: Arc<dyn WriteGate>) -> Self {
        self.gate = gate;
        self
    }

    /// With another environment than the process's, for the chain.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// The cloud.
    #[must_use]
    pub const fn cloud(&self) -> &CloudSettings {
        &self.cloud
    }

    /// The principal of some credentials; the same for the same ones, so that
    /// they share tokens and budget.
    pub fn principal(&self, credentials: &Credentials) -> Result<Arc<Principal>, IdentityError> {
        let mut principals = self
            .principals
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let key = credentials.key();
        if let Some(principal) = principals.get(&key) {
            return Ok(principal.clone());
        }
        let credential = credentials.build(&self.cloud, &self.transports, &self.environment)?;
        let renew = {
            let (credentials, cloud) = (credentials.clone(), self.cloud.clone());
            let (transports, environment) = (self.transports.clone(), self.environment.clone());
            // What could be made once can be made again.
            move || credentials.build(&cloud, &transports, &environment).ok()
        };
        let tokens = TokenCache::new(credential.clone(), self.cloud.arm_scope(), renew);
        let principal = Arc::new(Principal {
            credential,
            tokens: Arc::new(tokens),
            buckets: Arc::new(Buckets::new(self.limits)),
        });
        principals.insert(key, principal.clone());
        Ok(principal)
    }

    /// A token of some credentials for something else than the resource
    /// manager.
    pub async fn token(
        &self,
        credentials: &Credentials,
        scope: &str,
    ) -> Result<Secret<String>, IdentityError> {
        let credential = credentials.build(&self.cloud, &self.transports, &self.environment)?;
        match credential.get_token(&[scope], None).await {
            Ok(token) => Ok(Secret::new(token.token.secret().to_owned())),
            Err(error) => Err(IdentityError {
                kind: credentials.kind(),
                message: format!("no token for {scope}: {error}"),
            }),
        }
    }

    /// A client for one APIM service.
    pub fn client(
        &self,
        service: ServiceRef,
        credentials: &Credentials,
    ) -> Result<ArmClient, IdentityError> {
        Ok(ArmClient::new(&self.parts(service, credentials)?))
    }

    /// A client for one APIM service that cannot write.
    pub fn reader(
        &self,
        service: ServiceRef,
        credentials: &Credentials,
    ) -> Result<ArmReader, IdentityError> {
        Ok(ArmReader::new(&self.parts(service, credentials)?))
    }

    fn parts(
        &self,
        service: ServiceRef,
        credentials: &Credentials,
    ) -> Result<Parts, IdentityError> {
        let principal = self.principal(credentials)?;
        Ok(Parts {
            service,
            resource_manager: self.cloud.resource_manager.clone(),
            transport: self.transport.clone(),
            tokens: principal.tokens.clone(),
            buckets: principal.buckets.clone(),
            locks: self.locks.clone(),
            observer: self.observer.clone(),
            gate: self.gate.clone(),
            options: self.options.clone(),
        })
    }
}

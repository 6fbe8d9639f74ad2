//! Which service, and with which times.

use std::fmt;
use std::time::Duration;

use operator_core::pace::Pace;

/// Which APIM service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServiceRef {
    /// The subscription's id.
    pub subscription_id: String,
    /// The resource group's name.
    pub resource_group: String,
    /// The service's name.
    pub service_name: String,
}

impl ServiceRef {
    /// Its id in the resource manager.
    #[must_use]
    pub fn id(&self) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.ApiManagement/service/{}",
            self.subscription_id, self.resource_group, self.service_name
        )
    }
}

impl fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}",
            self.subscription_id, self.resource_group, self.service_name
        )
    }
}

/// Times and sizes. The defaults suit Azure; tests shorten them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmOptions {
    /// Of `Microsoft.ApiManagement`.
    pub api_version: String,
    /// For one attempt of a read.
    pub read_timeout: Duration,
    /// For one attempt of a write; ARM itself gives up after about 110 s.
    pub write_timeout: Duration,
    /// For one call with all its attempts.
    pub call_timeout: Duration,
    /// For a long-running operation, from its start.
    pub operation_timeout: Duration,
    /// How often a failed call is repeated.
    pub retries: u32,
    /// The longest pause before the first repetition; doubles each time.
    pub backoff: Duration,
    /// The longest pause before any.
    pub backoff_cap: Duration,
    /// A `Retry-After` up to this is waited for here; a longer one is given
    /// back to the caller.
    pub longest_retry_after: Duration,
    /// How long a new revision may take until the gateway answers for it as it
    /// should.
    pub probe_wait: Duration,
    /// How long to wait for the lock that an import leaves on its API.
    pub lock_wait: Duration,
    /// The first pause between two looks at a long-running operation; doubles
    /// each time up to `poll_cap`. A `Retry-After` of the service replaces it.
    pub poll: Duration,
    /// The longest pause between two looks.
    pub poll_cap: Duration,
    /// The largest body that is read, in bytes.
    pub max_body: usize,
    /// How fast a `Retry-After` of the service passes.
    pub pace: Pace,
}

impl ArmOptions {
    /// The same with pauses at this pace; time-outs stay.
    #[must_use]
    pub fn at(self, pace: Pace) -> Self {
        Self {
            backoff: pace.of(self.backoff),
            backoff_cap: pace.of(self.backoff_cap),
            lock_wait: pace.of(self.lock_wait),
            probe_wait: pace.of(self.probe_wait),
            poll: pace.of(self.poll),
            poll_cap: pace.of(self.poll_cap),
            pace,
            ..self
        }
    }
}

impl Default for ArmOptions {
    fn default() -> Self {
        Self {
            api_version: crate::cloud::DEFAULT_API_VERSION.to_owned(),
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(115),
            call_timeout: Duration::from_mins(3),
            operation_timeout: Duration::from_secs(450),
            retries: 2,
            backoff: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(4),
            longest_retry_after: Duration::from_secs(10),
            lock_wait: Duration::from_secs(15),
            probe_wait: Duration::from_mins(1),
            poll: Duration::from_millis(250),
            poll_cap: Duration::from_secs(10),
            max_body: 16 << 20,
            pace: Pace::REAL,
        }
    }
}

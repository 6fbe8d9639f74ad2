//! Why a condition is as it is: one word for machines.

use std::fmt;

/// The types of the conditions that an ExposedAPI has.
pub mod conditions {
    /// Everything holds.
    pub const READY: &str = "Ready";
    /// Work is under way.
    pub const RECONCILING: &str = "Reconciling";
    /// Nothing will happen until somebody does something.
    pub const STALLED: &str = "Stalled";
    /// Traffic can reach the implementation.
    pub const EXPOSURE_READY: &str = "ExposureReady";
    /// The policy documents are made and found good.
    pub const POLICY_RENDERED: &str = "PolicyRendered";
    /// API Management has what it should have.
    pub const APIM_SYNCED: &str = "ApimSynced";
    /// Others changed what the operator had put in place. Absent until that
    /// happens for the first time.
    pub const DRIFTED: &str = "Drifted";
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The reason of a condition.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// As a condition spells it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

reasons! {
    /// The spec, or a name, cannot be understood or used.
    InvalidSpec,
    /// An annotation cannot be understood or used.
    InvalidAnnotation,
    /// The instance does not let owners do this.
    Forbidden,
    /// Another object has the path.
    PathConflict,
    /// The versions of a set disagree.
    VersionConflict,
    /// The instance's settings contradict themselves or the plugins.
    InvalidInstance,
    /// The settings of a `PolicyPlugin` contradict the plugin.
    InvalidPolicyPlugin,
    /// The settings of a profile cannot be used, or contradict a plugin.
    InvalidProfile,
    /// The Secret of a profile is not there, or cannot be used.
    SecretUnusable,
    /// No profile of the name exists.
    ProfileNotFound,
    /// A name is both a profile of the namespace and one of the cluster.
    AmbiguousProfile,
    /// A mandatory plugin does not let owners do this.
    Locked,
    /// No instance is there, or none of the name.
    NoInstance,
    /// The instance where the API is published does not serve it any more.
    NotServed,
    /// The instance could not be read yet.
    InstanceUnavailable,
    /// A plugin of the chain does not exist.
    PluginNotFound,
    /// A plugin of the chain is being loaded.
    PluginLoading,
    /// A plugin of the chain cannot be used.
    PluginFailed,
    /// A plugin of the chain took too long.
    PluginTimeout,
    /// A plugin of the chain wanted more memory than it may have.
    PluginOutOfMemory,
    /// A plugin of the chain crashed.
    PluginTrap,
    /// A plugin of the chain was to be given more than it may.
    PluginInputTooLarge,
    /// A plugin of the chain answered more than it may.
    PluginOutputTooLarge,
    /// A plugin of the chain answered what cannot be used.
    PluginInvalidOutput,
    /// A document that a plugin works on is not there, or not for this owner.
    DocumentMissing,
    /// What the plugins made is not a policy that API Management would take.
    InvalidPolicy,
    /// The OpenAPI document is not usable.
    InvalidDocument,
    /// The tier of the instance does not take it.
    TierLimit,
    /// The OpenAPI document could not be fetched.
    DocumentUnavailable,
    /// The object that exposes the API has no address yet.
    NoAddress,
    /// Nobody takes the route that exposes the API.
    NotAccepted,
    /// An implementation outside the cluster has no URL that is allowed.
    NoBackend,
    /// The Service does not exist.
    NoService,
    /// The Service has no ready endpoint.
    NoReadyEndpoints,
    /// The self-hosted gateway at which it is reached does not serve it.
    GatewayNotReady,
    /// It has an address.
    Exposed,
    /// It is not needed for this type of API.
    NotNeeded,
    /// The policy documents are made.
    Rendered,
    /// API Management has everything.
    Synced,
    /// Callers were led back to an earlier revision.
    RolledBack,
    /// It is being written.
    Progressing,
    /// It has not been reached yet.
    Pending,
    /// Everything holds.
    Published,
    /// Nothing is left to do.
    Done,
    /// The object is paused.
    Paused,
    /// The object is being deleted.
    Deleting,
    /// Others changed something, and the object asks that it be left.
    Reported,
    /// Others changed something, and it is being put back.
    Correcting,
    /// Nothing differs from what was put in place.
    InPlace,
    /// An API of this id exists that is not ours.
    NotOurs,
    /// Somebody wrote in between.
    Conflict,
    /// Too many requests.
    Throttled,
    /// Something that API Management must have first is not there; the message
    /// names it.
    WaitingForDependency,
    /// It failed and is tried again.
    Failed,
    /// The operator is not allowed to.
    Denied,
    /// It failed too often; it is not tried until something changes.
    RetriesExhausted,
    /// The object was refused.
    Rejected,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

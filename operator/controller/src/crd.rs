//! The CustomResourceDefinitions that the operator works with. It prints them
//! for a person to install and never writes one to a cluster.

pub mod apim_instance;
pub mod exposed_api;
pub mod policy_plugin;

pub use apim_instance::ApimInstance;
pub use policy_plugin::PolicyPlugin;

//! The CustomResourceDefinitions that the operator works with. It prints them
//! for a person to install and never writes one to a cluster.

pub mod apim_instance;
pub mod exposed_api;

pub use apim_instance::ApimInstance;

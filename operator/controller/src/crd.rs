//! The CustomResourceDefinitions that the operator works with. It prints them
//! for a person to install and never writes one to a cluster.

pub mod apim_instance;
pub mod apim_product;
pub mod apim_subscription;
pub mod exposed_api;
pub mod policy_plugin;
pub mod policy_profile;
pub mod self_hosted_gateway;

pub use apim_instance::ApimInstance;
pub use apim_product::ApimProduct;
pub use apim_subscription::ApimSubscription;
pub use policy_plugin::PolicyPlugin;
pub use policy_profile::{ClusterPolicyProfile, PolicyProfile};
pub use self_hosted_gateway::SelfHostedGateway;

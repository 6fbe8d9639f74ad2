//! Self-hosted gateways: API Management's own gateway as a container in the
//! cluster. What their owners write, what is made of it in API Management and
//! in the cluster, which APIs each serves, and when its token is replaced.
//!
//! Facts about the container are from Microsoft's "Reference: Self-hosted
//! gateway container configuration settings", "Guidance for running
//! self-hosted gateway on Kubernetes in production", and the official Helm
//! chart. The image itself does not run in the tests of this project: what is
//! decided here is shown up to the object.

mod container;
mod desired;
mod objects;
pub mod select;
pub mod sidecar;
pub mod spec;
#[cfg(test)]
mod tests;
pub mod token;

pub use container::OFFICIAL_IMAGE;
pub use desired::{
    DesiredGateway, GatewayProperties, Location, Refused, as_ours, gateway, gateway_id,
};
pub use objects::{
    COMPONENT, KINDS, Manifest, TOKEN_KEY, backend_name, object_name, secret_name, service_host,
};

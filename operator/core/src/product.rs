//! Products and subscriptions of API Management as objects of a namespace:
//! what their owners write, what is made of it, and what leads from what is
//! there to that.
//!
//! A product carries our mark in its description, as an HTML comment that the
//! developer portal does not show. A subscription has no place for one: its id
//! is made of prefix, namespace and name, and says whose it is.

mod desired;
mod plan;
pub mod policy;
pub mod rotation;
pub mod spec;
pub mod subscription;

pub use desired::{DesiredProduct, ProductSettings, product, product_id};
pub use plan::{ObservedProduct, ProductStep, Refused, Use, released, steps};

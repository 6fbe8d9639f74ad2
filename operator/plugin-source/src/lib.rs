//! Where plugins come from: OCI registries, HTTP servers, ConfigMaps and files,
//! and who signed them.
//!
//! It resolves a reference to a digest, verifies the digest's signature, pulls
//! the bytes of that digest and nothing else, and keeps them on disk.
//!
//! It must never run, compile or parse a plugin, and never return bytes that
//! do not have the digest that was asked for.
#![forbid(unsafe_code)]

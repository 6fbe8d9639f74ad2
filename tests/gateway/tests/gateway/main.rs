//! The gateway as callers meet it: exact answers through the real listener.

#![forbid(unsafe_code)]
#![expect(clippy::expect_used, reason = "the helpers of tests are tests as well")]

mod backend;
mod caching;
mod certificates;
mod documents;
mod expressions;
mod forged;
mod fuzzed;
mod hostile;
mod identities;
mod limits;
mod routing;
mod stage;
mod tokens;
mod tracing;
mod transforming;
mod validation;
mod xml;

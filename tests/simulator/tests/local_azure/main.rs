//! The simulator as a client sees it: over HTTPS, with exact answers.

#![forbid(unsafe_code)]
#![expect(clippy::expect_used, reason = "the helpers of tests are tests as well")]

mod apis;
mod authorization;
mod browser;
mod control;
mod entities;
mod entra;
mod gateway;
mod gateways;
mod html;
mod imports;
mod key_vault;
mod long_running;
mod moments;
mod page;
mod policies;
mod products;
mod program;
mod replay;
mod sdk;
mod support;

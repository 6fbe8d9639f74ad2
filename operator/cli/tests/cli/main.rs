//! The command line as its users meet it: the built program, its exit codes,
//! its two output streams.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may end this way"
)]

mod author;
mod bad_input;
mod crd;
mod help;
mod lint;
mod plugin;
mod program;
mod registry;
mod render;
mod run;
mod serve;

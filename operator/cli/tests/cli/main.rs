//! The command line as its users meet it: the built program, its exit codes,
//! its two output streams.
#![forbid(unsafe_code)]

mod bad_input;
mod crd;
mod help;
mod plugin;
mod program;
mod render;
mod run;

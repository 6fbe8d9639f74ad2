//! Random fault schedules: the operator is run against a real API server and a
//! local Azure while everything around it goes wrong, and afterwards the world
//! must be as it was wanted.
//!
//! A schedule is drawn from a seed; the checks know what was asked for and what
//! was recorded, and never ask the operator. The operator runs in this process
//! on a runtime of its own, so that it can be killed between any two of its
//! calls; nothing else of it is touched.
#![forbid(unsafe_code)]

mod azure;
mod check;
mod draw;
mod kube_tap;
mod lab;
mod logs;
mod minimise;
mod operator;
mod run;
mod schedule;
mod stage;
mod tally;
mod wanted;

pub use check::{RULES, Violation};
pub use lab::Lab;
pub use minimise::minimise;
pub use run::{Outcome, run};
pub use schedule::{Schedule, Step};
pub use tally::Tally;

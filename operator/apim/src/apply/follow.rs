//! Who is told how an apply comes along.

use async_trait::async_trait;
use operator_core::apim::{AppliedRecord, Step};

/// A step that is about to start.
#[derive(Debug)]
pub struct Progress<'a> {
    /// What it is.
    pub step: &'a Step,
    /// Its number, from 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
    /// What is in place now; the part that the step changes is left out.
    pub record: &'a AppliedRecord,
}

/// Is told how an apply comes along.
#[async_trait]
pub trait Follow: Send + Sync {
    /// A step is about to start.
    fn step(&self, progress: Progress<'_>);

    /// An import was accepted and runs; the record says where to ask for it.
    /// The wait begins after this has returned, so that whoever keeps the
    /// record here can be killed during the wait without starting the import
    /// again.
    async fn accepted(&self, record: &AppliedRecord);
}

/// Nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

#[async_trait]
impl Follow for Silent {
    fn step(&self, _: Progress<'_>) {}

    async fn accepted(&self, _: &AppliedRecord) {}
}

//! Taking an API away.

use operator_core::class::ErrorClass;
use operator_core::names::ApiId;

use crate::apply::{Applier, ApplyError, Failure};
use crate::error::ArmError;

/// How often the API is read again when somebody wrote in between.
const ROUNDS: u32 = 3;

/// What a deletion found and did. After each of these, nothing of the object
/// is left in the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// The API was there, and is gone with all its revisions.
    Gone,
    /// There was none.
    WasAbsent,
    /// There is one, without our mark; it was left alone.
    NotOurs {
        /// What its revision description says.
        whose: Option<String>,
    },
    /// The service itself, or its resource group, does not exist.
    ServiceAbsent,
}

impl Applier {
    /// Deletes the API with all its revisions, if it carries the mark. It is
    /// read before, always.
    pub async fn delete(&self, api_id: &ApiId, mark: &str) -> Result<Deleted, ApplyError> {
        let client = self.client();
        let id = api_id.as_str();
        let _writer = client.lock_api(id).await;
        let mut round = 1;
        loop {
            let api = match client.reader().marked_api(id, mark).await {
                Ok(None) => return Ok(Deleted::WasAbsent),
                Ok(Some(api)) => api,
                Err(error) if error.is_service_absent() => return Ok(Deleted::ServiceAbsent),
                Err(error) => return Err(failed(error)),
            };
            if !api.carries(mark) {
                return Ok(Deleted::NotOurs { whose: api.whose() });
            }
            self.check_cancelled().map_err(ApplyError::bare)?;
            match client.delete_api(id, api.etag.as_deref()).await {
                Ok(()) => return Ok(Deleted::Gone),
                Err(error) if error.class == ErrorClass::Conflict && round < ROUNDS => {
                    round += 1;
                    self.settle().await;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

fn failed(error: ArmError) -> ApplyError {
    ApplyError::bare(Failure::Arm(error))
}

//! Long-running operations, in both of ARM's shapes.
//!
//! 1. `202` with `Location`: asked again until it answers something else than
//!    202; that answer is the result, with the entity or the error.
//! 2. `200` or `201` (or `202`) with `Azure-AsyncOperation`: asked until its
//!    `status` is final; the entity is then read where it lives.

use operator_core::class::ErrorClass;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use crate::arm::{ArmClient, ArmReader, ReadCall, WriteCall};
use crate::error::{ArmError, Cause, ErrorBody};
use crate::transport::HttpAnswer;

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With an answer that holds the entity, or nothing where there is none.
    Answer(HttpAnswer),
    /// Well, after a while; the entity has to be read.
    Later,
}

impl Ended {
    pub(crate) fn etag(&self) -> Option<String> {
        match self {
            Self::Answer(answer) => answer.etag(),
            Self::Later => None,
        }
    }
}

/// The body behind `Azure-AsyncOperation`.
#[derive(Deserialize)]
struct Operation {
    #[serde(default)]
    status: String,
    #[serde(default)]
    error: Option<ErrorBody>,
}

impl ArmClient {
    /// Makes a call and waits until what it started has ended.
    pub(crate) async fn run(&self, call: &WriteCall) -> Result<Ended, ArmError> {
        let started = Instant::now();
        let answer = self.write(call).await?;
        if let Some(url) = answer.header("azure-asyncoperation") {
            let poll = Self::poll_call(call, url)?;
            self.until_final(call, &poll, &answer, started).await?;
            return Ok(Ended::Later);
        }
        if answer.status == 202 {
            let Some(url) = answer.header("location") else {
                return Err(protocol(call, "a 202 without a place to ask"));
            };
            let poll = Self::poll_call(call, url)?;
            return self.until_there(call, &poll, answer, started).await;
        }
        Ok(Ended::Answer(answer))
    }

    fn poll_call(call: &WriteCall, url: &str) -> Result<ReadCall, ArmError> {
        let url: Url = call
            .target
            .url
            .join(url)
            .map_err(|error| protocol(call, format!("`{url}` is no URL to ask: {error}")))?;
        let what = format!("the result of {}", call.name());
        Ok(ArmReader::get_url(url, "operationResult", what))
    }

    async fn until_final(
        &self,
        call: &WriteCall,
        poll: &ReadCall,
        first: &HttpAnswer,
        started: Instant,
    ) -> Result<(), ArmError> {
        let mut asked_to_wait = first.retry_after();
        for round in 0.. {
            self.wait(call, asked_to_wait, round, started).await?;
            let answer = self.reader().read(poll).await?;
            asked_to_wait = answer.retry_after();
            if answer.status == 202 && answer.body.is_empty() {
                continue;
            }
            let operation: Operation = answer.json(&poll.name())?;
            match operation.status.to_ascii_lowercase().as_str() {
                "succeeded" => return Ok(()),
                "failed" | "canceled" | "cancelled" => {
                    return Err(ArmError::answered(
                        &call.name(),
                        Cause::Operation,
                        None,
                        operation.error.unwrap_or_default(),
                        None,
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn until_there(
        &self,
        call: &WriteCall,
        poll: &ReadCall,
        first: HttpAnswer,
        started: Instant,
    ) -> Result<Ended, ArmError> {
        let mut asked_to_wait = first.retry_after();
        for round in 0.. {
            self.wait(call, asked_to_wait, round, started).await?;
            let answer = self.reader().read(poll).await.map_err(|mut error| {
                // The answer there is the answer to the call.
                if error.cause == Cause::Answer {
                    error.call = call.name();
                    error.cause = Cause::Operation;
                }
                error
            })?;
            if answer.status != 202 {
                return Ok(Ended::Answer(answer));
            }
            asked_to_wait = answer.retry_after();
        }
        Ok(Ended::Later)
    }

    async fn wait(
        &self,
        call: &WriteCall,
        asked: Option<std::time::Duration>,
        round: u32,
        started: Instant,
    ) -> Result<(), ArmError> {
        let options = self.options();
        let own = options
            .poll
            .saturating_mul(1 << round.min(16))
            .min(options.poll_cap);
        let pause = asked.map_or(own, |asked| options.pace.of(asked));
        if started.elapsed() + pause > options.operation_timeout {
            return Err(ArmError::without_answer(
                &call.name(),
                Cause::TimedOut,
                ErrorClass::Transient,
                format!(
                    "the operation was accepted and is still running after {} s",
                    started.elapsed().as_secs()
                ),
            ));
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

fn protocol(call: &WriteCall, message: impl Into<String>) -> ArmError {
    ArmError::without_answer(
        &call.name(),
        Cause::Protocol,
        ErrorClass::Transient,
        message,
    )
}

#[cfg(test)]
mod tests;

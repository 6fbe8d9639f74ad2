//! Long-running operations, in both of ARM's shapes.
//!
//! 1. `202` with `Location`: asked again until it answers something else than
//!    202; that answer is the result, with the entity or the error.
//! 2. `200` or `201` (or `202`) with `Azure-AsyncOperation`: asked until its
//!    `status` is final; the entity is then read where it lives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use operator_core::apim::PollShape;
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

/// What became of a call at once.
#[derive(Debug)]
pub(crate) enum Started {
    /// It has ended.
    Ended(HttpAnswer),
    /// It was accepted.
    Running(Running),
}

/// An operation that was accepted and has to be asked for.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    /// The call that started it.
    call: String,
    poll: ReadCall,
    shape: PollShape,
    /// What the service asked for before the first look.
    wait: Option<Duration>,
}

/// Why it is not known that an operation ended well.
#[derive(Debug)]
pub(crate) enum Unfinished {
    /// It ended, in this error.
    Failed(ArmError),
    /// The service knows of no such operation any more, so nothing says how it
    /// ended.
    Lost(ArmError),
    /// It ran when the time was over.
    Endless(ArmError),
    /// It could not be asked for.
    Unasked(ArmError),
    /// Somebody asked to stop.
    Cancelled(ArmError),
}

impl Unfinished {
    fn into_error(self) -> ArmError {
        match self {
            Self::Failed(error)
            | Self::Lost(error)
            | Self::Endless(error)
            | Self::Unasked(error)
            | Self::Cancelled(error) => error,
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
        match self.start(call).await? {
            Started::Ended(answer) => Ok(Ended::Answer(answer)),
            Started::Running(running) => {
                let never = AtomicBool::new(false);
                let ended = self.reader().finish(&running, &never).await;
                ended.map_err(Unfinished::into_error)
            }
        }
    }

    /// Makes a call, without waiting for what it starts.
    pub(crate) async fn start(&self, call: &WriteCall) -> Result<Started, ArmError> {
        let answer = self.write(call).await?;
        let (url, shape) = if let Some(url) = answer.header("azure-asyncoperation") {
            (url, PollShape::AsyncOperation)
        } else if answer.status == 202 {
            let missing = || protocol(&call.name(), "a 202 without a place to ask");
            (
                answer.header("location").ok_or_else(missing)?,
                PollShape::Location,
            )
        } else {
            return Ok(Started::Ended(answer));
        };
        let url = call.target.url.join(url).map_err(|error| {
            let message = format!("`{url}` is no URL to ask: {error}");
            protocol(&call.name(), message)
        })?;
        Ok(Started::Running(Running::new(
            call.name(),
            url,
            shape,
            answer.retry_after(),
        )))
    }
}

impl Running {
    fn new(call: String, url: Url, shape: PollShape, wait: Option<Duration>) -> Self {
        let what = format!("the result of {call}");
        Self {
            poll: ArmReader::get_url(url, "operationResult", what),
            call,
            shape,
            wait,
        }
    }

    /// An operation that an earlier process started.
    pub(crate) fn resumed(call: String, url: Url, shape: PollShape) -> Self {
        // Nobody has asked for a while.
        Self::new(call, url, shape, Some(Duration::ZERO))
    }

    pub(crate) fn url(&self) -> &Url {
        self.poll.url()
    }

    pub(crate) const fn shape(&self) -> PollShape {
        self.shape
    }

    /// What an answer says: that it has ended, or none while it runs.
    fn read(&self, answer: HttpAnswer) -> Result<Option<Ended>, Unfinished> {
        match self.shape {
            PollShape::Location if answer.status == 202 => Ok(None),
            PollShape::Location => Ok(Some(Ended::Answer(answer))),
            PollShape::AsyncOperation if answer.status == 202 && answer.body.is_empty() => Ok(None),
            PollShape::AsyncOperation => {
                let operation: Operation = answer
                    .json(&self.poll.name())
                    .map_err(Unfinished::Unasked)?;
                match operation.status.to_ascii_lowercase().as_str() {
                    "succeeded" => Ok(Some(Ended::Later)),
                    "failed" | "canceled" | "cancelled" => {
                        Err(Unfinished::Failed(ArmError::answered(
                            &self.call,
                            Cause::Operation,
                            None,
                            operation.error.unwrap_or_default(),
                            None,
                        )))
                    }
                    _ => Ok(None),
                }
            }
        }
    }

    /// What an error that was answered says of the operation.
    fn judge(&self, mut error: ArmError) -> Unfinished {
        if error.cause != Cause::Answer {
            return Unfinished::Unasked(error);
        }
        let of_the_question = error.gateway
            || matches!(error.class, ErrorClass::Throttled(_) | ErrorClass::Denied)
            || matches!(error.status, Some(502..=504));
        match error.status {
            Some(404) if !error.is_service_absent() => {
                error.cause = Cause::Operation;
                error.class = ErrorClass::Transient;
                error.missing = None;
                Unfinished::Lost(error)
            }
            _ if of_the_question || self.shape == PollShape::AsyncOperation => {
                Unfinished::Unasked(error)
            }
            _ => {
                // The answer there is the answer to the call.
                error.call.clone_from(&self.call);
                error.cause = Cause::Operation;
                Unfinished::Failed(error)
            }
        }
    }
}

impl ArmReader {
    /// Asks for an operation until it has ended.
    pub(crate) async fn finish(
        &self,
        running: &Running,
        cancelled: &AtomicBool,
    ) -> Result<Ended, Unfinished> {
        let started = Instant::now();
        let mut asked_to_wait = running.wait;
        for round in 0.. {
            self.wait(running, asked_to_wait, round, started).await?;
            if cancelled.load(Ordering::Relaxed) {
                return Err(Unfinished::Cancelled(protocol(
                    &running.call,
                    "stopped while the operation runs",
                )));
            }
            let answer = self.read(&running.poll).await;
            let answer = answer.map_err(|error| running.judge(error))?;
            asked_to_wait = answer.retry_after();
            if let Some(ended) = running.read(answer)? {
                return Ok(ended);
            }
        }
        Ok(Ended::Later)
    }

    async fn wait(
        &self,
        running: &Running,
        asked: Option<Duration>,
        round: u32,
        started: Instant,
    ) -> Result<(), Unfinished> {
        let options = self.options();
        let own = options
            .poll
            .saturating_mul(1 << round.min(16))
            .min(options.poll_cap);
        let pause = asked.map_or(own, |asked| options.pace.of(asked));
        if started.elapsed() + pause > options.operation_timeout {
            return Err(Unfinished::Endless(ArmError::without_answer(
                &running.call,
                Cause::TimedOut,
                ErrorClass::Transient,
                format!(
                    "the operation was accepted and is still running after {} s",
                    started.elapsed().as_secs()
                ),
            )));
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

fn protocol(call: &str, message: impl Into<String>) -> ArmError {
    ArmError::without_answer(call, Cause::Protocol, ErrorClass::Transient, message)
}

#[cfg(test)]
mod tests;

//! Long-running operations: both shapes in which ARM has them.
//!
//! An accepted request is kept whole and carried out when the operation ends:
//! after a number of looks (a poll, a GET of the entity, a write that was
//! refused because of it), or when its time is over.

use super::error::ArmError;
use super::path::Target;
use super::request::Request;
use super::store::Service;
use crate::config::{LroMode, LroSettings};
use crate::http::Reply;
use crate::world::hex_id;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// One operation.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    request: Request,
    target: Target,
    /// The API whose writes are refused meanwhile.
    pub(crate) api: Option<String>,
    looks_left: u32,
    deadline: Timestamp,
    success_code: u16,
    outcome: Option<Result<Reply, ArmError>>,
}

impl Operation {
    pub(crate) fn has_ended(&self) -> bool {
        self.outcome.is_some()
    }
}

/// The shape that a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Sync,
    AsyncOperation,
    Location,
}

/// Decides the shape from the fault, the settings and the api-version.
pub(crate) fn shape(settings: &LroSettings, request: &Request) -> Shape {
    let by_fault = request.fault.as_ref().and_then(|fault| fault.lro);
    match by_fault.unwrap_or(settings.mode) {
        LroMode::Sync => Shape::Sync,
        LroMode::Location => Shape::Location,
        LroMode::Auto if request.is_old_version() => Shape::Location,
        LroMode::AsyncOperation | LroMode::Auto => Shape::AsyncOperation,
    }
}

impl Service {
    /// Accepts a request that will answer `success_code` in the end. `stub` is
    /// what the entity is called meanwhile: its id, type and name.
    pub(crate) fn accept(
        &mut self,
        settings: &LroSettings,
        request: &Request,
        target: &Target,
        shape: Shape,
        success_code: u16,
        stub: &Value,
    ) -> Reply {
        let id = hex_id();
        let looks = request
            .fault
            .as_ref()
            .and_then(|fault| fault.polls)
            .unwrap_or(settings.polls);
        let limit = SignedDuration::from_millis(i64::from(settings.max_duration_ms));
        self.under_way.insert(id.clone());
        self.operations.insert(
            id.clone(),
            Operation {
                request: request.clone(),
                target: target.clone(),
                api: target.api().map(super::path::ApiRef::key),
                looks_left: looks,
                deadline: request.now + limit,
                success_code,
                outcome: None,
            },
        );
        let entity = format!("{}{}/{}", request.origin, self.id(), request.rest.join("/"));
        let version = &request.api_version;
        let location =
            format!("{entity}?api-version={version}&asyncId={id}&asyncCode={success_code}");
        let status = format!(
            "{}{}/tenant/operationResults/{id}?api-version={version}",
            request.origin,
            self.id()
        );
        let is_put = request.method == axum::http::Method::PUT;
        let reply = if !is_put || shape == Shape::Location {
            Reply::empty(202)
        } else {
            Reply::pretty(success_code, stub)
        };
        let reply = reply.with("Location", location);
        if looks == 0 {
            self.end(&id, settings);
        }
        if shape == Shape::Location {
            reply
        } else {
            reply.with("Azure-AsyncOperation", status)
        }
    }

    /// Ends the operations whose time is over.
    pub(crate) fn settle(&mut self, now: Timestamp, settings: &LroSettings) {
        let due: Vec<String> = self
            .open()
            .filter(|(_, operation)| operation.deadline <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.end(&id, settings);
        }
    }

    /// Counts one look at an operation.
    pub(crate) fn look(&mut self, id: &str, settings: &LroSettings) {
        let Some(operation) = self.operations.get_mut(id) else {
            return;
        };
        operation.looks_left = operation.looks_left.saturating_sub(1);
        if operation.looks_left == 0 && !operation.has_ended() {
            self.end(id, settings);
        }
    }

    /// The operation that writes the same thing now: the same API for an API
    /// and what is below it, else the same path.
    pub(crate) fn running(&self, target: &Target) -> Option<String> {
        let api = target.api().map(super::path::ApiRef::key);
        self.open()
            .find(|(_, operation)| {
                if api.is_some() {
                    operation.api == api
                } else {
                    operation.target == *target
                }
            })
            .map(|(id, _)| id.clone())
    }

    /// Those that have not ended.
    fn open(&self) -> impl Iterator<Item = (&String, &Operation)> {
        let open = self.under_way.iter();
        open.filter_map(|id| self.operations.get_key_value(id))
    }

    fn end(&mut self, id: &str, settings: &LroSettings) {
        let Some(operation) = self.operations.get(id) else {
            return;
        };
        let (mut request, target) = (operation.request.clone(), operation.target.clone());
        // The precondition was checked when the request was accepted.
        request.if_match = None;
        let failure = request
            .fault
            .as_ref()
            .and_then(|fault| fault.lro_failure.clone());
        let outcome = match failure {
            Some(failure) => Err(failure_error(&failure)),
            None => self.apply(&request, &target, settings),
        };
        if outcome.is_ok() {
            self.after_success(&request, &target);
        }
        if let Some(operation) = self.operations.get_mut(id) {
            operation.outcome = Some(outcome);
            self.under_way.remove(id);
        }
    }

    /// Keeps the API locked for some writes, and loses operations of an import,
    /// if a fault wants that.
    pub(crate) fn after_success(&mut self, request: &Request, target: &Target) {
        let (Some(fault), Some(api)) = (&request.fault, target.api()) else {
            return;
        };
        if let Some(writes) = fault.lock_after_success {
            self.locks.insert(api.key(), writes);
        }
        if let Some(lost) = fault.lost_operations
            && super::api::is_import(request)
            && let Some(revision) = self.revision_mut(api)
        {
            let kept = revision.operations.len().saturating_sub(lost);
            revision.operations.truncate(kept);
        }
    }

    /// Answers a poll of `Azure-AsyncOperation`.
    pub(crate) fn operation_status(
        &mut self,
        id: &str,
        settings: &LroSettings,
    ) -> Result<Reply, ArmError> {
        self.look(id, settings);
        let operation = self
            .operations
            .get(id)
            .ok_or_else(|| ArmError::not_found("Operation result"))?;
        Ok(Reply::pretty(
            200,
            &match &operation.outcome {
                None => json!({ "status": "InProgress" }),
                Some(Ok(_)) => json!({ "status": "Succeeded" }),
                Some(Err(error)) => json!({ "status": "Failed", "error": error.body() }),
            },
        ))
    }

    /// Answers a poll of `Location`.
    pub(crate) fn operation_result(
        &mut self,
        id: &str,
        request: &Request,
        settings: &LroSettings,
    ) -> Result<Reply, ArmError> {
        self.look(id, settings);
        let operation = self
            .operations
            .get(id)
            .ok_or_else(|| ArmError::not_found("Operation result"))?;
        match &operation.outcome {
            None => {
                let query: Vec<String> = request
                    .query
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let location = format!(
                    "{}{}/{}?{}",
                    request.origin,
                    self.id(),
                    request.rest.join("/"),
                    query.join("&")
                );
                Ok(Reply::empty(202).with("Location", location))
            }
            Some(Ok(reply)) => {
                let mut reply = reply.clone();
                reply.status = operation.success_code;
                Ok(reply)
            }
            Some(Err(error)) => Err(error.clone()),
        }
    }
}

/// The error of an operation that a fault makes fail.
pub(crate) fn failure_error(failure: &Value) -> ArmError {
    let text = |name: &str| failure.get(name).and_then(Value::as_str);
    let status = failure
        .get("status")
        .and_then(Value::as_u64)
        .and_then(|status| u16::try_from(status).ok());
    ArmError::provider(
        status.unwrap_or(500),
        text("code").unwrap_or("InternalServerError"),
        text("message").unwrap_or("DeadOperationMonitor: the operation did not end in time."),
    )
}

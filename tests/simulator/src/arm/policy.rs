//! Policy documents at service, API and operation scope.

use super::contract;
use super::contract_table as table;
use super::error::{ArmError, Detail};
use super::list;
use super::path::{Kind, Scope};
use super::request::{Request, entity_reply, envelope};
use super::store::{Entity, Service};
use crate::data_plane;
use crate::http::Reply;
use crate::policy_check::{
    self, CheckedPolicy, PolicyEnvironment, PolicyFormat, PolicyProblem, PolicyScope, Sku,
};
use serde_json::{Map, Value};

/// The document that a service has when nobody put one.
const DEFAULT_SERVICE_POLICY: &str =
    "<policies><inbound /><backend><forward-request /></backend><outbound /></policies>";

/// The header that names the policies of a document that the local gateway
/// does not execute.
const NOT_EXECUTED: &str = "x-simulator-not-executed";

/// What a policy may refer to.
pub(super) struct Environment<'a> {
    pub(super) service: &'a Service,
    pub(super) template: Option<&'a str>,
}

impl PolicyEnvironment for Environment<'_> {
    fn backend_exists(&self, id: &str) -> bool {
        self.service.entity(Kind::Backend, id).is_some()
    }
    fn fragment_exists(&self, id: &str) -> bool {
        self.service.entity(Kind::PolicyFragment, id).is_some()
    }
    fn named_value_exists(&self, display_name: &str) -> bool {
        self.service
            .entities
            .get(&Kind::NamedValue)
            .is_some_and(|values| {
                values
                    .values()
                    .any(|value| value.text("displayName") == Some(display_name))
            })
    }
    fn logger_exists(&self, id: &str) -> bool {
        self.service.entity(Kind::Logger, id).is_some()
    }
    fn sku(&self) -> Sku {
        Sku::from_arm_name(&self.service.sku)
    }
    fn url_template_parameters(&self) -> Option<Vec<String>> {
        self.template.map(super::operations::template_parameters)
    }
}

/// The two texts of a document that was accepted. Reads choose between them.
pub(super) fn stored(xml: String, rawxml: String) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("xml".to_owned(), xml.into());
    fields.insert("rawxml".to_owned(), rawxml.into());
    fields
}

/// The 400 for a document with problems.
pub(super) fn refusal(problems: Vec<PolicyProblem>) -> ArmError {
    ArmError::validation(
        problems
            .into_iter()
            .map(|problem| {
                let target = problem
                    .target
                    .unwrap_or_else(|| "representation".to_owned());
                Detail::new(&target, &problem.message)
            })
            .collect(),
    )
}

/// The document that a request brings, and how it is written.
pub(super) fn document(
    request: &Request,
    sent: &Map<String, Value>,
) -> Result<(String, PolicyFormat), ArmError> {
    let text = |name: &str| sent.get(name).and_then(Value::as_str);
    let value = text("value").unwrap_or_default().to_owned();
    let linked = || match &request.linked {
        Some(Ok(document)) => Ok(document.clone()),
        Some(Err(reason)) => Err(ArmError::invalid("value", reason)),
        None => Err(ArmError::invalid("value", "The link was not fetched.")),
    };
    match text("format").unwrap_or("xml") {
        "rawxml" => Ok((value, PolicyFormat::RawXml)),
        "rawxml-link" => Ok((linked()?, PolicyFormat::RawXml)),
        "xml-link" => Ok((linked()?, PolicyFormat::Xml)),
        _ => Ok((value, PolicyFormat::Xml)),
    }
}

/// Which encoding an answer has.
fn wants_raw(request: &Request) -> Result<bool, ArmError> {
    match request.parameter("format") {
        None | Some("xml") => Ok(false),
        Some("rawxml") => Ok(true),
        Some(other) => Err(ArmError::invalid(
            "format",
            &format!("Unsupported policy format '{other}'. Supported: xml, rawxml."),
        )),
    }
}

impl Service {
    /// The policy of a scope; the scope itself must exist.
    fn policy_of(&self, scope: &Scope) -> Result<Option<&Entity>, ArmError> {
        Ok(match scope {
            Scope::Service => self.policy.as_ref(),
            Scope::Product(id) => self.product(id)?.policy.as_ref(),
            Scope::Api(api) => {
                let revision = self
                    .revision(api)
                    .ok_or_else(|| ArmError::not_found("Api"))?;
                revision.policy.as_ref()
            }
            Scope::Operation(api, id) => {
                let revision = self
                    .revision(api)
                    .ok_or_else(|| ArmError::not_found("Api"))?;
                let operation = revision.operation(id);
                let operation = operation.ok_or_else(|| ArmError::not_found("Operation"))?;
                operation.policy.as_ref()
            }
        })
    }

    fn set_policy(&mut self, scope: &Scope, policy: Option<Entity>) {
        match scope {
            Scope::Service => self.policy = policy,
            Scope::Product(id) => {
                if let Some(product) = self.products.get_mut(&id.to_lowercase()) {
                    product.policy = policy;
                }
            }
            Scope::Api(api) => {
                if let Some(revision) = self.revision_mut(api) {
                    revision.policy = policy;
                }
            }
            Scope::Operation(api, id) => {
                let operation = self
                    .revision_mut(api)
                    .and_then(|revision| revision.operation_mut(id));
                if let Some(operation) = operation {
                    operation.policy = policy;
                }
            }
        }
    }

    fn policy_body(&self, scope: &Scope, policy: &Entity, raw: bool) -> Value {
        let (parent, kind) = match scope {
            Scope::Service => (String::new(), "policies"),
            Scope::Product(id) => (format!("/products/{id}"), "products/policies"),
            Scope::Api(api) => (format!("/apis/{}", api_id(api)), "apis/policies"),
            Scope::Operation(api, id) => (
                format!("/apis/{}/operations/{id}", api_id(api)),
                "apis/operations/policies",
            ),
        };
        let format = if raw { "rawxml" } else { "xml" };
        let mut shown = Map::new();
        shown.insert("format".to_owned(), format.into());
        let value = policy.properties.get(format).cloned();
        shown.insert("value".to_owned(), value.unwrap_or(Value::Null));
        let id = format!("{}{parent}/policies/policy", self.id());
        envelope(&id, kind, "policy", &shown)
    }

    /// `GET …/policies`.
    pub(super) fn list_policies(
        &self,
        request: &Request,
        scope: &Scope,
    ) -> Result<Reply, ArmError> {
        let raw = wants_raw(request)?;
        let items: Vec<Value> = self
            .policy_of(scope)?
            .map(|policy| self.policy_body(scope, policy, raw))
            .into_iter()
            .collect();
        list::page(request, &self.id(), items)
    }

    /// `GET …/policies/policy`.
    pub(super) fn get_policy(&self, request: &Request, scope: &Scope) -> Result<Reply, ArmError> {
        let raw = wants_raw(request)?;
        let policy = self
            .policy_of(scope)?
            .ok_or_else(|| ArmError::not_found("Policy"))?;
        let body = self.policy_body(scope, policy, raw);
        Ok(entity_reply(200, &body, policy.etag(false)))
    }

    /// `PUT …/policies/policy`.
    pub(super) fn put_policy(
        &mut self,
        request: &Request,
        scope: &Scope,
    ) -> Result<Reply, ArmError> {
        let sent = contract::properties(&table::POLICY_CONTRACT_PROPERTIES, &request.body)?;
        // An operation that is missing is a wrong field here, not a 404.
        let old = match (self.policy_of(scope), scope) {
            (Err(_), Scope::Operation(api, _)) if self.revision(api).is_some() => {
                return Err(ArmError::invalid(
                    "operationId",
                    "Entity with specified identifier not found",
                ));
            }
            (old, _) => old?.cloned(),
        };
        request.check_if_match(old.as_ref(), false)?;
        let (text, format) = document(request, &sent)?;
        let (checked_scope, template) = match scope {
            Scope::Service => (PolicyScope::Service, None),
            Scope::Product(_) => (PolicyScope::Product, None),
            Scope::Api(_) => (PolicyScope::Api, None),
            Scope::Operation(api, id) => (
                PolicyScope::Operation,
                self.revision(api)
                    .and_then(|revision| revision.operation(id))
                    .and_then(|operation| operation.entity.text("urlTemplate")),
            ),
        };
        let environment = Environment {
            service: self,
            template,
        };
        let checked =
            policy_check::check(&text, format, checked_scope, &environment).map_err(refusal)?;
        let not_executed = if request.executes {
            self.check_execution(&checked, checked_scope)?
        } else {
            Vec::new()
        };
        let fields = stored(checked.to_xml(), checked.to_rawxml());
        let entity = match &old {
            Some(old) => self.changed_entity(old, fields, request.now),
            None => self.new_entity("policy", fields, request.now),
        };
        // A service always has a policy, so putting one is never a creation.
        let status = if old.is_some() || *scope == Scope::Service {
            200
        } else {
            201
        };
        let body = self.policy_body(scope, &entity, format == PolicyFormat::RawXml);
        let etag = entity.etag(false);
        self.set_policy(scope, Some(entity));
        let reply = entity_reply(status, &body, etag);
        Ok(if not_executed.is_empty() {
            reply
        } else {
            reply.with(NOT_EXECUTED, not_executed.join(", "))
        })
    }

    /// Whether the gateway can execute a document, and the policies in it that
    /// it does not execute. The service itself has no such limits.
    fn check_execution(
        &self,
        checked: &CheckedPolicy,
        scope: PolicyScope,
    ) -> Result<Vec<String>, ArmError> {
        let scope = match scope {
            PolicyScope::Service => apim_gateway::Scope::Global,
            PolicyScope::Product => apim_gateway::Scope::Product,
            PolicyScope::Api => apim_gateway::Scope::Api,
            PolicyScope::Operation => apim_gateway::Scope::Operation,
        };
        let service = data_plane::referred(self);
        apim_gateway::check_document(checked.document(), scope, &service)
            .map(|checked| checked.not_executed)
            .map_err(|error| {
                ArmError::validation(vec![Detail::new(&error.element, &error.to_string())])
            })
    }

    /// `DELETE …/policies/policy`. A service falls back to the default one.
    pub(super) fn delete_policy(
        &mut self,
        request: &Request,
        scope: &Scope,
    ) -> Result<Reply, ArmError> {
        let Some(old) = self.policy_of(scope)? else {
            return Ok(Reply::empty(204));
        };
        request.check_if_match(Some(old), false)?;
        self.set_policy(scope, None);
        if *scope == Scope::Service {
            self.install_default_policy(request.now);
        }
        Ok(Reply::empty(200))
    }

    /// Gives the service the document that every new service has.
    pub(crate) fn install_default_policy(&mut self, now: jiff::Timestamp) {
        let environment = Environment {
            service: self,
            template: None,
        };
        let checked = policy_check::check(
            DEFAULT_SERVICE_POLICY,
            PolicyFormat::Xml,
            PolicyScope::Service,
            &environment,
        );
        let fields = match checked {
            Ok(checked) => stored(checked.to_xml(), checked.to_rawxml()),
            Err(_) => stored(
                DEFAULT_SERVICE_POLICY.to_owned(),
                DEFAULT_SERVICE_POLICY.to_owned(),
            ),
        };
        let entity = self.new_entity("policy", fields, now);
        self.policy = Some(entity);
    }
}

fn api_id(api: &super::path::ApiRef) -> String {
    match api.revision {
        Some(number) => format!("{};rev={number}", api.base),
        None => api.base.clone(),
    }
}

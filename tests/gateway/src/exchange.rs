//! One request on its way through the gateway.

use crate::body::{BodyError, BodyState};
use crate::certificate::ClientCertificate;
use crate::compile::{CompiledService, PolicyValue, Prepared, Section, Value};
use crate::configuration;
use crate::error::{PolicyError, reason_phrase};
use crate::identity::ClientIdentity;
use crate::shared::Shared;
use crate::target::Target;
use crate::trace::Recorder;
use apim_expressions::{self as expressions, Context, MultiMap};
use bytes::Bytes;
use jiff::Timestamp;
use std::net::IpAddr;
use std::sync::Arc;

/// A request, its response once there is one, and everything in between.
pub(crate) struct Exchange {
    pub(crate) shared: Arc<Shared>,
    pub(crate) service: Arc<CompiledService>,
    pub(crate) api: Option<usize>,
    pub(crate) operation: Option<usize>,
    pub(crate) product: Option<usize>,
    pub(crate) subscription: Option<usize>,
    /// Headers, method, variables, response and error live here.
    pub(crate) context: Context,
    pub(crate) target: Target,
    pub(crate) request_body: BodyState,
    pub(crate) response_body: BodyState,
    pub(crate) caller: IpAddr,
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
    /// As whom the gateway calls the backend, where a policy says so.
    pub(crate) identity: Option<ClientIdentity>,
    pub(crate) section: Section,
    /// Headers that the response gets whatever happens, such as those of CORS.
    pub(crate) on_every_response: Vec<(String, String)>,
    /// Where `cache-store` puts the response, if it comes to that.
    pub(crate) cache: Option<crate::cache::Pending>,
    /// To be done with the response, with the counters' conditions.
    pub(crate) afterwards: Vec<crate::policies::Count>,
    pub(crate) trace: Option<Recorder>,
    /// Whether what expressions see besides headers and variables is filled in.
    filled: bool,
}

impl Exchange {
    /// Boxed: it is large, and would be copied with every future that holds it.
    pub(crate) fn new(
        shared: Arc<Shared>,
        service: Arc<CompiledService>,
        request: expressions::Request,
        body: BodyState,
        caller: IpAddr,
    ) -> Box<Self> {
        let now = shared.clock.now();
        // Random enough to be told apart; it opens nothing.
        let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        let seed = id.as_u64_pair().1;
        Box::new(Self {
            context: Context {
                request,
                request_id: id,
                timestamp: now,
                now,
                seed,
                ..Context::default()
            },
            shared,
            service,
            api: None,
            operation: None,
            product: None,
            subscription: None,
            target: Target::default(),
            request_body: body,
            response_body: BodyState::None,
            caller,
            certificate: None,
            identity: None,
            section: Section::Inbound,
            on_every_response: Vec::new(),
            cache: None,
            afterwards: Vec::new(),
            trace: None,
            filled: false,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The matched API.
    pub(crate) fn api(&self) -> Option<&configuration::Api> {
        self.service.configuration.apis.get(self.api?)
    }

    /// The matched operation.
    pub(crate) fn operation(&self) -> Option<&configuration::Operation> {
        self.api()?.operations.get(self.operation?)
    }

    /// The subscription whose key was sent.
    pub(crate) fn subscription(&self) -> Option<&configuration::Subscription> {
        self.service
            .configuration
            .subscriptions
            .get(self.subscription?)
    }

    pub(crate) fn request_header(&self, name: &str) -> Option<String> {
        self.context.request.headers.joined(name)
    }

    /// The response, made if there is none yet: 200 without a body.
    pub(crate) fn response_mut(&mut self) -> &mut expressions::Response {
        self.context
            .response
            .get_or_insert_with(|| expressions::Response {
                status_code: 200,
                status_reason: "OK".to_owned(),
                ..expressions::Response::default()
            })
    }

    /// Replaces the response whole.
    pub(crate) fn respond(
        &mut self,
        status: u16,
        headers: MultiMap,
        body: impl Into<Bytes>,
    ) -> &mut expressions::Response {
        let body = body.into();
        self.response_body = if body.is_empty() {
            BodyState::None
        } else {
            BodyState::Bytes(body)
        };
        self.context.response.insert(expressions::Response {
            status_code: i32::from(status),
            status_reason: reason_phrase(status).to_owned(),
            headers,
            ..expressions::Response::default()
        })
    }

    /// The headers that policies of the current section change: the request's
    /// before the backend's answer, the response's from then on.
    pub(crate) fn headers_mut(&mut self) -> &mut MultiMap {
        if self.on_request() {
            &mut self.context.request.headers
        } else {
            &mut self.response_mut().headers
        }
    }

    /// Whether policies change the request here, and not the response.
    pub(crate) fn on_request(&self) -> bool {
        matches!(self.section, Section::Inbound | Section::Backend)
    }

    pub(crate) async fn read_request(&mut self) -> Result<Bytes, PolicyError> {
        let limit = self.shared.limits.buffered_body;
        self.request_body
            .buffer(limit)
            .await
            .map_err(|error| request_body_error(&error))
    }

    pub(crate) async fn read_response(&mut self) -> Result<Bytes, PolicyError> {
        let limit = self.shared.limits.buffered_body;
        self.response_body.buffer(limit).await.map_err(|error| {
            PolicyError::internal(
                "BackendConnectionFailure",
                format!("The backend's response cannot be read: {error}."),
            )
        })
    }

    /// A value, which an expression may have to give.
    pub(crate) async fn get<T: PolicyValue + Clone>(
        &mut self,
        value: &Value<T>,
    ) -> Result<T, PolicyError> {
        match value {
            Value::Literal(value) => Ok(value.clone()),
            Value::Expression(expression) => {
                let value = self.evaluate(expression).await?;
                T::from_value(&value).ok_or_else(|| {
                    PolicyError::internal(
                        "ExpressionValueEvaluationFailure",
                        format!(
                            "Expression evaluation failed. The value '{value}' is not {}.",
                            T::EXPECTED
                        ),
                    )
                })
            }
        }
    }

    /// The same for a value that may be missing.
    pub(crate) async fn get_option<T: PolicyValue + Clone>(
        &mut self,
        value: Option<&Value<T>>,
    ) -> Result<Option<T>, PolicyError> {
        match value {
            None => Ok(None),
            Some(value) => self.get(value).await.map(Some),
        }
    }

    pub(crate) async fn get_all<T: PolicyValue + Clone>(
        &mut self,
        values: &[Value<T>],
    ) -> Result<Vec<T>, PolicyError> {
        let mut all = Vec::with_capacity(values.len());
        for value in values {
            all.push(self.get(value).await?);
        }
        Ok(all)
    }

    /// Evaluates an expression; bodies are read only where it reads them.
    pub(crate) async fn evaluate(
        &mut self,
        prepared: &Prepared,
    ) -> Result<expressions::Value, PolicyError> {
        let expression = &prepared.expression;
        let reads_request =
            expression.reads_request_body() && !matches!(self.request_body, BodyState::None);
        let reads_response = expression.reads_response_body() && self.context.response.is_some();
        if reads_request {
            let body = self.read_request().await?;
            self.context.request.body = Some(expressions::Body::new(body));
        }
        if reads_response {
            let body = self.read_response().await?;
            if let Some(response) = &mut self.context.response {
                response.body = expressions::Body::new(body);
            }
        }
        self.fill(prepared);
        let limits = self.shared.expression_limits;
        let result = expression.evaluate(&mut self.context, &limits);
        for message in self.context.traces.drain(..) {
            if let Some(trace) = &mut self.trace {
                trace.message(message);
            }
        }
        // What was read without being preserved is not sent on.
        if self
            .context
            .request
            .body
            .take()
            .is_some_and(|body| body.is_consumed())
        {
            self.request_body = BodyState::None;
        }
        if reads_response
            && let Some(response) = &mut self.context.response
            && std::mem::take(&mut response.body).is_consumed()
        {
            self.response_body = BodyState::None;
        }
        result.map_err(|error| {
            PolicyError::internal(
                "ExpressionValueEvaluationFailure",
                format!("Expression evaluation failed. {error}"),
            )
        })
    }

    /// Fills in what an expression may see besides headers and variables.
    fn fill(&mut self, expression: &Prepared) {
        let now = self.now();
        self.context.now = now;
        self.context.elapsed = now
            .duration_since(self.context.timestamp)
            .try_into()
            .unwrap_or_default();
        self.context.tracing = self.trace.is_some();
        if expression.reads_url {
            self.context.request.url = self.target.url(&self.context.request.original_url);
        }
        if self.filled || !expression.reads_descriptions {
            return;
        }
        self.filled = true;
        let service = Arc::clone(&self.service);
        let configuration = &service.configuration;
        self.context.deployment = expressions::Deployment {
            region: configuration.region.clone(),
            service_name: configuration.name.clone(),
            ..expressions::Deployment::default()
        };
        self.context.request.certificate =
            self.certificate.as_ref().map(|found| found.seen.clone());
        self.context.api = self.api.map(|place| service.apis[place].seen.clone());
        self.context.operation = self.operation().map(|operation| expressions::Operation {
            id: operation.id.clone(),
            method: operation.method.clone(),
            name: operation.name.clone(),
            url_template: operation.url_template.clone(),
        });
        self.context.product = self.product.map(|place| {
            let product = &configuration.products[place];
            expressions::Product {
                apis: configuration
                    .apis
                    .iter()
                    .zip(&service.apis)
                    .filter(|(api, _)| api.current && product.apis.contains(&api.id))
                    .map(|(_, compiled)| compiled.seen.clone())
                    .collect(),
                id: product.id.clone(),
                name: product.name.clone(),
                published: product.published,
                subscription_required: product.subscription_required,
                ..expressions::Product::default()
            }
        });
        let subscription = self.subscription().cloned();
        self.context.user = subscription
            .as_ref()
            .and_then(|subscription| subscription.user.clone())
            .map(|id| expressions::User {
                id,
                ..expressions::User::default()
            });
        if let Some(found) = subscription {
            self.context.subscription = Some(expressions::Subscription {
                id: found.id,
                name: found.name,
                key: found.primary_key.clone(),
                primary_key: found.primary_key,
                secondary_key: found.secondary_key,
                ..expressions::Subscription::default()
            });
        }
    }
}

/// What expressions see of an API.
pub(crate) fn seen_api(api: &configuration::Api) -> expressions::Api {
    expressions::Api {
        id: api.id.clone(),
        is_current_revision: api.current,
        name: api.name.clone(),
        path: format!("/{}", api.path.trim_matches('/')),
        protocols: api.protocols.clone(),
        revision: api.revision.to_string(),
        service_url: api.service_url.as_deref().and_then(expressions::Url::parse),
        subscription_key_parameter_names: expressions::SubscriptionKeyNames {
            header: api.key_header.clone(),
            query: api.key_query.clone(),
        },
        version: api.version.as_ref().map(|version| version.value.clone()),
    }
}

/// What is answered when a request's body cannot be read. The statuses are
/// this gateway's own: they are not documented.
pub(crate) fn request_body_error(error: &BodyError) -> PolicyError {
    match error {
        BodyError::TooLarge(limit) => PolicyError::told(
            413,
            "RequestBodyTooLarge",
            format!("The request body is larger than {limit} bytes."),
        ),
        BodyError::Slow => PolicyError::told(
            408,
            "ClientTimeout",
            "The request body did not arrive in time.",
        ),
        BodyError::Broken(_) => PolicyError::told(
            400,
            "ClientConnectionFailure",
            "The request body cannot be read.",
        ),
    }
}

//! A configuration, compiled.

use super::{Chain, CompileError, Compiler, Document, Scope};
use crate::configuration::{self, Configuration};
use crate::exchange::seen_api;
use crate::routing::{ApiIndex, Template};
use crate::schemas::{Validators, XmlSchemas};
use crate::target::Base;
use smallvec::smallvec;
use std::collections::HashMap;
use std::sync::Arc;

/// What requests run through. One of these serves a request from its first
/// byte to its last.
#[derive(Default)]
pub(crate) struct Snapshot {
    services: Vec<Arc<CompiledService>>,
}

/// One service.
pub(crate) struct CompiledService {
    pub(crate) configuration: configuration::Service,
    pub(crate) index: ApiIndex,
    /// In the order of the configuration's APIs.
    pub(crate) apis: Vec<CompiledApi>,
    /// In the order of the configuration's products.
    products: Vec<Option<Arc<Document>>>,
    global: Arc<Document>,
    /// Subscription keys to places of subscriptions.
    keys: HashMap<String, usize>,
    /// The service's own schemas that were asked for.
    pub(crate) validators: Validators,
    pub(crate) xml: XmlSchemas,
    /// Every document that could not be compiled.
    pub(crate) problems: Vec<CompileError>,
}

/// One revision of an API.
pub(crate) struct CompiledApi {
    document: Option<Arc<Document>>,
    /// Its backend's address, where it has a good one.
    pub(crate) base: Option<Arc<Base>>,
    /// What expressions see of it.
    pub(crate) seen: apim_expressions::Api,
    /// In the order of the API's operations.
    pub(crate) operations: Vec<CompiledOperation>,
    /// Schemas that were asked for, ready to validate.
    pub(crate) validators: Validators,
    pub(crate) xml: XmlSchemas,
}

/// One operation.
pub(crate) struct CompiledOperation {
    /// `None` where the template cannot be read; nothing matches it then.
    pub(crate) template: Option<Template>,
    document: Option<Arc<Document>>,
}

/// What a service does where nobody says anything else.
pub(super) const FORWARD: &str = "<policies><inbound /><backend><forward-request /></backend>\
                       <outbound /><on-error /></policies>";

impl Snapshot {
    pub(crate) fn compile(configuration: &Configuration) -> Self {
        Self {
            services: configuration
                .services
                .iter()
                .map(|service| Arc::new(CompiledService::compile(service.clone())))
                .collect(),
        }
    }

    /// The service of a host (without port), or the only one.
    pub(crate) fn service(&self, host: &str) -> Option<&Arc<CompiledService>> {
        let named = self.services.iter().find(|service| {
            service
                .configuration
                .hosts
                .iter()
                .any(|known| known.eq_ignore_ascii_case(host))
        });
        match (named, self.services.as_slice()) {
            (Some(service), _) => Some(service),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    pub(crate) fn problems(&self) -> Vec<CompileError> {
        self.services
            .iter()
            .flat_map(|service| service.problems.clone())
            .collect()
    }
}

impl CompiledService {
    fn compile(configuration: configuration::Service) -> Self {
        let mut problems = Vec::new();
        let mut document = |text: &Option<String>, scope: Scope| {
            let text = text.as_deref()?;
            let mut compiler = Compiler::new(&configuration, scope);
            let result = Document::compile(text, &mut compiler).unwrap_or_else(|error| {
                let broken = Document::broken(&error, scope);
                problems.push(error);
                broken
            });
            Some(Arc::new(result))
        };
        let global = configuration
            .policy
            .clone()
            .unwrap_or_else(|| FORWARD.to_owned());
        let global = document(&Some(global), Scope::Global).unwrap_or_default();
        let products = configuration
            .products
            .iter()
            .map(|product| document(&product.policy, Scope::Product))
            .collect();
        let apis = configuration
            .apis
            .iter()
            .map(|api| CompiledApi {
                document: document(&api.policy, Scope::Api),
                base: api
                    .service_url
                    .as_deref()
                    .and_then(Base::parse)
                    .map(Arc::new),
                seen: seen_api(api),
                operations: api
                    .operations
                    .iter()
                    .map(|operation| CompiledOperation {
                        template: Template::parse(&operation.url_template).ok(),
                        document: document(&operation.policy, Scope::Operation),
                    })
                    .collect(),
                validators: Validators::default(),
                xml: XmlSchemas::default(),
            })
            .collect();
        let keys = configuration
            .subscriptions
            .iter()
            .enumerate()
            .flat_map(|(place, subscription)| {
                [&subscription.primary_key, &subscription.secondary_key]
                    .into_iter()
                    .filter(|key| !key.is_empty())
                    .map(move |key| (key.clone(), place))
            })
            .collect();
        Self {
            index: ApiIndex::new(&configuration.apis),
            apis,
            products,
            global,
            keys,
            validators: Validators::default(),
            xml: XmlSchemas::default(),
            problems,
            configuration,
        }
    }

    /// The documents of a request: its product's, API's and operation's.
    pub(crate) fn chain(
        &self,
        product: Option<usize>,
        api: Option<usize>,
        operation: Option<usize>,
    ) -> Chain {
        let mut documents = smallvec![Arc::clone(&self.global)];
        documents.extend(product.and_then(|product| self.products[product].clone()));
        if let Some(api) = api.map(|api| &self.apis[api]) {
            documents.extend(api.document.clone());
            documents.extend(operation.and_then(|place| api.operations[place].document.clone()));
        }
        Chain(documents)
    }

    /// The place of the subscription that a key belongs to.
    pub(crate) fn key(&self, key: &str) -> Option<usize> {
        self.keys.get(key).copied()
    }
}

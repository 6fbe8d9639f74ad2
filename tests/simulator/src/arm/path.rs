//! What an ARM path names. Names of kinds are compared without case.

use super::error::ArmError;

/// The parts of a path below `…/providers/Microsoft.ApiManagement/service/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServicePath {
    pub(crate) subscription: String,
    pub(crate) resource_group: String,
    pub(crate) service: String,
    /// What follows the service's name.
    pub(crate) rest: Vec<String>,
}

impl ServicePath {
    /// Splits a path; `None` where it names no API Management service.
    pub(crate) fn parse(segments: &[String]) -> Option<Self> {
        let [
            s,
            subscription,
            r,
            resource_group,
            p,
            provider,
            kind,
            service,
            rest @ ..,
        ] = segments
        else {
            return None;
        };
        let fixed = [
            (s, "subscriptions"),
            (r, "resourceGroups"),
            (p, "providers"),
            (provider, "Microsoft.ApiManagement"),
            (kind, "service"),
        ];
        fixed
            .iter()
            .all(|(found, expected)| found.eq_ignore_ascii_case(expected))
            .then(|| Self {
                subscription: subscription.clone(),
                resource_group: resource_group.clone(),
                service: service.clone(),
                rest: rest.to_vec(),
            })
    }
}

/// What no id may hold.
pub(crate) const FORBIDDEN: [char; 8] = ['*', '#', '&', '+', ':', '<', '>', '?'];

/// An API by its id, with or without `;rev=N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiRef {
    pub(crate) base: String,
    pub(crate) revision: Option<u32>,
}

impl ApiRef {
    pub(crate) fn parse(id: &str) -> Result<Self, ArmError> {
        let (base, revision) = match id.split_once(";rev=") {
            None => (id, None),
            Some((base, number)) => {
                let number = number.parse().ok().filter(|number| *number > 0);
                let number = number.ok_or_else(|| {
                    ArmError::invalid(
                        "apiId",
                        &format!("'{id}' does not end with a revision number."),
                    )
                })?;
                (base, Some(number))
            }
        };
        let length = id.encode_utf16().count();
        if base.is_empty() || length > 256 || base.contains(FORBIDDEN) {
            return Err(ArmError::invalid(
                "apiId",
                &format!(
                    "'{id}' is not a valid API identifier: 1 to 256 characters, none of * # & + : < > ?"
                ),
            ));
        }
        Ok(Self {
            base: base.to_owned(),
            revision,
        })
    }

    /// The key under which all revisions of the API are kept.
    pub(crate) fn key(&self) -> String {
        self.base.to_lowercase()
    }
}

/// The kinds of direct children that behave alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Backend,
    NamedValue,
    PolicyFragment,
    OpenIdProvider,
    /// One of the service; those of an API are its own.
    Schema,
    Certificate,
    ApiVersionSet,
    /// Not served; can be put by the control interface for a policy to refer to.
    Logger,
    Tag,
    AuthorizationServer,
    /// A page of the developer portal, in Markdown.
    Documentation,
}

impl Kind {
    pub(crate) const ALL: [Self; 11] = [
        Self::Backend,
        Self::NamedValue,
        Self::PolicyFragment,
        Self::OpenIdProvider,
        Self::Schema,
        Self::Certificate,
        Self::ApiVersionSet,
        Self::Logger,
        Self::Tag,
        Self::AuthorizationServer,
        Self::Documentation,
    ];

    /// The segment in a path.
    pub(crate) fn segment(self) -> &'static str {
        match self {
            Self::Backend => "backends",
            Self::NamedValue => "namedValues",
            Self::PolicyFragment => "policyFragments",
            Self::OpenIdProvider => "openidConnectProviders",
            Self::Schema => "schemas",
            Self::Certificate => "certificates",
            Self::ApiVersionSet => "apiVersionSets",
            Self::Logger => "loggers",
            Self::Tag => "tags",
            Self::AuthorizationServer => "authorizationServers",
            Self::Documentation => "documentations",
        }
    }

    /// The last part of `type`.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::OpenIdProvider => "openidconnectproviders",
            other => other.segment(),
        }
    }

    /// The segment in an `id` that a read returns: the service lowers one.
    pub(crate) fn id_segment(self) -> &'static str {
        match self {
            Self::PolicyFragment => "policyfragments",
            other => other.segment(),
        }
    }

    /// The name in `… not found.`
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Backend => "Backend",
            Self::NamedValue => "Property",
            Self::PolicyFragment => "PolicyFragment",
            Self::OpenIdProvider => "OpenId Connect Provider",
            Self::Schema => "Schema",
            Self::Certificate => "Certificate",
            Self::ApiVersionSet => "ApiVersionSet",
            Self::Logger => "Logger",
            Self::Tag => "Tag",
            Self::AuthorizationServer => "AuthorizationServer",
            Self::Documentation => "Documentation",
        }
    }
}

/// Where a policy document is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    Service,
    Product(String),
    Api(ApiRef),
    Operation(ApiRef, String),
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Service,
    OperationResult(String),
    Apis,
    Api(ApiRef),
    Revisions(ApiRef),
    Operations(ApiRef),
    Operation(ApiRef, String),
    Schemas(ApiRef),
    Schema(ApiRef, String),
    Policies(Scope),
    Policy(Scope, String),
    Entities(Kind),
    Entity(Kind, String),
    Action(Kind, String, String),
    Products,
    /// Those that an API is in.
    ProductsOf(ApiRef),
    Product(String),
    ProductApis(String),
    ProductApi(String, ApiRef),
    ProductGroups(String),
    ProductGroup(String, String),
    ProductSubscriptions(String),
    Subscriptions,
    Subscription(String),
    SubscriptionAction(String, String),
    ApiTags(ApiRef),
    ApiTag(ApiRef, String),
    ApiDiagnostics(ApiRef),
    ApiDiagnostic(ApiRef, String),
    /// The list of an API's wikis, which has one at most.
    ApiWikis(ApiRef),
    ApiWiki(ApiRef),
    Releases(ApiRef),
    Release(ApiRef, String),
    /// What a tag is on: `apiLinks`, `operationLinks` or `productLinks`.
    TagLinks(String, &'static str),
    Group(String),
    Gateways,
    Gateway(String),
    GatewayApis(String),
    GatewayApi(String, ApiRef),
    GatewayAction(String, String),
    /// A list of a kind that cannot be made here: all that is simulated of it
    /// is that it is empty, or how many the control interface has put.
    Unmade(&'static str),
}

/// Kinds whose lists are served although nothing can be made of them.
const UNMADE: [&str; 1] = ["loggers"];

/// The lists of what a tag is on.
const LINKS: [&str; 3] = ["apiLinks", "operationLinks", "productLinks"];

/// Kinds that exist below a service (or an API) and are not simulated.
const OTHER_KINDS: [&str; 52] = [
    "allPolicies",
    "apisByTags",
    "applynetworkconfigurationupdates",
    "authorizationProviders",
    "authorizationServers",
    "backup",
    "caches",
    "certificates",
    "connectivityCheck",
    "contentTypes",
    "diagnostics",
    "eventGridFilters",
    "gateways",
    "getssotoken",
    "groups",
    "identityProviders",
    "issues",
    "locations",
    "loggers",
    "migrateToStv2",
    "networkstatus",
    "notifications",
    "outboundNetworkDependenciesEndpoints",
    "policyDescriptions",
    "policyRestrictions",
    "portalconfigs",
    "portalRevisions",
    "portalsettings",
    "privateEndpointConnections",
    "privateLinkResources",
    "products",
    "quotas",
    "regions",
    "reports",
    "restore",
    "schemas",
    "settings",
    "skus",
    "subscriptions",
    "tagResources",
    "tags",
    "templates",
    "tenant",
    "users",
    "validatePolicies",
    "workspaceLinks",
    "workspaces",
    "attachments",
    "operationsByTags",
    "resolvers",
    "tagDescriptions",
    "tools",
];

impl Target {
    /// Reads the part of a path behind the service's name.
    pub(crate) fn parse(rest: &[String]) -> Result<Self, ArmError> {
        let parts: Vec<&str> = rest.iter().map(String::as_str).collect();
        let is = |found: &str, name: &str| found.eq_ignore_ascii_case(name);
        match parts.as_slice() {
            [] => Ok(Self::Service),
            [t, r, id] if is(t, "tenant") && is(r, "operationResults") => {
                Ok(Self::OperationResult((*id).to_owned()))
            }
            [p] if is(p, "policies") => Ok(Self::Policies(Scope::Service)),
            [p, id] if is(p, "policies") => Ok(Self::Policy(Scope::Service, (*id).to_owned())),
            [a] if is(a, "apis") => Ok(Self::Apis),
            [kind] if UNMADE.iter().any(|known| is(kind, known)) => Ok(Self::Unmade(
                UNMADE
                    .into_iter()
                    .find(|known| is(kind, known))
                    .unwrap_or_default(),
            )),
            [p, below @ ..] if is(p, "products") => Self::below_products(rest, below),
            [s] if is(s, "subscriptions") => Ok(Self::Subscriptions),
            [s, id] if is(s, "subscriptions") => Ok(Self::Subscription((*id).to_owned())),
            [s, id, action] if is(s, "subscriptions") => Ok(Self::SubscriptionAction(
                (*id).to_owned(),
                (*action).to_owned(),
            )),
            [t, id, links] if is(t, "tags") => LINKS
                .into_iter()
                .find(|known| is(links, known))
                .map(|links| Self::TagLinks((*id).to_owned(), links))
                .ok_or_else(|| unknown(rest, links)),
            [g, id] if is(g, "groups") => Ok(Self::Group((*id).to_owned())),
            [g, below @ ..] if is(g, "gateways") => Self::below_gateways(rest, below),
            [a, id, below @ ..] if is(a, "apis") => Self::below_api(ApiRef::parse(id)?, below),
            [kind, below @ ..] => {
                let served = [
                    Kind::Backend,
                    Kind::NamedValue,
                    Kind::PolicyFragment,
                    Kind::OpenIdProvider,
                    Kind::Schema,
                    Kind::Certificate,
                    Kind::Tag,
                    Kind::ApiVersionSet,
                    Kind::AuthorizationServer,
                    Kind::Documentation,
                ];
                match (
                    served.into_iter().find(|known| is(kind, known.segment())),
                    below,
                ) {
                    (Some(kind), []) => Ok(Self::Entities(kind)),
                    (Some(kind), [id]) => Ok(Self::Entity(kind, (*id).to_owned())),
                    (Some(kind), [id, action]) => {
                        Ok(Self::Action(kind, (*id).to_owned(), (*action).to_owned()))
                    }
                    _ => Err(unknown(rest, kind)),
                }
            }
        }
    }

    fn below_products(rest: &[String], below: &[&str]) -> Result<Self, ArmError> {
        let is = |found: &str, name: &str| found.eq_ignore_ascii_case(name);
        let Some((id, below)) = below.split_first() else {
            return Ok(Self::Products);
        };
        let id = (*id).to_owned();
        match below {
            [] => Ok(Self::Product(id)),
            [a] if is(a, "apis") => Ok(Self::ProductApis(id)),
            [a, api] if is(a, "apis") => Ok(Self::ProductApi(id, ApiRef::parse(api)?)),
            [g] if is(g, "groups") => Ok(Self::ProductGroups(id)),
            [g, group] if is(g, "groups") => Ok(Self::ProductGroup(id, (*group).to_owned())),
            [s] if is(s, "subscriptions") => Ok(Self::ProductSubscriptions(id)),
            [p] if is(p, "policies") => Ok(Self::Policies(Scope::Product(id))),
            [p, policy] if is(p, "policies") => {
                Ok(Self::Policy(Scope::Product(id), (*policy).to_owned()))
            }
            [.., kind] => Err(unknown(rest, kind)),
        }
    }

    fn below_gateways(rest: &[String], below: &[&str]) -> Result<Self, ArmError> {
        let is = |found: &str, name: &str| found.eq_ignore_ascii_case(name);
        let Some((id, below)) = below.split_first() else {
            return Ok(Self::Gateways);
        };
        let id = (*id).to_owned();
        match below {
            [] => Ok(Self::Gateway(id)),
            [a] if is(a, "apis") => Ok(Self::GatewayApis(id)),
            [a, api] if is(a, "apis") => Ok(Self::GatewayApi(id, ApiRef::parse(api)?)),
            [kind]
                if ["hostnameConfigurations", "certificateAuthorities"]
                    .iter()
                    .any(|one| is(kind, one)) =>
            {
                Err(unknown(rest, kind))
            }
            [action] => Ok(Self::GatewayAction(id, (*action).to_owned())),
            [.., kind] => Err(unknown(rest, kind)),
        }
    }

    fn below_api(api: ApiRef, below: &[&str]) -> Result<Self, ArmError> {
        let is = |found: &str, name: &str| found.eq_ignore_ascii_case(name);
        match below {
            [] => Ok(Self::Api(api)),
            [r] if is(r, "revisions") => Ok(Self::Revisions(api)),
            [o] if is(o, "operations") => Ok(Self::Operations(api)),
            [o, id] if is(o, "operations") => Ok(Self::Operation(api, (*id).to_owned())),
            [o, id, p] if is(o, "operations") && is(p, "policies") => {
                Ok(Self::Policies(Scope::Operation(api, (*id).to_owned())))
            }
            [o, id, p, policy] if is(o, "operations") && is(p, "policies") => Ok(Self::Policy(
                Scope::Operation(api, (*id).to_owned()),
                (*policy).to_owned(),
            )),
            [s] if is(s, "schemas") => Ok(Self::Schemas(api)),
            [s, id] if is(s, "schemas") => Ok(Self::Schema(api, (*id).to_owned())),
            [p] if is(p, "products") => Ok(Self::ProductsOf(api)),
            [t] if is(t, "tags") => Ok(Self::ApiTags(api)),
            [t, id] if is(t, "tags") => Ok(Self::ApiTag(api, (*id).to_owned())),
            [d] if is(d, "diagnostics") => Ok(Self::ApiDiagnostics(api)),
            [d, id] if is(d, "diagnostics") => Ok(Self::ApiDiagnostic(api, (*id).to_owned())),
            [w] if is(w, "wikis") => Ok(Self::ApiWikis(api)),
            [w, id] if is(w, "wikis") && is(id, "default") => Ok(Self::ApiWiki(api)),
            [r] if is(r, "releases") => Ok(Self::Releases(api)),
            [r, id] if is(r, "releases") => Ok(Self::Release(api, (*id).to_owned())),
            [p] if is(p, "policies") => Ok(Self::Policies(Scope::Api(api))),
            [p, id] if is(p, "policies") => Ok(Self::Policy(Scope::Api(api), (*id).to_owned())),
            [.., kind] => Err(unknown(
                &below
                    .iter()
                    .map(|part| (*part).to_owned())
                    .collect::<Vec<_>>(),
                kind,
            )),
        }
    }

    /// The API that a write would change, if it is about one.
    pub(crate) fn api(&self) -> Option<&ApiRef> {
        match self {
            Self::Api(api)
            | Self::Revisions(api)
            | Self::Operations(api)
            | Self::Operation(api, _)
            | Self::Schemas(api)
            | Self::Schema(api, _)
            | Self::ApiTags(api)
            | Self::ApiTag(api, _)
            | Self::ApiDiagnostics(api)
            | Self::ApiDiagnostic(api, _)
            | Self::ApiWikis(api)
            | Self::ApiWiki(api)
            | Self::Releases(api)
            | Self::Release(api, _)
            | Self::Policies(Scope::Api(api) | Scope::Operation(api, _))
            | Self::Policy(Scope::Api(api) | Scope::Operation(api, _), _) => Some(api),
            _ => None,
        }
    }

    /// The resource type, for `action` in an authorization error.
    pub(crate) fn resource_type(&self) -> String {
        let below = match self {
            Self::Service => "",
            Self::Unmade(kind) => return format!("Microsoft.ApiManagement/service/{kind}"),
            Self::OperationResult(_) => "/tenant/operationResults",
            Self::Apis | Self::Api(_) => "/apis",
            Self::Revisions(_) => "/apis/revisions",
            Self::Operations(_) | Self::Operation(..) => "/apis/operations",
            Self::Schemas(_) | Self::Schema(..) => "/apis/schemas",
            Self::Policies(scope) | Self::Policy(scope, _) => match scope {
                Scope::Service => "/policies",
                Scope::Product(_) => "/products/policies",
                Scope::Api(_) => "/apis/policies",
                Scope::Operation(..) => "/apis/operations/policies",
            },
            Self::Products | Self::Product(_) => "/products",
            Self::ProductsOf(_) => "/apis/products",
            Self::ProductApis(_) | Self::ProductApi(..) => "/products/apis",
            Self::ProductGroups(_) | Self::ProductGroup(..) => "/products/groups",
            Self::ProductSubscriptions(_) => "/products/subscriptions",
            Self::Subscriptions | Self::Subscription(_) => "/subscriptions",
            Self::SubscriptionAction(_, action) => {
                return format!("Microsoft.ApiManagement/service/subscriptions/{action}");
            }
            Self::ApiTags(_) | Self::ApiTag(..) => "/apis/tags",
            Self::ApiDiagnostics(_) | Self::ApiDiagnostic(..) => "/apis/diagnostics",
            Self::ApiWikis(_) | Self::ApiWiki(_) => "/apis/wikis",
            Self::Releases(_) | Self::Release(..) => "/apis/releases",
            Self::TagLinks(_, links) => {
                return format!("Microsoft.ApiManagement/service/tags/{links}");
            }
            Self::Group(_) => "/groups",
            Self::Gateways | Self::Gateway(_) => "/gateways",
            Self::GatewayApis(_) | Self::GatewayApi(..) => "/gateways/apis",
            Self::GatewayAction(_, action) => {
                return format!("Microsoft.ApiManagement/service/gateways/{action}");
            }
            Self::Entities(kind) | Self::Entity(kind, _) => {
                return format!("Microsoft.ApiManagement/service/{}", kind.segment());
            }
            Self::Action(kind, _, action) => {
                return format!(
                    "Microsoft.ApiManagement/service/{}/{action}",
                    kind.segment()
                );
            }
        };
        format!("Microsoft.ApiManagement/service{below}")
    }
}

/// A kind that exists in Azure is not simulated; any other is unknown there too.
fn unknown(rest: &[String], kind: &str) -> ArmError {
    let path = rest.join("/");
    if OTHER_KINDS
        .iter()
        .any(|other| rest.iter().any(|part| part.eq_ignore_ascii_case(other)))
    {
        return ArmError::not_simulated(&format!("Microsoft.ApiManagement/service/{path}"));
    }
    ArmError::gateway(
        404,
        "InvalidResourceType",
        format!(
            "The resource type '{kind}' could not be found in the namespace 'Microsoft.ApiManagement'."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> Target {
        let rest: Vec<String> = path.split('/').map(str::to_owned).collect();
        Target::parse(&rest).expect("a known path")
    }

    #[test]
    fn kinds_are_found_without_regard_to_case_and_revisions_are_split_off() {
        let api = ApiRef {
            base: "a.b".to_owned(),
            revision: Some(2),
        };
        assert_eq!(target("APIS/a.b;rev=2"), Target::Api(api.clone()));
        assert_eq!(
            target("apis/a.b;rev=2/operations/get/policies/policy"),
            Target::Policy(Scope::Operation(api, "get".to_owned()), "policy".to_owned())
        );
        assert_eq!(
            target("namedvalues/x/listValue"),
            Target::Action(Kind::NamedValue, "x".to_owned(), "listValue".to_owned())
        );
    }

    #[test]
    fn a_kind_of_azure_is_not_simulated_and_an_invented_one_unknown() {
        let status = |path: &str| {
            let rest: Vec<String> = path.split('/').map(str::to_owned).collect();
            Target::parse(&rest).expect_err("not served").status
        };
        assert_eq!(status("products/starter/wikis"), 501);
        assert_eq!(
            Target::parse(&["Tags".to_owned()]).expect("a list"),
            Target::Entities(Kind::Tag)
        );
        assert_eq!(status("apis/a/issues/1"), 501);
        assert_eq!(status("gizmos/1"), 404);
    }

    #[test]
    fn an_api_id_with_a_forbidden_character_is_refused() {
        assert_eq!(ApiRef::parse("a:b").expect_err("a colon").status, 400);
        assert_eq!(ApiRef::parse("a;rev=x").expect_err("no number").status, 400);
        assert_eq!(
            ApiRef::parse(&"a".repeat(257))
                .expect_err("too long")
                .status,
            400
        );
    }
}

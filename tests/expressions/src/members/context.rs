//! `context` and its parts, except messages.

use std::sync::Arc;

use super::table::{Member, Table};
use crate::error::Fault;
use crate::evaluate::{Call, Conversion, Machine, sequence};
use crate::types::Type;
use crate::value::{DateTime, Object, Opaque, Part, TimeSpan, Value};
use crate::{Api, MultiMap, Url};

pub(super) const TABLES: &[Table] = &[
    CONTEXT,
    API,
    Table {
        name: "ISubscriptionKeyParameterNames",
        members: &[
            Member("string Header", |m, a| {
                Ok(api(m, a)?
                    .subscription_key_parameter_names
                    .header
                    .as_str()
                    .into())
            }),
            Member("string Query", |m, a| {
                Ok(api(m, a)?
                    .subscription_key_parameter_names
                    .query
                    .as_str()
                    .into())
            }),
        ],
        ..Table::CLASS
    },
    Table {
        name: "IDeployment",
        members: &[
            Member("string GatewayId", |m, _| {
                Ok(m.context.deployment.gateway_id.as_str().into())
            }),
            Member("string Region", |m, _| {
                Ok(m.context.deployment.region.as_str().into())
            }),
            Member("string ServiceName", |m, _| {
                Ok(m.context.deployment.service_name.as_str().into())
            }),
            Member(
                "IReadOnlyDictionary<string, X509Certificate2> Certificates",
                |_, _| Ok(part(Part::Certificates)),
            ),
        ],
        ..Table::CLASS
    },
    LAST_ERROR,
    Table {
        name: "IOperation",
        members: &[
            Member("string Id", |m, _| {
                Ok(text(m.context.operation.as_ref().map(|one| &one.id)))
            }),
            Member("string Method", |m, _| {
                Ok(text(m.context.operation.as_ref().map(|one| &one.method)))
            }),
            Member("string Name", |m, _| {
                Ok(text(m.context.operation.as_ref().map(|one| &one.name)))
            }),
            Member("string UrlTemplate", |m, _| {
                Ok(text(
                    m.context.operation.as_ref().map(|one| &one.url_template),
                ))
            }),
        ],
        ..Table::CLASS
    },
    PRODUCT,
    SUBSCRIPTION,
    USER,
    Table {
        name: "IGroup",
        members: &[
            Member("string Id", |_, a| match &*a.object(0)? {
                Object::Group(group) => Ok(group.id.as_str().into()),
                _ => Err(Fault::null()),
            }),
            Member("string Name", |_, a| match &*a.object(0)? {
                Object::Group(group) => Ok(group.name.as_str().into()),
                _ => Err(Fault::null()),
            }),
        ],
        ..Table::CLASS
    },
    Table {
        name: "IUserIdentity",
        members: &[
            Member("string Id", |_, a| match &*a.object(0)? {
                Object::Identity(identity) => Ok(identity.id.as_str().into()),
                _ => Err(Fault::null()),
            }),
            Member("string Provider", |_, a| match &*a.object(0)? {
                Object::Identity(identity) => Ok(identity.provider.as_str().into()),
                _ => Err(Fault::null()),
            }),
        ],
        ..Table::CLASS
    },
    URL,
    DICTIONARIES,
];

const CONTEXT: Table = Table {
    name: "IProxyRequestContext",
    members: &[
        Member("IApi Api", |m, _| {
            Ok(match &m.context.api {
                Some(api) => Value::object(Object::Api(Arc::new(api.clone()))),
                None => Value::Null,
            })
        }),
        Member("IDeployment Deployment", |_, _| Ok(part(Part::Deployment))),
        Member("TimeSpan Elapsed", |m, _| {
            let ticks = i64::try_from(m.context.elapsed.as_nanos() / 100).unwrap_or(i64::MAX);
            Ok(Value::TimeSpan(TimeSpan { ticks }))
        }),
        Member("ILastError LastError", |m, _| {
            Ok(part_if(m.context.last_error.is_some(), Part::LastError))
        }),
        Member("IOperation Operation", |m, _| {
            Ok(part_if(m.context.operation.is_some(), Part::Operation))
        }),
        Member("IProduct Product", |m, _| {
            Ok(part_if(m.context.product.is_some(), Part::Product))
        }),
        Member("IRequest Request", |_, _| Ok(part(Part::Request))),
        Member("Guid RequestId", |m, _| {
            Ok(Value::Guid(m.context.request_id))
        }),
        Member("IResponse Response", |m, _| {
            Ok(part_if(m.context.response.is_some(), Part::Response))
        }),
        Member("ISubscription Subscription", |m, _| {
            Ok(part_if(
                m.context.subscription.is_some(),
                Part::Subscription,
            ))
        }),
        Member("DateTime Timestamp", |m, _| {
            Ok(Value::DateTime(DateTime::from_timestamp(
                m.context.timestamp,
            )))
        }),
        Member("bool Tracing", |m, _| Ok(m.context.tracing.into())),
        Member("IUser User", |m, _| {
            Ok(part_if(m.context.user.is_some(), Part::User))
        }),
        Member("IReadOnlyDictionary<string, object> Variables", |_, _| {
            Ok(part(Part::Variables))
        }),
        Member("void Trace(string message)", |m, a| {
            let message = a.text_or_empty(1);
            m.allocate(message.len() + 24)?;
            m.context.traces.push(message.to_string());
            Ok(Value::Null)
        }),
    ],
    ..Table::CLASS
};

const API: Table = Table {
    name: "IApi",
    members: &[
        Member("string Id", |m, a| Ok(api(m, a)?.id.as_str().into())),
        Member("bool IsCurrentRevision", |m, a| {
            Ok(api(m, a)?.is_current_revision.into())
        }),
        Member("string Name", |m, a| Ok(api(m, a)?.name.as_str().into())),
        Member("string Path", |m, a| Ok(api(m, a)?.path.as_str().into())),
        Member("IEnumerable<string> Protocols", |m, a| {
            Ok(sequence::strings(
                api(m, a)?.protocols.iter().map(String::as_str),
            ))
        }),
        Member("string Revision", |m, a| {
            Ok(api(m, a)?.revision.as_str().into())
        }),
        Member("IUrl ServiceUrl", |m, a| {
            Ok(part_if(api(m, a)?.service_url.is_some(), Part::ServiceUrl))
        }),
        Member(
            "ISubscriptionKeyParameterNames SubscriptionKeyParameterNames",
            |_, a| Ok(a.value(0)),
        ),
        Member("string Version", |m, a| {
            Ok(text(api(m, a)?.version.as_ref()))
        }),
    ],
    ..Table::CLASS
};

const LAST_ERROR: Table = Table {
    name: "ILastError",
    members: &[
        Member("string Source", |m, _| {
            Ok(text(m.context.last_error.as_ref().map(|one| &one.source)))
        }),
        Member("string Reason", |m, _| {
            Ok(text(
                m.context
                    .last_error
                    .as_ref()
                    .and_then(|one| one.reason.as_ref()),
            ))
        }),
        Member("string Message", |m, _| {
            Ok(text(m.context.last_error.as_ref().map(|one| &one.message)))
        }),
        Member("string Scope", |m, _| {
            Ok(text(
                m.context
                    .last_error
                    .as_ref()
                    .and_then(|one| one.scope.as_ref()),
            ))
        }),
        Member("string Section", |m, _| {
            Ok(text(
                m.context
                    .last_error
                    .as_ref()
                    .and_then(|one| one.section.as_ref()),
            ))
        }),
        Member("string Path", |m, _| {
            Ok(text(
                m.context
                    .last_error
                    .as_ref()
                    .and_then(|one| one.path.as_ref()),
            ))
        }),
        Member("string PolicyId", |m, _| {
            Ok(text(
                m.context
                    .last_error
                    .as_ref()
                    .and_then(|one| one.policy_id.as_ref()),
            ))
        }),
    ],
    ..Table::CLASS
};

const PRODUCT: Table = Table {
    name: "IProduct",
    members: &[
        Member("IEnumerable<IApi> Apis", |m, _| {
            let apis = m.context.product.iter().flat_map(|product| &product.apis);
            let apis = apis.map(|api| Value::object(Object::Api(Arc::new(api.clone()))));
            Ok(sequence::array(Type::named("IApi"), apis.collect()))
        }),
        Member("bool ApprovalRequired", |m, _| {
            Ok(m.context
                .product
                .as_ref()
                .is_some_and(|one| one.approval_required)
                .into())
        }),
        Member("IEnumerable<IGroup> Groups", |m, _| {
            let groups = m.context.product.iter().flat_map(|product| &product.groups);
            let groups = groups.map(|group| Value::object(Object::Group(Arc::new(group.clone()))));
            Ok(sequence::array(Type::named("IGroup"), groups.collect()))
        }),
        Member("string Id", |m, _| {
            Ok(text(m.context.product.as_ref().map(|one| &one.id)))
        }),
        Member("string Name", |m, _| {
            Ok(text(m.context.product.as_ref().map(|one| &one.name)))
        }),
        Member("int? SubscriptionLimit", |m, _| {
            Ok(m.context
                .product
                .as_ref()
                .and_then(|one| one.subscription_limit)
                .map_or(Value::Null, Value::int))
        }),
        Member("bool SubscriptionRequired", |m, _| {
            Ok(m.context
                .product
                .as_ref()
                .is_some_and(|one| one.subscription_required)
                .into())
        }),
    ],
    ..Table::CLASS
};

const SUBSCRIPTION: Table = Table {
    name: "ISubscription",
    members: &[
        Member("DateTime CreatedDate", |m, _| {
            Ok(m.context
                .subscription
                .as_ref()
                .map_or(Value::Null, |one| moment(one.created_date)))
        }),
        Member("DateTime? EndDate", |m, _| {
            Ok(m.context
                .subscription
                .as_ref()
                .and_then(|one| one.end_date)
                .map_or(Value::Null, moment))
        }),
        Member("string Id", |m, _| {
            Ok(text(m.context.subscription.as_ref().map(|one| &one.id)))
        }),
        Member("string Key", |m, _| {
            Ok(text(m.context.subscription.as_ref().map(|one| &one.key)))
        }),
        Member("string Name", |m, _| {
            Ok(text(m.context.subscription.as_ref().map(|one| &one.name)))
        }),
        Member("string PrimaryKey", |m, _| {
            Ok(text(
                m.context.subscription.as_ref().map(|one| &one.primary_key),
            ))
        }),
        Member("string SecondaryKey", |m, _| {
            Ok(text(
                m.context
                    .subscription
                    .as_ref()
                    .map(|one| &one.secondary_key),
            ))
        }),
        Member("DateTime? StartDate", |m, _| {
            Ok(m.context
                .subscription
                .as_ref()
                .and_then(|one| one.start_date)
                .map_or(Value::Null, moment))
        }),
    ],
    ..Table::CLASS
};

const USER: Table = Table {
    name: "IUser",
    members: &[
        Member("string Email", |m, _| {
            Ok(text(m.context.user.as_ref().map(|one| &one.email)))
        }),
        Member("string FirstName", |m, _| {
            Ok(text(m.context.user.as_ref().map(|one| &one.first_name)))
        }),
        Member("IEnumerable<IGroup> Groups", |m, _| {
            let groups = m.context.user.iter().flat_map(|user| &user.groups);
            let groups = groups.map(|group| Value::object(Object::Group(Arc::new(group.clone()))));
            Ok(sequence::array(Type::named("IGroup"), groups.collect()))
        }),
        Member("string Id", |m, _| {
            Ok(text(m.context.user.as_ref().map(|one| &one.id)))
        }),
        Member("IEnumerable<IUserIdentity> Identities", |m, _| {
            let all = m.context.user.iter().flat_map(|user| &user.identities);
            let all = all.map(|one| Value::object(Object::Identity(Arc::new(one.clone()))));
            Ok(sequence::array(Type::named("IUserIdentity"), all.collect()))
        }),
        Member("string LastName", |m, _| {
            Ok(text(m.context.user.as_ref().map(|one| &one.last_name)))
        }),
        Member("string Note", |m, _| {
            Ok(text(m.context.user.as_ref().map(|one| &one.note)))
        }),
        Member("DateTime RegistrationDate", |m, _| {
            Ok(m.context
                .user
                .as_ref()
                .map_or(Value::Null, |one| moment(one.registration_date)))
        }),
    ],
    ..Table::CLASS
};

const URL: Table = Table {
    name: "IUrl",
    members: &[
        Member("string Scheme", |m, a| {
            Ok(url(m, a)?.scheme.as_str().into())
        }),
        Member("string Host", |m, a| Ok(url(m, a)?.host.as_str().into())),
        Member("int Port", |m, a| Ok(Value::int(url(m, a)?.port.into()))),
        Member("string Path", |m, a| Ok(url(m, a)?.path.as_str().into())),
        Member("string QueryString", |m, a| {
            Ok(url(m, a)?.query_string.as_str().into())
        }),
        Member("IReadOnlyDictionary<string, string[]> Query", |_, a| {
            Ok(match &*a.object(0)? {
                Object::Part(Part::OriginalUrl) => part(Part::OriginalQuery),
                Object::Part(Part::ServiceUrl) => part(Part::ServiceQuery),
                _ => part(Part::Query),
            })
        }),
        Member("string ToString()", |m, a| {
            let text = url(m, a)?.to_string();
            m.text(text)
        }),
    ],
    ..Table::CLASS
};

/// What API Management adds to dictionaries.
const DICTIONARIES: Table = Table {
    name: "DictionaryExtensions",
    members: &[
        Member(
            "string GetValueOrDefault(this IReadOnlyDictionary<string, string[]> map, string name)",
            |m, a| Ok(joined(m, a)?.unwrap_or_default()),
        ),
        Member(
            "string GetValueOrDefault(this IReadOnlyDictionary<string, string[]> map, string name, string defaultValue)",
            |m, a| {
                let none = a.value(2);
                Ok(joined(m, a)?.unwrap_or(none))
            },
        ),
        Member(
            "T GetValueOrDefault<T>(this IReadOnlyDictionary<string, object> map, string name)",
            |m, a| variable(m, a, crate::evaluate::default_of(&a.kind(0))),
        ),
        Member(
            "T GetValueOrDefault<T>(this IReadOnlyDictionary<string, object> map, string name, T defaultValue)",
            |m, a| variable(m, a, a.value(2)),
        ),
        Member(
            "V GetValueOrDefault<K, V>(this IReadOnlyDictionary<K, V> map, K key)",
            |m, a| {
                let none = crate::evaluate::default_of(&a.kind(1));
                Ok(super::collections::find(m, a)?.unwrap_or(none))
            },
        ),
        Member(
            "V GetValueOrDefault<K, V>(this IReadOnlyDictionary<K, V> map, K key, V defaultValue)",
            |m, a| {
                let none = a.value(2);
                Ok(super::collections::find(m, a)?.unwrap_or(none))
            },
        ),
    ],
    ..Table::CLASS
};

/// A part of `context` as a value.
pub(super) fn part(part: Part) -> Value {
    Value::object(Object::Part(part))
}

fn part_if(there: bool, which: Part) -> Value {
    if there { part(which) } else { Value::Null }
}

fn text(text: Option<&String>) -> Value {
    text.map_or(Value::Null, |text| text.as_str().into())
}

fn moment(moment: jiff::Timestamp) -> Value {
    Value::DateTime(DateTime::from_timestamp(moment))
}

fn api(_: &Machine<'_>, call: &Call<'_>) -> Result<Arc<Api>, Fault> {
    match &*call.object(0)? {
        Object::Api(api) => Ok(api.clone()),
        _ => Err(Fault::null()),
    }
}

fn url<'m>(machine: &'m Machine<'_>, call: &Call<'_>) -> Result<&'m Url, Fault> {
    let context = &*machine.context;
    match &*call.object(0)? {
        Object::Part(Part::Url) => Ok(&context.request.url),
        Object::Part(Part::OriginalUrl) => Ok(&context.request.original_url),
        Object::Part(Part::ServiceUrl) => context
            .api
            .as_ref()
            .and_then(|api| api.service_url.as_ref())
            .ok_or_else(Fault::null),
        _ => Err(Fault::null()),
    }
}

/// Headers or a query, of this request or a stored response.
fn multi_map<'m>(machine: &'m Machine<'_>, object: &'m Object) -> Option<&'m MultiMap> {
    let context = &*machine.context;
    match object {
        Object::PartOf(Part::ResponseHeaders, response) => Some(&response.headers),
        Object::Part(part) => match part {
            Part::RequestHeaders => Some(&context.request.headers),
            Part::ResponseHeaders => context.response.as_ref().map(|response| &response.headers),
            Part::Query => Some(&context.request.url.query),
            Part::OriginalQuery => Some(&context.request.original_url.query),
            Part::ServiceQuery => {
                let url = context.api.as_ref()?.service_url.as_ref()?;
                Some(&url.query)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether a part is a dictionary that JSON can be made of.
pub(super) fn is_text_map(part: Part) -> bool {
    matches!(
        part,
        Part::RequestHeaders
            | Part::ResponseHeaders
            | Part::Query
            | Part::OriginalQuery
            | Part::ServiceQuery
            | Part::MatchedParameters
    )
}

/// The value of a key in a part that is a dictionary.
pub(super) fn look_up(
    machine: &mut Machine<'_>,
    map: &Value,
    key: &Value,
) -> Result<Option<Value>, Fault> {
    let Value::Object(Opaque(object)) = map else {
        return Err(Fault::null());
    };
    let Some(key) = key.as_str() else {
        return Ok(None);
    };
    if let Object::Dictionary(_) = &**object {
        return Ok(None);
    }
    if let Some(map) = multi_map(machine, object) {
        return Ok(map
            .get(key)
            .map(|values| sequence::strings(values.iter().map(String::as_str))));
    }
    let context = &*machine.context;
    match &**object {
        Object::Part(Part::Variables) => Ok(context.variables.get(key).cloned()),
        Object::Part(Part::MatchedParameters) => {
            let found = context
                .request
                .matched_parameters
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(key));
            Ok(found.map(|(_, value)| value.as_str().into()))
        }
        Object::Part(Part::Certificates) => Ok(context
            .deployment
            .certificates
            .get(key)
            .map(|certificate| Value::Certificate(Arc::new(certificate.clone())))),
        _ => Ok(super::jwt::claim(object, key)),
    }
}

/// Header values joined by commas; a dictionary of the expression's own too.
fn joined(machine: &mut Machine<'_>, call: &Call<'_>) -> Result<Option<Value>, Fault> {
    let map = call.value(0);
    let Value::Object(Opaque(object)) = &map else {
        return Err(Fault::null());
    };
    let name = call.text(1)?;
    let found = match multi_map(machine, object) {
        Some(map) => map.joined(&name),
        None => match super::collections::find(machine, call)? {
            Some(values) => {
                let values = sequence::collect(machine, &values)?;
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                Some(values.join(","))
            }
            None => None,
        },
    };
    match found {
        Some(text) => machine.text(text).map(Some),
        None => Ok(None),
    }
}

fn variable(machine: &mut Machine<'_>, call: &Call<'_>, none: Value) -> Result<Value, Fault> {
    match super::collections::find(machine, call)? {
        Some(value) => machine.convert(&Conversion::Cast(call.kind(0)), value),
        None => Ok(none),
    }
}

/// The items of a part that is a sequence.
pub(crate) fn enumerate(
    machine: &mut Machine<'_>,
    value: &Value,
) -> Result<Option<Vec<Value>>, Fault> {
    let Value::Object(Opaque(object)) = value else {
        return Ok(None);
    };
    let pair = |name: &str, value: Value| Value::object(Object::Pair(name.into(), value));
    let texts = |values: &[String]| sequence::strings(values.iter().map(String::as_str));
    let mut pairs = Vec::new();
    if let Some(map) = multi_map(machine, object) {
        pairs.extend(map.iter().map(|(name, values)| pair(name, texts(values))));
    } else {
        let context = &*machine.context;
        match &**object {
            Object::Part(Part::Variables) => {
                pairs.extend(
                    context
                        .variables
                        .iter()
                        .map(|(name, value)| pair(name, value.clone())),
                );
            }
            Object::Part(Part::MatchedParameters) => {
                let parameters = &context.request.matched_parameters;
                pairs.extend(
                    parameters
                        .iter()
                        .map(|(name, value)| pair(name, value.as_str().into())),
                );
            }
            Object::Part(Part::Certificates) => {
                let certificates = &context.deployment.certificates;
                pairs.extend(
                    certificates
                        .iter()
                        .map(|(name, one)| pair(name, Value::Certificate(Arc::new(one.clone())))),
                );
            }
            other => match super::jwt::claims(other) {
                Some(claims) => {
                    pairs.extend(
                        claims
                            .iter()
                            .map(|(name, values)| pair(name, texts(values))),
                    );
                }
                None => return Ok(None),
            },
        }
    }
    machine.allocate(pairs.len() * 96)?;
    Ok(Some(pairs))
}

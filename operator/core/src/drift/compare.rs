//! What is there against what should be, place by place.

use std::collections::BTreeMap;

use super::redact;
use super::report::{Difference, DriftReport, Kind};
use crate::apim::{
    AppliedRecord, Observed, ObservedApi, ObservedOperation, ObservedPart, ObservedPolicy, PartId,
    Published, difference, parts, same_document,
};
use crate::desired::{ApiDocument, DesiredApi, PolicyText};
use crate::policy::{Format, canonical, parse};

/// The longest text of an expected or found value.
const MAX_VALUE: usize = 160;
/// What stands for something that is not there.
const ABSENT: &str = "(absent)";

/// What differs, in the parts that were read. `observed.api` counts as read:
/// none means that there is no API.
#[must_use]
pub fn compare(
    published: Published<'_>,
    record: &AppliedRecord,
    observed: &Observed,
) -> DriftReport {
    let Published { api, policy, .. } = published;
    let mut differences = Vec::new();
    let Some(found) = &observed.api else {
        differences.push(Difference::new(
            Kind::Deleted,
            "api",
            format!("`{}`", api.id),
            ABSENT,
        ));
        return DriftReport { differences };
    };
    if !found.carries(&api.mark) {
        differences.push(Difference::new(
            Kind::Ownership,
            "apiRevisionDescription",
            quoted(&api.mark),
            found
                .whose()
                .as_deref()
                .map_or_else(|| ABSENT.to_owned(), quoted),
        ));
        // Nothing of somebody else's API is ours to judge.
        return DriftReport { differences };
    }
    if let Some(revision) = &record.api_revision
        && *revision != found.revision
    {
        differences.push(Difference::new(
            Kind::Revision,
            "apiRevision",
            quoted(revision),
            quoted(&found.revision),
        ));
    }
    settings(api, found, &mut differences);
    if observed.policy.was_read() {
        document(
            Kind::Policy,
            "policy",
            Some(&policy.api),
            observed.policy.found(),
            &mut differences,
        );
    }
    if let Some(there) = observed.operations.found() {
        operations(&api.document, record, there, &mut differences);
    }
    for (operation, reading) in &observed.operation_policies {
        if !reading.was_read() {
            continue;
        }
        let first = differences.len();
        document(
            Kind::OperationPolicy,
            &format!("operations/{operation}/policy"),
            policy.operations.get(operation),
            reading.found(),
            &mut differences,
        );
        for difference in differences.iter_mut().skip(first) {
            difference.operation = Some(operation.clone());
        }
    }
    let left = api
        .products
        .iter()
        .filter(|product| observed.products.get(*product) == Some(&false));
    differences.extend(left.map(|product| {
        Difference::new(
            Kind::Products,
            format!("products/{product}"),
            "the API in it",
            ABSENT,
        )
    }));
    for (id, reading) in &observed.parts {
        let Some(wanted) = api.parts.get(id) else {
            continue;
        };
        part(id, &wanted.content, reading.as_ref(), &mut differences);
    }
    DriftReport { differences }
}

fn part(
    id: &PartId,
    wanted: &serde_json::Value,
    found: Option<&ObservedPart>,
    out: &mut Vec<Difference>,
) {
    let Some(found) = found else {
        let path = id.to_string();
        out.push(Difference::new(Kind::Parts, path, "there", ABSENT));
        return;
    };
    let optional = |text: Option<&str>| text.map_or_else(|| ABSENT.to_owned(), quoted);
    for change in parts::content_changes(&found.content, wanted) {
        out.push(Difference::new(
            Kind::Parts,
            format!("{id}/{}", change.path),
            optional(change.to.as_deref()),
            optional(change.from.as_deref()),
        ));
    }
}

fn quoted(text: &str) -> String {
    format!(
        "`{}`",
        crate::status::cut(&redact::redacted(text), MAX_VALUE)
    )
}

fn settings(api: &DesiredApi, found: &ObservedApi, out: &mut Vec<Difference>) {
    let patch = difference(api, found);
    let (want, have) = (&api.settings, &found.settings);
    let keys = |names: &crate::desired::SubscriptionKeyNames| {
        quoted(&format!("header {}, query {}", names.header, names.query))
    };
    let optional = |text: Option<&str>| text.map_or_else(|| ABSENT.to_owned(), quoted);
    for field in patch.fields() {
        let (expected, there) = match field {
            "displayName" => (quoted(&want.display_name), quoted(&have.display_name)),
            "description" => (quoted(&want.description), quoted(&have.description)),
            "path" => (quoted(&want.path), quoted(&have.path)),
            "apiVersion" => (
                optional(want.version_line().as_deref()),
                optional(have.version_line().as_deref()),
            ),
            "protocols" => (
                quoted(&want.protocols.join(", ")),
                quoted(&have.protocols.join(", ")),
            ),
            "subscriptionRequired" => (
                want.subscription_required.to_string(),
                have.subscription_required.to_string(),
            ),
            "subscriptionKeyParameterNames" => (
                keys(&want.subscription_key_names),
                keys(&have.subscription_key_names),
            ),
            "authenticationSettings" => (
                optional(want.console().as_deref()),
                optional(have.console().as_deref()),
            ),
            "termsOfServiceUrl" => (
                optional(want.about.terms_of_service.as_deref()),
                optional(have.about.terms_of_service.as_deref()),
            ),
            "contact" => (
                optional(want.about.contact_line().as_deref()),
                optional(have.about.contact_line().as_deref()),
            ),
            "license" => (
                optional(want.about.license_line().as_deref()),
                optional(have.about.license_line().as_deref()),
            ),
            "serviceUrl" => (
                optional(api.service_url.as_deref()),
                optional(found.service_url.as_deref()),
            ),
            _ => (quoted(&api.mark), optional(found.mark.as_deref())),
        };
        out.push(Difference::new(Kind::Settings, field, expected, there));
    }
}

/// The differences of two policy documents, one of which may be none.
fn document(
    kind: Kind,
    path: &str,
    expected: Option<&PolicyText>,
    found: Option<&ObservedPolicy>,
    out: &mut Vec<Difference>,
) {
    let size = |text: &str| format!("a document of {} bytes", text.len());
    match (expected, found) {
        (None, None) => {}
        (Some(expected), None) => {
            out.push(Difference::new(kind, path, size(&expected.text), ABSENT));
        }
        (None, Some(found)) => out.push(Difference::new(kind, path, ABSENT, size(&found.text))),
        (Some(expected), Some(found)) if same_document(&expected.text, &found.text) => {}
        (Some(expected), Some(found)) => {
            let before = out.len();
            if let (Ok(want), Ok(have)) = (
                parse(&expected.text, Format::RawXml),
                parse(&found.text, Format::RawXml),
            ) {
                let text = |value: Option<String>| {
                    value.map_or_else(
                        || ABSENT.to_owned(),
                        |text| {
                            format!("`{}`", crate::status::cut(&redact::shown(&text), MAX_VALUE))
                        },
                    )
                };
                let (want, have) = (redact::masked(want), redact::masked(have));
                out.extend(canonical::diff(&want, &have).into_iter().map(|one| {
                    Difference::new(
                        kind,
                        format!("{path}/{}", one.path),
                        text(one.left),
                        text(one.right),
                    )
                }));
            }
            if out.len() == before {
                // What cannot be read as a document has no places to name.
                out.push(Difference::new(
                    kind,
                    path,
                    size(&expected.text),
                    format!("another {}", size(&found.text).trim_start_matches("a ")),
                ));
            }
        }
    }
}

fn operations(
    document: &ApiDocument,
    record: &AppliedRecord,
    there: &[ObservedOperation],
    out: &mut Vec<Difference>,
) {
    let signature = |method: &str, template: &str| {
        quoted(&format!("{} {template}", method.to_ascii_uppercase()))
    };
    let Some(made) = &document.operations else {
        // Only API Management knows the document.
        let expected = record.operations.map_or_else(
            || "those of the document".to_owned(),
            |count| format!("{count} operations"),
        );
        out.push(Difference::new(
            Kind::Operations,
            "operations",
            expected,
            format!("{} operations that were changed", there.len()),
        ));
        return;
    };
    let wanted: BTreeMap<String, String> = made
        .iter()
        .map(|one| {
            (
                one.id.to_ascii_lowercase(),
                signature(&one.method, &one.url_template),
            )
        })
        .collect();
    let present: BTreeMap<String, String> = there
        .iter()
        .map(|one| {
            (
                one.id.to_ascii_lowercase(),
                signature(&one.method, &one.url_template),
            )
        })
        .collect();
    let ids: std::collections::BTreeSet<&String> = wanted.keys().chain(present.keys()).collect();
    for id in ids {
        let (want, have) = (wanted.get(id), present.get(id));
        if want != have {
            let text = |side: Option<&String>| side.cloned().unwrap_or_else(|| ABSENT.to_owned());
            out.push(Difference::new(
                Kind::Operations,
                format!("operations/{id}"),
                text(want),
                text(have),
            ));
        }
    }
}

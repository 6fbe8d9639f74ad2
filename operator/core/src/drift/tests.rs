//! What is found, what is not, and when.

mod finds;
mod secrets;
mod times;

use std::collections::BTreeMap;

use crate::annotations::Adoption;
use crate::apim::{
    AppliedRecord, Observed, ObservedApi, ObservedOperation, ObservedPolicy, Published, Reading,
};
use crate::desired::*;
use crate::names::{ApiId, ContentHash, InstanceName, ObjectKey};

pub(super) const MARK: &str = "apim-operator/1 01234567 team/orders";

pub(super) const POLICY: &str = r#"<policies>
    <inbound>
        <base />
        <rate-limit calls="100" renewal-period="60" />
        <set-header name="X-Team" exists-action="override">
            <value>orders</value>
        </set-header>
    </inbound>
</policies>
"#;

pub(super) const OWN: &str = r"<policies>
    <inbound>
        <base />
    </inbound>
</policies>
";

pub(super) fn desired() -> Desired {
    let operation = |id: &str, method: &str| Operation {
        id: id.to_owned(),
        operation_id: Some(id.to_owned()),
        method: method.to_owned(),
        url_template: "/orders".to_owned(),
    };
    Desired {
        monitor: None,
        backends: Vec::new(),
        named_values: Vec::new(),
        metrics: false,
        key: ObjectKey::new("team", "orders"),
        instance: Some(InstanceName::parse("default").unwrap()),
        exposure: Exposure::External { url: None },
        protections: Vec::new(),
        api: Some(DesiredApi {
            id: ApiId::parse("team.orders").unwrap(),
            mark: MARK.to_owned(),
            settings: ApiSettings {
                display_name: "orders".to_owned(),
                description: String::new(),
                path: "orders".to_owned(),
                protocols: vec!["https".to_owned(), "http".to_owned()],
                subscription_required: true,
                subscription_key_names: SubscriptionKeyNames::default(),
                api_version: None,
                api_version_set: None,
                openid_provider: None,
                oauth2: None,
                about: crate::about::About::default(),
            },
            service_url: Some("https://backend.example.com/orders".to_owned()),
            document: ApiDocument {
                format: ImportFormat::OpenApiJson,
                value: "{}".to_owned(),
                hash: ContentHash::of("{}"),
                origin: DocumentOrigin::Inline,
                operations: Some(vec![
                    operation("get-orders", "GET"),
                    operation("post-orders", "POST"),
                ]),
            },
            products: [].into(),
            parts: [].into(),
            own_prefix: String::new(),
            adoption: Adoption::Refuse,
            rollout: None,
            rollback: None,
            mandatory: None,
        }),
        policy: Some(DesiredPolicy {
            api: PolicyText::new(POLICY.to_owned()),
            operations: BTreeMap::from([(
                "post-orders".to_owned(),
                PolicyText::new(OWN.to_owned()),
            )]),
            plugins: Vec::new(),
            origins: Origins::default(),
        }),
        warnings: Vec::new(),
    }
}

/// The record after everything was put in place.
pub(super) fn record(desired: &Desired) -> AppliedRecord {
    let published = Published::of(desired).unwrap();
    let mut record = AppliedRecord::of(None, published);
    record.complete(published.api, published.policy);
    record.api_revision = Some("1".to_owned());
    record
}

/// The API as Azure gives it back: a `/` less, protocols in another order.
pub(super) fn observed(desired: &Desired) -> ObservedApi {
    let api = desired.api.as_ref().unwrap();
    let mut settings = api.settings.clone();
    settings.path = "orders/".to_owned();
    settings.protocols.reverse();
    ObservedApi {
        etag: Some("\"AAAA\"".to_owned()),
        revision: "1".to_owned(),
        mark: Some(api.mark.clone()),
        other_marks: Vec::new(),
        provisioning: None,
        settings,
        service_url: api.service_url.clone(),
    }
}

pub(super) fn policy(text: &str) -> Reading<ObservedPolicy> {
    Reading::Found(ObservedPolicy {
        text: text.to_owned(),
        etag: Some("\"P\"".to_owned()),
    })
}

pub(super) fn operation(id: &str, method: &str, template: &str) -> ObservedOperation {
    ObservedOperation {
        id: id.to_owned(),
        method: method.to_owned(),
        url_template: template.to_owned(),
    }
}

/// Everything read, and as it should be.
pub(super) fn all(desired: &Desired) -> Observed {
    Observed {
        api: Some(observed(desired)),
        policy: policy(
            "<policies>\r\n\t<inbound>\r\n\t\t<base />\r\n\t\t<rate-limit renewal-period=\"60\" calls=\"100\" />\r\n\t\t<set-header name=\"X-Team\">\r\n\t\t\t<value>orders</value>\r\n\t\t</set-header>\r\n\t</inbound>\r\n</policies>",
        ),
        operations: Reading::Found(vec![
            operation("post-orders", "POST", "/orders"),
            operation("get-orders", "GET", "/orders"),
        ]),
        operation_policies: BTreeMap::from([
            ("get-orders".to_owned(), Reading::Absent),
            ("post-orders".to_owned(), policy(OWN)),
        ]),
        ..Observed::default()
    }
}

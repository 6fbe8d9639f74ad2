//! The bodies of ARM's API Management interface, as far as they are used.
//!
//! Reading is lenient: fields that are null and fields that are absent are the
//! same, unknown ones are ignored. Writing is exact: only fields that the
//! operator owns are sent.

use operator_core::about::{About, Contact, License};
use operator_core::apim::{ObservedApi, ObservedOperation, SettingsPatch};
use operator_core::desired::{ApiSettings, DesiredApi, SubscriptionKeyNames};
use operator_core::names::VersionSetId;
use operator_core::oauth2::OAuth2Setting;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::arm::quoted_etag;
use crate::reads::{ListedApi, Revision};

/// The envelope of every entity.
#[derive(Debug, Deserialize)]
pub(crate) struct Entity<T> {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    etag: Option<String>,
    pub(crate) properties: T,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    #[serde(default = "Vec::new")]
    pub(crate) value: Vec<T>,
    #[serde(default)]
    pub(crate) next_link: Option<String>,
    /// Of all pages together.
    #[serde(default)]
    pub(crate) count: Option<u32>,
}

/// How many entries a list has.
#[derive(Debug, Deserialize)]
pub(crate) struct Counted {
    #[serde(default)]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ApiProperties {
    display_name: Option<String>,
    description: Option<String>,
    path: Option<String>,
    api_version: Option<String>,
    api_version_set_id: Option<String>,
    protocols: Option<Vec<String>>,
    service_url: Option<String>,
    subscription_required: Option<bool>,
    subscription_key_parameter_names: Option<KeyNames>,
    authentication_settings: Option<AuthenticationSettings>,
    terms_of_service_url: Option<String>,
    contact: Option<ContactBody>,
    license: Option<LicenseBody>,
    api_revision: Option<String>,
    api_revision_description: Option<String>,
    is_current: Option<bool>,
    provisioning_state: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContactBody {
    name: Option<String>,
    url: Option<String>,
    email: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LicenseBody {
    name: Option<String>,
    url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct KeyNames {
    header: Option<String>,
    query: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AuthenticationSettings {
    o_auth2: Option<OAuth2Body>,
    #[serde(rename = "oAuth2AuthenticationSettings")]
    o_auth2_list: Option<Vec<OAuth2Body>>,
    openid: Option<OpenIdSetting>,
    #[serde(rename = "openidAuthenticationSettings")]
    openid_list: Option<Vec<OpenIdSetting>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OpenIdSetting {
    openid_provider_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OAuth2Body {
    authorization_server_id: Option<String>,
    scope: Option<String>,
}

impl OAuth2Body {
    fn read(self) -> Option<OAuth2Setting> {
        let id = self.authorization_server_id.and_then(filled)?;
        Some(OAuth2Setting {
            server: id.rsplit('/').next().unwrap_or_default().to_owned(),
            scope: self.scope.and_then(filled),
        })
    }
}

/// What Azure gives back empty was never said.
fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl ContactBody {
    fn read(self) -> Option<Contact> {
        let contact = Contact {
            name: self.name.and_then(filled),
            url: self.url.and_then(filled),
            email: self.email.and_then(filled),
        };
        contact.filled()
    }
}

impl LicenseBody {
    fn read(self) -> Option<License> {
        let license = License {
            name: self.name.and_then(filled),
            url: self.url.and_then(filled),
        };
        license.filled()
    }
}

impl ApiProperties {
    pub(crate) fn observed(self, etag: Option<String>) -> ObservedApi {
        let standard = SubscriptionKeyNames::default();
        let keys = self.subscription_key_parameter_names.unwrap_or_default();
        let authentication = self.authentication_settings.unwrap_or_default();
        let oauth2 = authentication
            .o_auth2
            .into_iter()
            .chain(authentication.o_auth2_list.unwrap_or_default())
            .find_map(OAuth2Body::read);
        let openid_provider = authentication
            .openid
            .into_iter()
            .chain(authentication.openid_list.unwrap_or_default())
            .find_map(|setting| setting.openid_provider_id)
            // The short name is what is sent; an id may come back.
            .map(|id| id.rsplit('/').next().unwrap_or_default().to_owned());
        let api_version_set = self
            .api_version_set_id
            .as_deref()
            .and_then(|id| VersionSetId::parse(id.rsplit('/').next()?).ok());
        ObservedApi {
            etag,
            revision: self.api_revision.unwrap_or_else(|| "1".into()),
            mark: self.api_revision_description,
            other_marks: Vec::new(),
            settings: ApiSettings {
                display_name: self.display_name.unwrap_or_default(),
                description: self.description.unwrap_or_default(),
                path: self.path.unwrap_or_default(),
                api_version: self.api_version.and_then(filled),
                api_version_set,
                protocols: self.protocols.unwrap_or_default(),
                subscription_required: self.subscription_required.unwrap_or_default(),
                subscription_key_names: SubscriptionKeyNames {
                    header: keys.header.unwrap_or(standard.header),
                    query: keys.query.unwrap_or(standard.query),
                },
                openid_provider,
                oauth2,
                about: About {
                    terms_of_service: self.terms_of_service_url.and_then(filled),
                    contact: self.contact.and_then(ContactBody::read),
                    license: self.license.and_then(LicenseBody::read),
                },
            },
            service_url: self.service_url,
            provisioning: self.provisioning_state,
        }
    }
}

impl From<Entity<ApiProperties>> for ListedApi {
    fn from(entity: Entity<ApiProperties>) -> Self {
        // A revision that is not the current one is listed as `<id>;rev=<n>`.
        let (id, suffix) = match entity.name.split_once(";rev=") {
            Some((id, _)) => (id.to_owned(), true),
            None => (entity.name, false),
        };
        Self {
            id,
            is_current: entity.properties.is_current.unwrap_or(!suffix),
            api: entity
                .properties
                .observed(entity.etag.as_deref().map(quoted_etag)),
        }
    }
}

/// A revision, in the list of them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RevisionBody {
    api_revision: Option<String>,
    description: Option<String>,
    is_current: Option<bool>,
}

impl From<RevisionBody> for Revision {
    fn from(body: RevisionBody) -> Self {
        Self {
            number: body.api_revision.unwrap_or_default(),
            description: body.description,
            is_current: body.is_current == Some(true),
        }
    }
}

/// An entity of a list of which only the name matters.
#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    name: String,
}

impl From<Named> for String {
    fn from(named: Named) -> Self {
        named.name
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct OperationProperties {
    method: Option<String>,
    url_template: Option<String>,
}

impl From<Entity<OperationProperties>> for ObservedOperation {
    fn from(entity: Entity<OperationProperties>) -> Self {
        Self {
            id: entity.name,
            method: entity.properties.method.unwrap_or_default(),
            url_template: entity.properties.url_template.unwrap_or_default(),
        }
    }
}

/// What a release says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReleaseProperties {
    notes: Option<String>,
}

impl From<Entity<ReleaseProperties>> for (String, String) {
    fn from(entity: Entity<ReleaseProperties>) -> Self {
        (entity.name, entity.properties.notes.unwrap_or_default())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PolicyProperties {
    pub(crate) value: String,
}

/// The body that makes or replaces an API, with the document when it is an
/// import.
pub(crate) fn api_body(api: &DesiredApi, import: bool) -> Value {
    let settings = &api.settings;
    let mut properties = Map::new();
    let mut set = |name: &str, value: Value| properties.insert(name.to_owned(), value);
    set("displayName", json!(settings.display_name));
    set("description", json!(settings.description));
    set("path", json!(settings.path));
    if let Some(version) = &settings.api_version {
        set("apiVersion", json!(version));
    }
    if let Some(id) = &settings.api_version_set {
        set("apiVersionSetId", set_id(id));
    }
    set("protocols", json!(settings.protocols));
    set("serviceUrl", json!(api.service_url));
    set(
        "subscriptionRequired",
        json!(settings.subscription_required),
    );
    set(
        "subscriptionKeyParameterNames",
        key_names(&settings.subscription_key_names),
    );
    let (provider, server) = (
        settings.openid_provider.as_deref(),
        settings.oauth2.as_ref(),
    );
    if provider.is_some() || server.is_some() {
        set("authenticationSettings", authentication(provider, server));
    }
    let about = &settings.about;
    if let Some(terms) = &about.terms_of_service {
        set("termsOfServiceUrl", json!(terms));
    }
    if let Some(contact) = &about.contact {
        set("contact", json!(contact));
    }
    if let Some(license) = &about.license {
        set("license", json!(license));
    }
    set("apiRevisionDescription", mark(api));
    if import {
        set("format", json!(api.document.format.as_str()));
        set("value", json!(api.document.value));
    }
    json!({ "properties": properties })
}

/// As the documentation of `loggerId` spells such ids: below the service.
/// Inferred: that holds for sets of versions, too.
fn set_id(id: &VersionSetId) -> Value {
    json!(format!("/apiVersionSets/{id}"))
}

/// The body that copies a revision.
pub(crate) fn revision_body(api: &DesiredApi, path: &str, source: &str) -> Value {
    json!({ "properties": {
        "sourceApiId": source,
        "path": path,
        "apiRevisionDescription": mark(api),
    } })
}

fn mark(api: &DesiredApi) -> Value {
    #[cfg(feature = "defects")]
    if crate::defects::is_on(crate::defects::Defect::SkipsMark) {
        return json!("");
    }
    json!(api.mark)
}

/// The body that changes some settings.
pub(crate) fn patch_body(patch: &SettingsPatch) -> Value {
    let fields = [
        ("displayName", patch.display_name.as_ref().map(|v| json!(v))),
        ("description", patch.description.as_ref().map(|v| json!(v))),
        ("path", patch.path.as_ref().map(|v| json!(v))),
        (
            "apiVersion",
            patch.version.as_ref().map(|(version, _)| json!(version)),
        ),
        // That null takes an API out of its set is inferred from what it does
        // to other fields.
        (
            "apiVersionSetId",
            patch
                .version
                .as_ref()
                .map(|(_, set)| set.as_ref().map_or(Value::Null, set_id)),
        ),
        ("protocols", patch.protocols.as_ref().map(|v| json!(v))),
        ("serviceUrl", patch.service_url.as_ref().map(|v| json!(v))),
        (
            "subscriptionRequired",
            patch.subscription_required.map(|v| json!(v)),
        ),
        (
            "subscriptionKeyParameterNames",
            patch.subscription_key_names.as_ref().map(key_names),
        ),
        (
            "authenticationSettings",
            patch
                .authentication
                .as_ref()
                .map(|(provider, server)| authentication(provider.as_deref(), server.as_ref())),
        ),
        (
            "termsOfServiceUrl",
            patch.terms_of_service.as_ref().map(|v| json!(v)),
        ),
        ("contact", patch.contact.as_ref().map(|v| json!(v))),
        ("license", patch.license.as_ref().map(|v| json!(v))),
        (
            "apiRevisionDescription",
            patch.mark.as_ref().map(|v| json!(v)),
        ),
    ];
    let properties: Map<String, Value> = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
    json!({ "properties": properties })
}

fn key_names(names: &SubscriptionKeyNames) -> Value {
    json!({ "header": names.header, "query": names.query })
}

fn authentication(provider: Option<&str>, server: Option<&OAuth2Setting>) -> Value {
    let mut settings = Map::new();
    if let Some(id) = provider {
        let openid = json!({
            "openidProviderId": id,
            "bearerTokenSendingMethods": ["authorizationHeader"],
        });
        settings.insert("openid".to_owned(), openid);
    }
    if let Some(server) = server {
        let oauth2 = json!({"authorizationServerId": server.server, "scope": server.scope});
        settings.insert("oAuth2".to_owned(), oauth2);
        settings.insert("openid".to_owned(), Value::Null);
    }
    if settings.is_empty() {
        return json!({ "oAuth2": null, "openid": null });
    }
    settings.into()
}

//! Whether what is there is what is wanted, by meaning rather than by text.
//!
//! API Management gives back less and more than it was given: a leading `/` of
//! the path is gone, absent texts come back as null, protocols change their
//! order, policy documents are indented anew. None of that is a difference.

use std::collections::BTreeSet;

use super::observed::ObservedApi;
use crate::about::{Contact, License};
use crate::desired::{ApiSettings, DesiredApi, SubscriptionKeyNames};
use crate::names::VersionSetId;
use crate::oauth2::OAuth2Setting;
use crate::policy::{Format, canonical, parse};

/// The settings that differ, with the values they should have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingsPatch {
    /// `displayName`.
    pub display_name: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `path`.
    pub path: Option<String>,
    /// `apiVersion` and `apiVersionSetId`, which are sent together; what is none
    /// goes.
    pub version: Option<(Option<String>, Option<VersionSetId>)>,
    /// `protocols`.
    pub protocols: Option<Vec<String>>,
    /// `subscriptionRequired`.
    pub subscription_required: Option<bool>,
    /// `subscriptionKeyParameterNames`.
    pub subscription_key_names: Option<SubscriptionKeyNames>,
    /// `authenticationSettings`: the OpenID provider, and the OAuth 2.0 server;
    /// what is none goes.
    pub authentication: Option<(Option<String>, Option<OAuth2Setting>)>,
    /// `termsOfServiceUrl`; inner none: it goes.
    pub terms_of_service: Option<Option<String>>,
    /// `contact`; inner none: it goes.
    pub contact: Option<Option<Contact>>,
    /// `license`; inner none: it goes.
    pub license: Option<Option<License>>,
    /// `serviceUrl`.
    pub service_url: Option<String>,
    /// `apiRevisionDescription`.
    pub mark: Option<String>,
}

impl SettingsPatch {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The names of the fields that differ, as ARM spells them.
    #[must_use]
    pub fn fields(&self) -> Vec<&'static str> {
        [
            (self.display_name.is_some(), "displayName"),
            (self.description.is_some(), "description"),
            (self.path.is_some(), "path"),
            (self.version.is_some(), "apiVersion"),
            (self.protocols.is_some(), "protocols"),
            (self.subscription_required.is_some(), "subscriptionRequired"),
            (
                self.subscription_key_names.is_some(),
                "subscriptionKeyParameterNames",
            ),
            (self.authentication.is_some(), "authenticationSettings"),
            (self.terms_of_service.is_some(), "termsOfServiceUrl"),
            (self.contact.is_some(), "contact"),
            (self.license.is_some(), "license"),
            (self.service_url.is_some(), "serviceUrl"),
            (self.mark.is_some(), "apiRevisionDescription"),
        ]
        .into_iter()
        .filter_map(|(differs, name)| differs.then_some(name))
        .collect()
    }
}

/// What would have to be patched for the API to have the desired settings.
#[must_use]
pub fn difference(desired: &DesiredApi, observed: &ObservedApi) -> SettingsPatch {
    let want = &desired.settings;
    let have: &ApiSettings = &observed.settings;
    let path = |text: &str| text.trim_matches('/').to_owned();
    SettingsPatch {
        display_name: changed(&want.display_name, &have.display_name),
        description: changed(&want.description, &have.description),
        path: (path(&want.path) != path(&have.path)).then(|| want.path.clone()),
        version: (want.api_version != have.api_version || !want.is_in_set_of(have))
            .then(|| (want.api_version.clone(), want.api_version_set.clone())),
        protocols: (as_set(&want.protocols) != as_set(&have.protocols))
            .then(|| want.protocols.clone()),
        subscription_required: changed(&want.subscription_required, &have.subscription_required),
        subscription_key_names: changed(&want.subscription_key_names, &have.subscription_key_names),
        authentication: (want.openid_provider != have.openid_provider
            || want.oauth2 != have.oauth2)
            .then(|| (want.openid_provider.clone(), want.oauth2.clone())),
        terms_of_service: changed(&want.about.terms_of_service, &have.about.terms_of_service),
        contact: changed(&want.about.contact, &have.about.contact),
        license: changed(&want.about.license, &have.about.license),
        service_url: desired
            .service_url
            .as_ref()
            .filter(|want| observed.service_url.as_ref() != Some(want))
            .cloned(),
        mark: (observed.mark.as_deref() != Some(desired.mark.as_str()))
            .then(|| desired.mark.clone()),
    }
}

fn changed<T: PartialEq + Clone>(want: &T, have: &T) -> Option<T> {
    (want != have).then(|| want.clone())
}

fn as_set(protocols: &[String]) -> BTreeSet<String> {
    protocols.iter().map(|p| p.to_ascii_lowercase()).collect()
}

/// Whether two policy documents mean the same. Where one of them cannot be
/// read as a document, only whitespace between elements is overlooked: calling
/// equal ones different costs a write, the reverse a policy.
#[must_use]
pub fn same_document(one: &str, other: &str) -> bool {
    match (parse(one, Format::RawXml), parse(other, Format::RawXml)) {
        (Ok(one), Ok(other)) => canonical::equal(&one, &other),
        _ => layout_free(one) == layout_free(other),
    }
}

/// The text without whitespace that stands between `>` and `<`, at either end
/// or before `/>`.
pub(crate) fn layout_free(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = String::new();
    for c in text.trim().chars().filter(|c| *c != '\r') {
        if c.is_whitespace() {
            blank.push(c);
            continue;
        }
        let between = c == '<' && out.ends_with('>');
        let closing = c == '/' && !blank.is_empty();
        if !between && !closing {
            out.push_str(&blank);
        } else if closing {
            // Kept as one mark, so that `a /b` and `a/b` stay different in
            // text while `<base />` and `<base/>` become equal below.
            out.push(' ');
        }
        blank.clear();
        out.push(c);
    }
    out.replace(" />", "/>")
}

#[cfg(test)]
mod tests {
    use super::same_document;

    #[test]
    fn layout_is_no_difference() {
        assert!(same_document(
            "<policies>\n    <inbound>\n        <base />\n    </inbound>\n</policies>\n",
            "<policies>\r\n\t<inbound>\r\n\t\t<base/></inbound></policies>"
        ));
    }

    #[test]
    fn text_and_code_are_differences() {
        assert!(!same_document("<a>x y</a>", "<a>xy</a>"));
        assert!(!same_document("<a>x /b</a>", "<a>x/b</a>"));
        assert!(!same_document(
            r#"<set-header name="a" />"#,
            r#"<set-header name="b" />"#
        ));
    }
}

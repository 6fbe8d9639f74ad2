//! The headers that make browsers careful.

use policy_sdk::elements::{ExistsAction, SetHeader};
use policy_sdk::{At, Diagnostic, text};
use serde::Deserialize;

/// How the preset may be written.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "true, false, or an object with single headers")]
pub(crate) enum Security {
    All(bool),
    Some(Box<Settings>),
}

impl Default for Security {
    fn default() -> Self {
        Self::All(false)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Settings {
    strict_transport_security: Option<Setting>,
    content_type_options: Option<Setting>,
    frame_options: Option<Setting>,
    content_security_policy: Option<Setting>,
    referrer_policy: Option<Setting>,
    hide_server: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a text, or false")]
enum Setting {
    On(bool),
    Value(String),
}

/// A header of the preset.
#[derive(Debug)]
pub(crate) struct Header {
    name: &'static str,
    action: ExistsAction,
    value: Option<String>,
    pointer: String,
}

impl Header {
    pub(crate) fn statement(&self) -> SetHeader {
        let header = SetHeader::new(self.name).exists_action(self.action);
        match &self.value {
            Some(value) => header.value(value.at(&self.pointer)),
            None => header,
        }
    }
}

/// What names the backend's software: of use to attackers alone.
const TELLTALES: [&str; 4] = [
    "Server",
    "X-Powered-By",
    "X-AspNet-Version",
    "X-AspNetMvc-Version",
];

impl Security {
    /// The headers. A backend that serves pages knows better than the preset
    /// what may frame them and what they may load, so those are only added
    /// where it says nothing; a value in the config is always sent.
    pub(crate) fn headers(&self) -> Vec<Header> {
        let none = Settings::default();
        let settings = match self {
            Self::All(false) => return Vec::new(),
            Self::All(true) => &none,
            Self::Some(settings) => settings,
        };
        let table = [
            (
                "Strict-Transport-Security",
                "strictTransportSecurity",
                &settings.strict_transport_security,
                ExistsAction::Override,
                "max-age=31536000; includeSubDomains",
            ),
            (
                "X-Content-Type-Options",
                "contentTypeOptions",
                &settings.content_type_options,
                ExistsAction::Override,
                "nosniff",
            ),
            (
                "X-Frame-Options",
                "frameOptions",
                &settings.frame_options,
                ExistsAction::Skip,
                "DENY",
            ),
            (
                "Content-Security-Policy",
                "contentSecurityPolicy",
                &settings.content_security_policy,
                ExistsAction::Skip,
                "default-src 'none'; frame-ancestors 'none'",
            ),
            (
                "Referrer-Policy",
                "referrerPolicy",
                &settings.referrer_policy,
                ExistsAction::Skip,
                "no-referrer",
            ),
        ];
        let mut headers = Vec::new();
        for (name, field, setting, action, default) in table {
            let (action, value) = match setting {
                Some(Setting::On(false)) => continue,
                Some(Setting::On(true)) | None => (action, default.to_owned()),
                Some(Setting::Value(value)) => (ExistsAction::Override, value.clone()),
            };
            headers.push(Header {
                name,
                action,
                value: Some(value),
                pointer: format!("/security/{field}"),
            });
        }
        if settings.hide_server.unwrap_or(true) {
            headers.extend(TELLTALES.map(|name| Header {
                name,
                action: ExistsAction::Delete,
                value: None,
                pointer: "/security/hideServer".to_owned(),
            }));
        }
        headers
    }

    /// Values that cannot stand in a header.
    pub(crate) fn problems(&self) -> Vec<Diagnostic> {
        self.headers()
            .into_iter()
            .filter(|header| {
                header
                    .value
                    .as_deref()
                    .is_some_and(|value| !text::is_header_value(value))
            })
            .map(|header| {
                Diagnostic::error(
                    header.pointer,
                    "the value of a header holds no line break or other control character, and no \
                     blank at its ends",
                )
            })
            .collect()
    }
}

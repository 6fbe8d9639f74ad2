//! Small values that are equal where two things mean the same.

use std::collections::BTreeSet;
use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::apim::{ObservedApi, ObservedOperation};
use crate::desired::{ApiSettings, DesiredApi, Operation};
use crate::policy::{Format, canonical, parse};

/// 128 bits of SHA-256 over a canonical form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 16]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Fingerprint {
    fn of_json(value: &impl serde::Serialize) -> Self {
        // Only maps with keys that are no texts fail to serialize; there are
        // none here.
        Self::of_bytes(&serde_json::to_vec(value).unwrap_or_default())
    }

    fn of_bytes(bytes: &[u8]) -> Self {
        let hash: [u8; 32] = Sha256::digest(bytes).into();
        let mut short = [0; 16];
        short.copy_from_slice(hash.split_at(16).0);
        Self(short)
    }

    /// Of the settings that an API should have.
    #[must_use]
    pub fn of_desired(api: &DesiredApi) -> Self {
        Self::settings(&api.settings, api.service_url.as_deref(), Some(&api.mark))
    }

    /// Of the settings that an API has: equal to that of the desired ones
    /// exactly where [`difference`](crate::apim::difference) finds none.
    #[must_use]
    pub fn of_observed(api: &ObservedApi) -> Self {
        Self::settings(
            &api.settings,
            api.service_url.as_deref(),
            api.mark.as_deref(),
        )
    }

    fn settings(settings: &ApiSettings, service_url: Option<&str>, mark: Option<&str>) -> Self {
        let protocols: BTreeSet<String> = settings
            .protocols
            .iter()
            .map(|p| p.to_ascii_lowercase())
            .collect();
        Self::of_json(&(
            &settings.display_name,
            &settings.description,
            (
                settings.path.trim_matches('/'),
                &settings.api_version,
                settings
                    .api_version_set
                    .as_ref()
                    .map(|set| set.as_str().to_ascii_lowercase()),
            ),
            protocols,
            settings.subscription_required,
            &settings.subscription_key_names,
            (&settings.openid_provider, &settings.oauth2),
            &settings.about,
            service_url,
            mark,
        ))
    }

    /// Of a policy document: equal where
    /// [`same_document`](crate::apim::same_document) says so.
    #[must_use]
    pub fn of_document(text: &str) -> Self {
        match parse(text, Format::RawXml) {
            Ok(document) => Self::of_bytes(canonical::hash(&document).as_bytes()),
            Err(_) => Self::of_bytes(crate::apim::layout_free(text).as_bytes()),
        }
    }

    /// Of which operations an import makes.
    #[must_use]
    pub fn of_made(operations: &[Operation]) -> Self {
        Self::ids(operations.iter().map(|operation| operation.id.as_str()))
    }

    /// Of which operations there are.
    #[must_use]
    pub fn of_present(operations: &[ObservedOperation]) -> Self {
        Self::ids(operations.iter().map(|operation| operation.id.as_str()))
    }

    fn ids<'a>(ids: impl Iterator<Item = &'a str>) -> Self {
        let ids: BTreeSet<String> = ids.map(str::to_ascii_lowercase).collect();
        Self::of_json(&ids)
    }

    /// Of operations with their methods and templates, as they were read.
    #[must_use]
    pub fn of_shape(operations: &[ObservedOperation]) -> Self {
        let all: BTreeSet<(String, String, &str)> = operations
            .iter()
            .map(|operation| {
                (
                    operation.id.to_ascii_lowercase(),
                    operation.method.to_ascii_uppercase(),
                    operation.url_template.as_str(),
                )
            })
            .collect();
        Self::of_json(&all)
    }
}

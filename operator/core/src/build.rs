//! From a validated API to its desired state.
//!
//! Nothing can go wrong here: what could was found by
//! [`validate`](crate::validate::validate).

#[cfg(test)]
mod tests;

use crate::desired::{ApiSettings, Desired, DesiredApi, DesiredMonitor, DesiredNamedValue};
use crate::exposed_api::Implementation;
use crate::instance::Instance;
use crate::policy::Standing;
use crate::products;
use crate::rollout::Rollout;
use crate::validate::{Publication, ValidatedApi};

/// The longest display name (ARM specification 2024-05-01).
const MAX_DISPLAY_NAME: usize = 300;

/// The desired state of an API. Its policy is absent until the plugins of its
/// chain were called.
#[must_use]
pub fn build(validated: &ValidatedApi) -> Desired {
    let api = validated.api();
    Desired {
        key: api.key.clone(),
        instance: validated.instance().map(|i| i.name.clone()),
        exposure: validated.exposure.clone(),
        protections: validated.protections.clone(),
        monitor: monitor(validated),
        metrics: api.api_type.is_metrics(),
        api: match (&validated.publication, validated.instance()) {
            (Some(publication), Some(instance)) => {
                Some(desired_api(validated, publication, instance))
            }
            _ => None,
        },
        backends: validated.backends.clone(),
        policy: None,
        named_values: named_values(validated),
        warnings: validated.warnings.clone(),
    }
}

/// The secrets of profiles that the API's plugins use.
fn named_values(validated: &ValidatedApi) -> Vec<DesiredNamedValue> {
    let Some(publication) = &validated.publication else {
        return Vec::new();
    };
    let cluster = publication.mark.cluster();
    let of = validated.chain().secrets.iter().map(|secret| {
        let profile = &secret.profile;
        DesiredNamedValue {
            id: secret.id.clone(),
            mark: profile.mark(cluster).to_string(),
            profile: profile.clone(),
            secret: secret.secret.name.clone(),
            source: secret.secret.source.clone(),
            standing: Standing::default(),
            version: None,
        }
    });
    of.collect()
}

/// What is said to Prometheus of metrics whose Service is in the cluster.
fn monitor(validated: &ValidatedApi) -> Option<DesiredMonitor> {
    let api = validated.api();
    let settings = validated
        .instance()?
        .spec
        .exposure
        .service_monitor
        .as_ref()?;
    let Implementation::Service(service) = &api.implementation else {
        return None;
    };
    api.api_type.is_metrics().then(|| DesiredMonitor {
        service: service.clone(),
        port: api.port,
        path: api.path.to_string(),
        labels: settings.labels.clone(),
        interval: settings.interval.clone(),
    })
}

/// How its changes reach callers.
fn rollout(validated: &ValidatedApi, instance: &Instance) -> Option<Rollout> {
    let said = validated.annotations().rollout.as_ref();
    let spec = said.unwrap_or(&instance.spec.rollout);
    spec.of(validated.url().as_deref())
}

fn desired_api(
    validated: &ValidatedApi,
    publication: &Publication,
    instance: &Instance,
) -> DesiredApi {
    let api = validated.api();
    let oauth2 = validated.annotations().oauth2.clone();
    let version = publication.version.as_ref();
    DesiredApi {
        id: publication.id.clone(),
        mark: publication.mark.to_string(),
        settings: ApiSettings {
            display_name: api.name.chars().take(MAX_DISPLAY_NAME).collect(),
            description: publication
                .description
                .clone()
                .unwrap_or_else(|| format!("API for {}", api.name)),
            path: api.path.as_api_management().to_owned(),
            api_version: version.map(|version| version.member.version.as_str().to_owned()),
            api_version_set: version.map(|version| version.set.clone()),
            protocols: validated
                .annotations()
                .protocols
                .as_ref()
                .unwrap_or(&instance.spec.protocols)
                .clone(),
            subscription_required: api.subscription.required,
            subscription_key_names: api.subscription.names.clone(),
            // The portal lets an API have one of the two.
            openid_provider: oauth2
                .is_none()
                .then(|| instance.spec.oidc_provider_id.clone()),
            oauth2,
            about: publication.about.clone(),
        },
        service_url: validated.backend_url.clone(),
        document: publication.document.clone(),
        products: validated.annotations().products.iter().cloned().collect(),
        parts: publication.parts.clone(),
        own_prefix: products::own_prefix(instance, &api.key.namespace),
        adoption: validated.annotations().adoption,
        rollout: rollout(validated, instance),
        rollback: validated.annotations().rollback.clone(),
        mandatory: validated.chain().mandatory_hash(),
    }
}

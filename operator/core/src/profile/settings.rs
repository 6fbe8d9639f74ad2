//! From what was written to a profile that makes sense.

use serde_json::Value;

use super::secrets::references;
use super::spec::{
    ClusterPolicyProfileSpec, KeyVaultSpec, PolicyProfileSpec, ProfilePluginSpec, ProfileSecretSpec,
};
use super::{
    CLUSTER_KIND, Profile, ProfilePlugin, ProfileRef, ProfileSecret, ProfileState, SecretKey,
    SecretSource, VaultSecret, place,
};
use crate::annotations::nearest::{did_you_mean, listed, shown};
use crate::instance::empty_object;
use crate::names::{PluginName, ProfileName};
use crate::problem::Problem;

use std::sync::Arc;

impl Profile {
    /// Checks the settings of a profile of a namespace. Problems are at
    /// `PolicyProfile/<namespace>/<name> spec.<field>`.
    pub fn of_namespace(
        namespace: &str,
        name: ProfileName,
        spec: &PolicyProfileSpec,
    ) -> ProfileState {
        let reference = ProfileRef {
            namespace: Some(namespace.to_owned()),
            name,
        };
        checked(reference, &spec.plugins, &spec.secrets, |_| ())
    }

    /// Checks the settings of a profile of the cluster. Problems are at
    /// `ClusterPolicyProfile/<name> spec.<field>`.
    pub fn of_cluster(name: ProfileName, spec: &ClusterPolicyProfileSpec) -> ProfileState {
        let reference = ProfileRef {
            namespace: None,
            name,
        };
        checked(reference, &spec.plugins, &spec.secrets, |profile| {
            profile
                .namespace_selector
                .clone_from(&spec.namespace_selector);
        })
    }
}

fn checked(
    reference: ProfileRef,
    specs: &[ProfilePluginSpec],
    secrets: &[ProfileSecretSpec],
    complete: impl FnOnce(&mut Profile),
) -> ProfileState {
    let mut problems = Vec::new();
    let mut plugins: Vec<ProfilePlugin> = Vec::new();
    let at = |field: String| format!("{reference} spec.{field}");
    for (i, spec) in specs.iter().enumerate() {
        let name = match PluginName::parse(&spec.name) {
            Ok(name) => name,
            Err(error) => {
                let field = at(format!("plugins[{i}].name"));
                problems.push(Problem::new(field, error.to_string()));
                continue;
            }
        };
        if plugins.iter().any(|plugin| plugin.name == name) {
            let field = at(format!("plugins[{i}].name"));
            let message = format!("`{name}` is listed twice; remove one of the two");
            problems.push(Problem::new(field, message));
            continue;
        }
        let config = match &spec.config {
            None | Some(Value::Null) => empty_object(),
            Some(object @ Value::Object(_)) => object.clone(),
            Some(_) => {
                let field = at(format!("plugins[{name}].config"));
                let message = "expected an object such as `{key: value}`";
                problems.push(Problem::new(field, message));
                continue;
            }
        };
        plugins.push(ProfilePlugin { name, config });
    }
    let secrets = declared(&reference, secrets, &mut problems);
    for plugin in &plugins {
        named(&reference, plugin, &secrets, &mut problems);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut profile = Profile {
        reference,
        plugins,
        secrets,
        namespace_selector: None,
    };
    complete(&mut profile);
    Ok(Arc::new(profile))
}

/// The secrets, as far as they make sense.
fn declared(
    reference: &ProfileRef,
    specs: &[ProfileSecretSpec],
    problems: &mut Vec<Problem>,
) -> Vec<ProfileSecret> {
    let mut secrets: Vec<ProfileSecret> = Vec::new();
    for (i, spec) in specs.iter().enumerate() {
        let mut wrong = |field: &str, message: String| {
            let field = format!("{reference} spec.secrets[{i}]{field}");
            problems.push(Problem::new(field, message));
        };
        // It becomes part of an id, of which it may take so much.
        if spec.name.len() > 40 || ProfileName::parse(&spec.name).is_err() {
            let name = shown(&spec.name);
            wrong(
                ".name",
                format!(
                    "`{name}` is not a name: lowercase letters, digits and `-`, at most 40, no `-` at either end"
                ),
            );
            continue;
        }
        if secrets.iter().any(|secret| secret.name == spec.name) {
            let message = format!("`{}` is listed twice; remove one of the two", spec.name);
            wrong(".name", message);
            continue;
        }
        let source = match (&spec.secret_ref, &spec.key_vault) {
            (Some(key), None) => Ok(SecretSource::Secret(SecretKey {
                namespace: reference.namespace.clone(),
                name: key.name.clone(),
                key: key.key.clone(),
            })),
            (None, Some(vault)) => in_vault(reference, vault),
            _ => Err((
                "",
                "has not exactly one of secretRef and keyVault".to_owned(),
            )),
        };
        match source {
            Ok(source) => secrets.push(ProfileSecret {
                name: spec.name.clone(),
                source,
            }),
            Err((field, message)) => wrong(field, message),
        }
    }
    secrets
}

fn in_vault(
    reference: &ProfileRef,
    vault: &KeyVaultSpec,
) -> Result<SecretSource, (&'static str, String)> {
    if reference.is_owners() {
        return Err((
            ".keyVault",
            format!(
                "a Key Vault is read as the API Management service, so only a {CLUSTER_KIND} may name one; use \
                 secretRef"
            ),
        ));
    }
    let url = url::Url::parse(&vault.secret_identifier).ok();
    let right = url.is_some_and(|url| {
        let path: Vec<&str> = url.path_segments().into_iter().flatten().collect();
        let whole =
            matches!(path.as_slice(), ["secrets", name] | ["secrets", name, _] if !name.is_empty());
        url.scheme() == "https" && whole && url.query().is_none() && url.username().is_empty()
    });
    if !right {
        return Err((
            ".keyVault.secretIdentifier",
            format!(
                "`{}` is not the URL of a secret; write `https://<vault>.vault.azure.net/secrets/<name>`",
                shown(&vault.secret_identifier)
            ),
        ));
    }
    Ok(SecretSource::KeyVault(VaultSecret {
        secret_identifier: vault.secret_identifier.clone(),
        identity_client_id: vault.identity_client_id.clone(),
    }))
}

/// Whether a plugin's config names only secrets that are declared.
fn named(
    reference: &ProfileRef,
    plugin: &ProfilePlugin,
    secrets: &[ProfileSecret],
    problems: &mut Vec<Problem>,
) {
    let names = || secrets.iter().map(|secret| secret.name.as_str());
    for (pointer, name) in references(&plugin.config) {
        let message = match name {
            Ok(name) if names().any(|there| there == name) => continue,
            Ok(name) => format!(
                "the profile has no secret `{}`{}; declared are {}",
                shown(name),
                did_you_mean(name, names()).trim_end_matches('?'),
                listed(names())
            ),
            Err(()) => format!(
                "expected the name of a secret, as {}",
                place(reference, "<name>")
            ),
        };
        let field = format!("{} {pointer}", reference.config_path(&plugin.name));
        problems.push(Problem::of_plugin(plugin.name.as_str(), field, message));
    }
}

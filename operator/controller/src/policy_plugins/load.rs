//! From a `PolicyPlugin` to a plugin that can be called: resolve, verify, pull,
//! compile, describe. Each step can fail in its own way, and none of them
//! touches what serves.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::Api;
use operator_core::annotations::nearest::{did_you_mean, listed};
use operator_core::chain::{Listing, PluginInfo};
use operator_core::class::ErrorClass;
use operator_core::policy_plugin::spec::{ConfigMapKey, VerificationMode};
use operator_core::policy_plugin::{PolicyPlugin, Source as PluginSourceSpec};
use operator_plugin_host::PluginSource;
use operator_plugin_source::{Digest, DockerConfig, RegistryAuth, Resolved, Source, Verification};

use super::PolicyPlugins;
use super::trouble::Trouble;
use crate::plugins::{DocumentStore as _, Version};

/// A plugin that can be called, and where it came from.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) version: Version,
    pub(super) reference: String,
    /// Who signed it, where that was asked.
    pub(super) signer: Option<String>,
    /// The text of the template that it works on.
    pub(super) template: Option<Arc<str>>,
    /// What the platform should know of it although it can be used.
    pub(super) notes: Vec<String>,
}

impl PolicyPlugins {
    /// The plugin that the settings mean now. `known` is what serves.
    pub(super) async fn load(
        &self,
        settings: &PolicyPlugin,
        known: Option<&Loaded>,
    ) -> Result<Loaded, Trouble> {
        if let PluginSourceSpec::BuiltIn(name) = &settings.source {
            return self.built_in(settings, name);
        }
        self.name_is_free(settings)?;
        let source = self.source(settings).await?;
        let resolved = self.sources.resolve(&source).await?;
        pinned(settings, resolved.digest)?;
        let (signer, note) = self.verified(settings, &resolved).await?;
        let mut loaded = match known {
            // The same file as before: what is compiled stays.
            Some(known) if known.version.info.digest == resolved.digest.to_string() => {
                self.fitted(settings, known.clone())?
            }
            _ => {
                let pulled = self.sources.pull(&resolved).await?;
                self.compile(settings, pulled.bytes, resolved.reference.clone())
                    .await?
            }
        };
        loaded.reference = resolved.reference;
        loaded.signer = signer;
        loaded.notes.extend(note);
        Ok(loaded)
    }

    /// What ran last: from the cache, without asking anybody. Where it is gone
    /// from there and matters, because a newer one is to reach its users in
    /// batches, it is pulled by digest.
    pub(super) async fn load_last(
        &self,
        settings: &PolicyPlugin,
        digest: &str,
        reference: &str,
        signer: Option<String>,
    ) -> Option<Loaded> {
        self.name_is_free(settings).ok()?;
        let digest = Digest::parse(digest).ok()?;
        let pulled = match (self.sources.cached(digest), &settings.rollout) {
            (Some(pulled), _) => pulled,
            (None, None) => return None,
            (None, Some(_)) => {
                let Ok(Source::Oci {
                    auth,
                    ca_pem,
                    plain_http,
                    ..
                }) = self.source(settings).await
                else {
                    return None;
                };
                let reference = reference.to_owned();
                let source = Source::Oci {
                    reference,
                    auth,
                    ca_pem,
                    plain_http,
                };
                let resolved = self.sources.resolve(&source).await.ok()?;
                self.sources.pull(&resolved).await.ok()?
            }
        };
        if pulled.digest != digest {
            return None;
        }
        let loaded = self
            .compile(settings, pulled.bytes, reference.to_owned())
            .await;
        let mut loaded = loaded.ok()?;
        loaded.signer = signer;
        Some(loaded)
    }

    fn built_in(&self, settings: &PolicyPlugin, name: &str) -> Result<Loaded, Trouble> {
        let registry = self.plugins.registry();
        let base = operator_core::names::PluginName::parse(name)
            .ok()
            .and_then(|name| registry.base(&name));
        let info = match base {
            Some(Listing::Ready(info)) => info,
            Some(Listing::Loading) => {
                return Err(Trouble::new(
                    "Loading",
                    ErrorClass::Waiting,
                    format!("plugin `{name}` is still being loaded"),
                ));
            }
            Some(Listing::Failed(why)) => return Err(Trouble::invalid("CompileFailed", why)),
            None => {
                let names = registry.base_names();
                let names = || names.iter().map(String::as_str);
                let hint = did_you_mean(name, names());
                return Err(Trouble::invalid(
                    "NotFound",
                    format!(
                        "no plugin `{name}` is in the binary or in the plugin folder{}; there are {}",
                        hint.trim_end_matches('?'),
                        listed(names())
                    ),
                ));
            }
        };
        let digest = Digest::parse(&info.digest)
            .map_err(|error| Trouble::invalid("DescriptorInvalid", error))?;
        pinned(settings, digest)?;
        let plugin = registry.code(&info).ok_or_else(|| {
            Trouble::new("Loading", ErrorClass::Waiting, "it is still being loaded")
        })?;
        let version = Version { info, plugin };
        let loaded = Loaded {
            version,
            reference: format!("built-in {name}"),
            signer: None,
            template: None,
            notes: Vec::new(),
        };
        self.fitted(settings, loaded)
    }

    /// A name that the binary or the folder has is not taken by accident:
    /// whoever wrote an annotation for that plugin would get another policy.
    fn name_is_free(&self, settings: &PolicyPlugin) -> Result<(), Trouble> {
        if settings.replace_built_in || self.plugins.registry().base(&settings.name).is_none() {
            return Ok(());
        }
        Err(Trouble::invalid(
            "NameTaken",
            format!(
                "a plugin `{0}` is in the binary or in the plugin folder and keeps serving; give this one another \
                 name, or set `replaceBuiltIn: true` to have it take that one's place",
                settings.name
            ),
        ))
    }

    async fn source(&self, settings: &PolicyPlugin) -> Result<Source, Trouble> {
        Ok(match &settings.source {
            PluginSourceSpec::Oci(oci) => Source::Oci {
                auth: match &oci.pull_secret_ref {
                    Some(secret) => self.registry_auth(&secret.name, &oci.reference).await?,
                    None => RegistryAuth::Anonymous,
                },
                reference: oci.reference.clone(),
                ca_pem: self.certificates(oci.ca_bundle.as_ref())?,
                plain_http: oci.plain_http,
            },
            PluginSourceSpec::Http(http) => Source::Http {
                url: http.url.clone(),
                sha256: Digest::parse(&format!("sha256:{}", http.sha256.to_ascii_lowercase()))
                    .map_err(|error| Trouble::invalid("InvalidSettings", error))?,
                ca_pem: self.certificates(http.ca_bundle.as_ref())?,
            },
            PluginSourceSpec::ConfigMap(key) => {
                let bytes = self
                    .config_maps
                    .get(key)
                    .map_err(|error| Trouble::new("PullFailed", ErrorClass::Waiting, error))?;
                Source::Bytes {
                    origin: format!("ConfigMap {}, key {}", key.name, key.key),
                    bytes: bytes::Bytes::copy_from_slice(&bytes),
                }
            }
            PluginSourceSpec::File(path) => Source::File { path: path.into() },
            PluginSourceSpec::BuiltIn(name) => {
                return Err(Trouble::invalid(
                    "NotFound",
                    format!("`{name}` is built in"),
                ));
            }
        })
    }

    fn certificates(&self, key: Option<&ConfigMapKey>) -> Result<Option<Vec<u8>>, Trouble> {
        key.map(|key| {
            self.config_maps
                .get(key)
                .map(|bytes| bytes.to_vec())
                .map_err(|error| Trouble::new("InvalidSettings", ErrorClass::Waiting, error))
        })
        .transpose()
    }

    async fn registry_auth(&self, secret: &str, reference: &str) -> Result<RegistryAuth, Trouble> {
        const KEY: &str = ".dockerconfigjson";
        let wrong = |message: String| {
            Trouble::new(
                "PullSecret",
                ErrorClass::Waiting,
                format!("Secret `{}/{secret}` {message}", self.namespace),
            )
        };
        let api: Api<KubeSecret> = Api::namespaced(self.client.clone(), &self.namespace);
        let found = api.get_opt(secret).await.map_err(|error| {
            Trouble::new(
                "PullSecret",
                ErrorClass::Transient,
                format!("Secret `{secret}` could not be read: {error}"),
            )
        })?;
        let found = found.ok_or_else(|| wrong("is not there".to_owned()))?;
        let data = found.data.unwrap_or_default();
        let json = data.get(KEY).ok_or_else(|| {
            wrong(format!(
                "has no key `{KEY}`; make it with `kubectl create secret docker-registry`"
            ))
        })?;
        let config =
            DockerConfig::parse(&json.0).map_err(|error| wrong(format!("is wrong: {error}")))?;
        let parsed = operator_plugin_source::parse_reference(reference)
            .map_err(|error| Trouble::invalid("InvalidSettings", error))?;
        config
            .auth_for(&parsed)
            .map_err(|error| wrong(format!("is wrong: {error}")))
    }

    async fn verified(
        &self,
        settings: &PolicyPlugin,
        resolved: &Resolved,
    ) -> Result<(Option<String>, Option<String>), Trouble> {
        let Some(spec) = &settings.verification else {
            return Ok((None, None));
        };
        let root = spec
            .trust_root
            .as_ref()
            .map(|key| {
                let bytes = self
                    .config_maps
                    .get(key)
                    .map_err(|error| Trouble::new("InvalidSettings", ErrorClass::Waiting, error))?;
                String::from_utf8(bytes.to_vec()).map_err(|_| {
                    Trouble::invalid("InvalidSettings", "`verification.trustRoot` names no text")
                })
            })
            .transpose()?;
        let verification = Verification::from_spec(spec, root.as_deref())
            .map_err(|error| Trouble::invalid("InvalidSettings", error))?;
        match self.sources.verify(resolved, &verification).await {
            Ok(verified) => Ok((Some(verified.signer.to_string()), None)),
            Err(error) if spec.mode == VerificationMode::Warn => Ok((
                None,
                Some(format!("its signature was not accepted: {error}")),
            )),
            Err(error) => Err(error.into()),
        }
    }

    fn template(&self, settings: &PolicyPlugin) -> Result<Option<Arc<str>>, Trouble> {
        settings
            .template
            .as_ref()
            .map(|key| {
                self.config_maps.text(key).map(Arc::from).map_err(|why| {
                    Trouble::new(
                        "TemplateMissing",
                        ErrorClass::Waiting,
                        format!("spec.template: {why}"),
                    )
                })
            })
            .transpose()
    }

    async fn compile(
        &self,
        settings: &PolicyPlugin,
        bytes: bytes::Bytes,
        reference: String,
    ) -> Result<Loaded, Trouble> {
        let host = self.plugins.host().clone();
        let source = PluginSource::Registry(reference.clone());
        let load = move || host.load(&bytes, source);
        let plugin = tokio::task::spawn_blocking(load)
            .await
            .map_err(|error| Trouble::new("CompileFailed", ErrorClass::Transient, error))??;
        let descriptor = plugin.descriptor().clone();
        let digest = plugin.digest().to_string();
        let mut notes = Vec::new();
        if descriptor.name != settings.name.as_str() {
            notes.push(format!(
                "the plugin calls itself `{}`; in this cluster its name is `{}`",
                descriptor.name, settings.name
            ));
        }
        let info = PluginInfo::new(settings.name.clone(), descriptor, digest).map_err(|error| {
            Trouble::invalid(
                "DescriptorInvalid",
                format!("its config schema cannot be used: {error}"),
            )
        })?;
        let info = Arc::new(info);
        let loaded = Loaded {
            version: Version { info, plugin },
            reference,
            signer: None,
            template: None,
            notes,
        };
        self.fitted(settings, loaded)
    }

    /// The plugin under the name, limits and capabilities that the settings
    /// give it.
    fn fitted(&self, settings: &PolicyPlugin, mut loaded: Loaded) -> Result<Loaded, Trouble> {
        loaded.template = self.template(settings)?;
        let before = &loaded.version.info;
        let name = settings.name.clone();
        if before.name != name {
            let info = PluginInfo::new(name, before.descriptor.clone(), before.digest.clone())
                .map_err(|error| Trouble::invalid("DescriptorInvalid", error))?;
            loaded.version.info = Arc::new(info);
        }
        let schema = &loaded.version.info.schema;
        if let Some((pointer, message)) = schema.wrong_in_part(&settings.governance.defaults) {
            return Err(Trouble::invalid(
                "InvalidDefaults",
                format!("spec.defaults {pointer}: {message}"),
            ));
        }
        let plugin = loaded
            .version
            .plugin
            .with_limits(settings.limits)
            .with_capabilities(settings.governance.capabilities.clone());
        loaded.notes.retain(|note| !note.starts_with(ASKED));
        let missing = plugin.missing_capabilities();
        if !missing.is_empty() {
            loaded.notes.push(format!(
                "{ASKED}{}; what needs it fails until that is granted",
                missing.join(", ")
            ));
        }
        loaded.version.plugin = plugin;
        Ok(loaded)
    }
}

/// How the note on capabilities that are not granted begins.
const ASKED: &str = "the plugin asks for what is not granted by ";

fn pinned(settings: &PolicyPlugin, found: Digest) -> Result<(), Trouble> {
    match &settings.digest {
        Some(digest) if *digest != found.to_string() => Err(Trouble::invalid(
            "DigestMismatch",
            format!(
                "the file has the digest {found}, and `spec.digest` allows {digest} only; it was changed, or another \
                 one was meant"
            ),
        )),
        _ => Ok(()),
    }
}

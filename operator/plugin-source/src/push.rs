//! Publishing a plugin as the CNCF's Wasm artifact.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use crate::digest::Digest;
use crate::error::{Cause, SourceError};
use crate::manifest::{DESCRIPTOR, Descriptor, MANIFEST, Manifest, WASM_CONFIG, WASM_LAYER};
use crate::registry::Access;
use crate::source::Source;
use crate::sources::{Sources, parse_reference, pinned};

/// Registries take manifests of 4 MiB; what a person reads in a list of
/// plugins is far smaller.
const MAX_DESCRIPTOR: usize = 512 * 1024;

/// A plugin and what is said about it.
#[derive(Debug, Clone, Default)]
pub struct Artifact {
    /// The component.
    pub wasm: Bytes,
    /// The interfaces it imports, as `oda:policy/log@1.0.0`.
    pub imports: Vec<String>,
    /// The interfaces it exports.
    pub exports: Vec<String>,
    /// Its descriptor as JSON; written to the annotation [`DESCRIPTOR`].
    pub descriptor: Option<String>,
    /// More annotations, such as `org.opencontainers.image.version`.
    pub annotations: BTreeMap<String, String>,
    /// When it was made, in RFC 3339. Without it, the beginning of 1970: equal
    /// plugins then have equal digests.
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
}

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The reference by digest, `registry/repository@sha256:<manifest>`.
    pub reference: String,
    /// The manifest's digest: what is signed.
    pub manifest: Digest,
    /// The Wasm file's digest: what a `PolicyPlugin` pins.
    pub digest: Digest,
}

/// The config blob, as the specification of Wasm artifacts has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<&'a str>,
    architecture: &'static str,
    os: &'static str,
    layer_digests: [Digest; 1],
    component: Component<'a>,
}

#[derive(Serialize)]
struct Component<'a> {
    exports: &'a [String],
    imports: &'a [String],
    target: Option<&'a str>,
}

impl Sources {
    /// Pushes a plugin to the place that an OCI source names, which must have a
    /// tag and no digest.
    pub async fn push(&self, to: &Source, artifact: &Artifact) -> Result<Pushed, SourceError> {
        self.bounded(&to.origin(), self.push_inner(to, artifact))
            .await
    }

    async fn push_inner(&self, to: &Source, artifact: &Artifact) -> Result<Pushed, Cause> {
        let Source::Oci { reference, .. } = to else {
            return Err(Cause::BadReference(
                "plugins are pushed to registries only".into(),
            ));
        };
        let name = parse_reference(reference)?;
        let (Some(tag), None) = (name.tag(), name.digest()) else {
            return Err(Cause::BadReference(
                "what is pushed needs a tag and no digest, as `<registry>/<repository>:1.0.0`"
                    .into(),
            ));
        };
        let size = artifact.wasm.len() as u64;
        if size > self.config.max_bytes {
            return Err(Cause::TooLarge {
                what: "the plugin",
                size: Some(size),
                limit: self.config.max_bytes,
            });
        }
        let session = self.session(to, Access::Push)?;
        let digest = session.push_blob(artifact.wasm.clone()).await?;
        let config = to_json(&Config {
            created: artifact
                .created
                .as_deref()
                .unwrap_or("1970-01-01T00:00:00Z"),
            author: artifact.author.as_deref(),
            architecture: "wasm",
            os: "wasip2",
            layer_digests: [digest],
            component: Component {
                exports: &artifact.exports,
                imports: &artifact.imports,
                target: None,
            },
        })?;
        let manifest = to_json(&Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST.into()),
            artifact_type: None,
            config: descriptor(WASM_CONFIG, &config),
            layers: vec![descriptor(WASM_LAYER, &artifact.wasm)],
            subject: None,
            annotations: annotations(artifact)?,
        })?;
        session.push_blob(config).await?;
        let (manifest, _) = session.push_manifest(tag, MANIFEST, manifest).await?;
        Ok(Pushed {
            reference: pinned(&name, manifest),
            manifest,
            digest,
        })
    }
}

fn annotations(artifact: &Artifact) -> Result<BTreeMap<String, String>, Cause> {
    let mut annotations = artifact.annotations.clone();
    if let Some(descriptor) = &artifact.descriptor {
        if descriptor.len() > MAX_DESCRIPTOR {
            return Err(Cause::TooLarge {
                what: "the plugin's descriptor",
                size: Some(descriptor.len() as u64),
                limit: MAX_DESCRIPTOR as u64,
            });
        }
        annotations.insert(DESCRIPTOR.into(), descriptor.clone());
    }
    Ok(annotations)
}

/// What points to these bytes.
pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.into(),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        artifact_type: None,
        annotations: BTreeMap::new(),
    }
}

pub(crate) fn to_json(value: &impl Serialize) -> Result<Bytes, Cause> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| Cause::Protocol(error.to_string()))
}

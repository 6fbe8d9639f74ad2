//! What a plugin looks like in a registry: the Wasm artifact of the CNCF's
//! TAG Runtime, an OCI manifest with a config and one layer, the Wasm file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Cause;

/// An OCI image manifest (image-spec 1.1).
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The same of Docker's making, which old clients and mirrors still use.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// An OCI image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The same of Docker's making.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The config of a Wasm artifact.
pub const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The layer of a Wasm artifact.
pub const WASM_LAYER: &str = "application/wasm";
/// What the layer was called before there was a specification.
pub const OLD_WASM_LAYER: &str = "application/vnd.wasm.content.layer.v1+wasm";
/// The config of an artifact that has none.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// The annotation that holds a plugin's descriptor as JSON, so that an entry of
/// a registry can be read without running it.
pub const DESCRIPTOR: &str = "org.tmforum.oda.apim.plugin.descriptor";

/// What points to a blob or to another manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// In an index: what kind of artifact it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Words about it.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// An image manifest, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<Descriptor>,
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// An index, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) manifests: Vec<Descriptor>,
}

/// Go writes an empty map or list as null.
fn null_is_empty<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The plugin in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WasmArtifact {
    pub(crate) layer: Descriptor,
    pub(crate) annotations: BTreeMap<String, String>,
}

const EXPECTED_LAYER: &str = "`application/wasm`, as a Wasm artifact has it (`apim-operator plugin push`, `wkg oci push` and `oras push FILE:application/wasm` make one)";

/// Reads a manifest and checks that it is a plugin of at most `max` bytes.
/// `content_type` is what the registry says it is.
pub(crate) fn wasm_artifact(
    bytes: &[u8],
    content_type: Option<&str>,
    max: u64,
) -> Result<WasmArtifact, Cause> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        media_type: Option<String>,
    }
    let kind: Kind = serde_json::from_slice(bytes)
        .map_err(|error| Cause::Protocol(format!("the manifest is no JSON object: {error}")))?;
    // The field decides: the header is the registry's word alone, the field is
    // what was signed.
    let media_type = kind.media_type.as_deref().or(content_type);
    if let Some(found) = media_type
        && !matches!(found, MANIFEST | DOCKER_MANIFEST)
    {
        return Err(Cause::WrongMediaType {
            what: if matches!(found, INDEX | DOCKER_INDEX) {
                "the artifact is an index of several, it"
            } else {
                "the manifest"
            },
            found: found.chars().take(100).collect(),
            expected: "an image manifest with one layer of type `application/wasm`",
        });
    }
    let manifest: Manifest = serde_json::from_slice(bytes)
        .map_err(|error| Cause::Protocol(format!("the manifest cannot be read: {error}")))?;
    if manifest.schema_version != 2 {
        return Err(Cause::Protocol(format!(
            "the manifest has the schema version {}; 2 is known",
            manifest.schema_version
        )));
    }
    let [layer] = manifest.layers.as_slice() else {
        return Err(Cause::NotOneLayer(manifest.layers.len()));
    };
    if !matches!(layer.media_type.as_str(), WASM_LAYER | OLD_WASM_LAYER) {
        return Err(Cause::WrongMediaType {
            what: "the layer",
            found: layer.media_type.chars().take(100).collect(),
            expected: EXPECTED_LAYER,
        });
    }
    if layer.size > max {
        return Err(Cause::TooLarge {
            what: "the plugin",
            size: Some(layer.size),
            limit: max,
        });
    }
    Ok(WasmArtifact {
        layer: layer.clone(),
        annotations: manifest.annotations,
    })
}

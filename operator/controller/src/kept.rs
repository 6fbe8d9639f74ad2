//! ExposedAPIs as they are kept between reconciles.
//!
//! An object as a tree takes ten times the memory of its text, and there are
//! thousands, which look like each other. So an object is kept as text, packed
//! against the text of an earlier one, and is a tree only while somebody looks
//! at it.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use kube::api::{ApiResource, DynamicObject, ObjectMeta};
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt as _};
use operator_core::names::ObjectKey;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// As much of a text as others can be packed against.
const SAMPLE: usize = 64 << 10;
/// A sample serves this many objects at least: those that look alike often
/// come together.
const SERVES: u32 = 64;

/// The resource of ExposedAPIs; copies share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kind(Arc<ApiResource>);

impl Kind {
    /// The kind of this resource.
    #[must_use]
    pub fn new(resource: ApiResource) -> Self {
        Self(Arc::new(resource))
    }

    /// Names an object of this kind.
    #[must_use]
    pub fn reference(&self, key: &ObjectKey) -> ObjectRef<Kept> {
        ObjectRef::new_with(&key.name, self.clone()).within(&key.namespace)
    }
}

/// The ExposedAPIs as last seen.
pub type Objects = Store<Kept>;

/// An object that is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Namespace and name, nothing else.
    meta: ObjectMeta,
    /// See [`content`].
    content: u64,
    sample: Arc<[u8]>,
    length: usize,
    packed: Box<[u8]>,
}

/// Why an object cannot be kept, or what is kept is none.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// It is no JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// What is kept is damaged, which is a fault of this program.
    #[error("a packed object is damaged: {0}")]
    Damaged(#[from] lz4_flex::block::DecompressError),
}

impl Kept {
    /// The object as it was.
    pub fn open(&self) -> Result<DynamicObject, KeepError> {
        let text = lz4_flex::block::decompress_with_dict(&self.packed, self.length, &self.sample)?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// A hash of what of the object is worth a reconcile when it changes.
    #[must_use]
    pub const fn content(&self) -> u64 {
        self.content
    }

    /// Its namespace and name.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        ObjectKey::new(part(&self.meta.namespace), part(&self.meta.name))
    }
}

/// Packs objects.
#[derive(Debug)]
pub struct Packer {
    sample: Arc<[u8]>,
    served: u32,
}

impl Default for Packer {
    fn default() -> Self {
        Self {
            sample: Arc::default(),
            // The first object is the first sample.
            served: SERVES,
        }
    }
}

impl Packer {
    /// Packs an object.
    pub fn keep(&mut self, object: &DynamicObject) -> Result<Kept, KeepError> {
        let text = serde_json::to_vec(object)?;
        let packed = lz4_flex::block::compress_with_dict(&text, &self.sample);
        let kept = Kept {
            meta: ObjectMeta {
                namespace: object.metadata.namespace.clone(),
                name: object.metadata.name.clone(),
                ..ObjectMeta::default()
            },
            content: content(object),
            sample: Arc::clone(&self.sample),
            length: text.len(),
            packed: packed.into_boxed_slice(),
        };
        self.served += 1;
        // It does not look like the sample: others may look like it.
        if self.served > SERVES && kept.packed.len() > text.len() / 3 {
            let start = text.len().saturating_sub(SAMPLE);
            self.sample = text.get(start..).unwrap_or_default().into();
            self.served = 0;
        }
        Ok(kept)
    }
}

/// Alone, without a sample. kube wants it of whatever a controller is for.
impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = DynamicObject::deserialize(deserializer)?;
        Packer::default().keep(&object).map_err(D::Error::custom)
    }
}

impl Resource for Kept {
    type DynamicType = Kind;
    type Scope = NamespaceResourceScope;

    fn kind(kind: &Kind) -> Cow<'_, str> {
        kind.0.kind.as_str().into()
    }

    fn group(kind: &Kind) -> Cow<'_, str> {
        kind.0.group.as_str().into()
    }

    fn version(kind: &Kind) -> Cow<'_, str> {
        kind.0.version.as_str().into()
    }

    fn api_version(kind: &Kind) -> Cow<'_, str> {
        kind.0.api_version.as_str().into()
    }

    fn plural(kind: &Kind) -> Cow<'_, str> {
        kind.0.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// What of an object is worth a reconcile: not status, finalizers or the
/// annotation that the operator writes itself. Its generation does not tell,
/// where status lies in the main resource.
fn content(object: &DynamicObject) -> u64 {
    let mut hasher = DefaultHasher::new();
    object
        .data
        .get("spec")
        .map(ToString::to_string)
        .hash(&mut hasher);
    for (name, value) in object.annotations() {
        if name != crate::reconcile::APPLIED {
            (name, value).hash(&mut hasher);
        }
    }
    object.labels().hash(&mut hasher);
    object
        .metadata
        .deletion_timestamp
        .is_some()
        .hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(number: usize, change: impl FnOnce(&mut Value)) -> DynamicObject {
        let mut object = json!({
            "apiVersion": "oda.tmforum.org/v1",
            "kind": "ExposedAPI",
            "metadata": {
                "namespace": "shop",
                "name": format!("api-{number}"),
                "uid": format!("{number:08x}-0000-4000-8000-000000000000"),
                "annotations": {"apim.oda.tmforum.org/plugins": "cors, jwt-entra"},
            },
            "spec": {"path": format!("/{number}"), "implementation": "svc", "port": 8080},
            "status": {"conditions": [
                {"type": "Ready", "status": "True", "reason": "Available", "message": "the API is published"},
                {"type": "ApimSynced", "status": "True", "reason": "Synced", "message": "API Management is up to date"},
            ]},
        });
        change(&mut object);
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn an_object_comes_out_as_it_went_in() {
        let mut packer = Packer::default();
        for number in 0..200 {
            let object = object(number, |object| {
                if number % 3 == 0 {
                    object["status"] = Value::Null;
                }
                // Longer than what others are packed against.
                if number % 50 == 1 {
                    object["spec"]["specification"] = format!("{number} ").repeat(50_000).into();
                }
                object["spec"]["z"] = json!({"b": 1.5, "a": [null, -1, "\u{1f600}"]});
            });
            let kept = packer.keep(&object).unwrap();
            assert_eq!(kept.key(), ObjectKey::new("shop", format!("api-{number}")));
            let opened = kept.open().unwrap();
            assert_eq!(
                serde_json::to_string(&opened).unwrap(),
                serde_json::to_string(&object).unwrap()
            );
        }
    }

    #[test]
    fn what_looks_like_the_sample_takes_a_fraction_of_its_text() {
        let mut packer = Packer::default();
        for number in 0..100 {
            packer.keep(&object(number, |_| ())).unwrap();
        }
        let kept = packer.keep(&object(100, |_| ())).unwrap();
        assert!(
            kept.packed.len() * 5 < kept.length,
            "{} of {}",
            kept.packed.len(),
            kept.length
        );
    }

    #[test]
    fn objects_of_another_look_get_a_sample_of_their_own() {
        let mut packer = Packer::default();
        packer.keep(&object(0, |_| ())).unwrap();
        let first = Arc::clone(&packer.sample);
        let other = |number: usize| {
            object(number, |object| {
                let words: Vec<String> = (0..200).map(|word| format!("word{word}")).collect();
                object["spec"]["specification"] = words.into();
            })
        };
        for number in 0..100 {
            packer.keep(&other(number)).unwrap();
        }
        assert!(!Arc::ptr_eq(&first, &packer.sample));
        let kept = packer.keep(&other(100)).unwrap();
        assert!(kept.packed.len() * 5 < kept.length);
        assert_eq!(kept.open().unwrap().data, other(100).data);
    }
}

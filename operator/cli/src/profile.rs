//! Profiles in files, beside the ExposedAPIs that name them.

use anyhow::bail;
use operator_core::names::ProfileName;
use operator_core::profile::{CLUSTER_KIND, KIND, Profile, ProfileRef, ProfileState, Profiles};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::manifest::Document;

/// What a document was.
pub(crate) enum Added {
    /// No profile.
    No,
    /// A profile, which can be named now. What is wrong with its settings is
    /// told to those who name it.
    Yes,
    /// A profile that a cluster would refuse.
    Wrong(String),
}

/// The profiles among the documents of a file.
pub(crate) fn of(documents: &[Document]) -> anyhow::Result<Profiles> {
    let mut profiles = Profiles::default();
    for document in documents {
        if let Added::Wrong(why) = add(&mut profiles, document) {
            bail!("{}: {why}", document.place);
        }
    }
    Ok(profiles)
}

/// Adds the profile that a document is, if it is one.
pub(crate) fn add(profiles: &mut Profiles, document: &Document) -> Added {
    match read(document, None) {
        Ok(None) => Added::No,
        Ok(Some((reference, state))) => {
            profiles.insert(reference, state);
            Added::Yes
        }
        Err(why) => Added::Wrong(why),
    }
}

/// The profile that a document is, if it is one; `namespace` is where it is if
/// it does not say.
pub(crate) fn read(
    document: &Document,
    namespace: Option<&str>,
) -> Result<Option<(ProfileRef, ProfileState)>, String> {
    let object = &document.object;
    let version = object["apiVersion"].as_str().unwrap_or_default();
    if !version.starts_with("apim.oda.tmforum.org/") {
        return Ok(None);
    }
    match object["kind"].as_str() {
        Some(KIND) => of_namespace(object, namespace).map(Some),
        Some(CLUSTER_KIND) => of_cluster(object).map(Some),
        _ => Ok(None),
    }
}

fn of_namespace(object: &Value, other: Option<&str>) -> Result<(ProfileRef, ProfileState), String> {
    let name = name(object)?;
    let namespace = object["metadata"]["namespace"].as_str();
    // Where kubectl puts it, and `manifest::meta` an API.
    let namespace = namespace.filter(|text| !text.is_empty()).or(other);
    let namespace = namespace.unwrap_or("default").to_owned();
    let state = Profile::of_namespace(&namespace, name.clone(), &spec(object)?);
    let reference = ProfileRef {
        namespace: Some(namespace),
        name,
    };
    Ok((reference, state))
}

fn of_cluster(object: &Value) -> Result<(ProfileRef, ProfileState), String> {
    let name = name(object)?;
    let state = Profile::of_cluster(name.clone(), &spec(object)?);
    let reference = ProfileRef {
        namespace: None,
        name,
    };
    Ok((reference, state))
}

fn name(object: &Value) -> Result<ProfileName, String> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    ProfileName::parse(name).map_err(|error| format!("metadata.name: {error}"))
}

fn spec<T: DeserializeOwned>(object: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(&object["spec"]).map_err(|error| {
        let path = error.path().to_string();
        match path.as_str() {
            "." => format!("spec: {}", error.inner()),
            path => format!("spec.{path}: {}", error.inner()),
        }
    })
}

//! The OpenAPI document of an API: where it comes from and what is imported.

use url::Url;

use super::inquiry::Inquiry;
use super::rejection::Finding;
use crate::class::ErrorClass;
use crate::desired::{ApiDocument, DocumentOrigin, ImportFormat};
use crate::exposed_api::{ExposedApi, Implementation, SpecificationSource};
use crate::instance::Fetch;
use crate::names::ContentHash;
use crate::openapi::{self, Document, OpenApiError, SpecVersion, TextFormat};
use crate::problem::Problem;
use crate::status::reasons::Reason;

/// What must be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentNeed {
    /// Nothing: the document is in the object, is generated, is left to API
    /// Management, or is not imported at all.
    Nothing,
    /// The document behind this URL.
    Fetch(Url),
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentFacts {
    /// Nothing was needed.
    NotNeeded,
    /// The text.
    Fetched(String),
    /// Fetching failed.
    Failed {
        /// What happens next.
        class: ErrorClass,
        /// Why, as a sentence.
        message: String,
    },
    /// Nobody tried: an object is looked at without a network. The document's
    /// URL stands for it.
    NotTried,
}

/// A document and what is imported of it.
pub(super) struct ReadDocument {
    /// Absent where only its URL is known.
    pub(super) document: Option<Document>,
    pub(super) api_document: ApiDocument,
    pub(super) warnings: Vec<Problem>,
}

pub(super) fn need(inquiry: &Inquiry) -> DocumentNeed {
    let Some((api, SpecificationSource::Url(url))) = source(inquiry) else {
        return DocumentNeed::Nothing;
    };
    // The backend of an implementation outside the cluster is in the document.
    let external = api.implementation == Implementation::External;
    match &inquiry.instance {
        Some(instance) if instance.spec.specification.fetch == Fetch::Link && !external => {
            DocumentNeed::Nothing
        }
        Some(_) => DocumentNeed::Fetch(url.clone()),
        None => DocumentNeed::Nothing,
    }
}

fn source(inquiry: &Inquiry) -> Option<(&ExposedApi, &SpecificationSource)> {
    let api = inquiry
        .api
        .as_ref()
        .filter(|_| inquiry.in_api_management())?;
    Some((api, &api.specification.as_ref()?.source))
}

/// The path of problems with a document.
const PATH: &str = "spec.specification";

pub(super) fn read(
    inquiry: &Inquiry,
    facts: &DocumentFacts,
    findings: &mut Vec<Finding>,
) -> Option<ReadDocument> {
    let api = inquiry
        .api
        .as_ref()
        .filter(|_| inquiry.in_api_management())?;
    let declared = inquiry.declared();
    if let Some((_, place)) = declared
        && source(inquiry).is_some()
    {
        let message = format!(
            "stands beside `{PATH}`, which has operations of its own; remove one of the two"
        );
        findings.push(Finding::invalid(
            Reason::InvalidDocument,
            Problem::new(place, message),
        ));
        return None;
    }
    let place = declared.map_or(PATH, |(_, place)| place);
    let result = match (source(inquiry), need(inquiry), facts) {
        (None, ..) if let Some((operations, _)) = declared => {
            openapi::declared::document(&api.name, operations)
                .and_then(|document| import(document, DocumentOrigin::Declared))
        }
        (None, ..) => import(openapi::catch_all(&api.name), DocumentOrigin::Generated),
        (Some((_, SpecificationSource::Inline(text))), ..) => {
            openapi::read(text).and_then(|d| import(d, DocumentOrigin::Inline))
        }
        (Some((_, SpecificationSource::Url(url))), DocumentNeed::Nothing, _)
        | (Some((_, SpecificationSource::Url(url))), _, DocumentFacts::NotTried) => {
            Ok(by_url_alone(url))
        }
        (
            Some((_, SpecificationSource::Url(url))),
            DocumentNeed::Fetch(_),
            DocumentFacts::Fetched(text),
        ) => openapi::read(text).and_then(|document| fetched(document, text, url)),
        (
            Some((_, SpecificationSource::Url(url))),
            DocumentNeed::Fetch(_),
            DocumentFacts::NotNeeded,
        ) => {
            findings.push(Finding::waiting(
                Reason::DocumentUnavailable,
                Problem::new(PATH, format!("`{url}` has not been fetched yet")),
            ));
            return None;
        }
        (_, DocumentNeed::Fetch(url), DocumentFacts::Failed { class, message }) => {
            findings.push(Finding {
                reason: Reason::DocumentUnavailable,
                class: *class,
                problem: Problem::new(PATH, format!("`{url}` could not be fetched: {message}")),
            });
            return None;
        }
    };
    match result {
        Ok(read) => Some(read),
        Err(error) => {
            findings.push(Finding {
                reason: Reason::InvalidDocument,
                class: error.class(),
                problem: Problem::new(place, error.to_string()),
            });
            None
        }
    }
}

fn import(document: Document, origin: DocumentOrigin) -> Result<ReadDocument, OpenApiError> {
    let import = document.to_import()?;
    let mut warnings: Vec<Problem> = import
        .notes
        .iter()
        .map(|note| Problem::new(PATH, note.clone()))
        .collect();
    if origin == DocumentOrigin::Generated {
        warnings.push(Problem::new(
            PATH,
            "is missing: one operation for each of GET, POST, PUT, PATCH, DELETE and HEAD on `/*` was \
             generated instead",
        ));
    }
    Ok(ReadDocument {
        api_document: ApiDocument {
            format: import.format,
            value: import.value,
            hash: import.hash,
            origin,
            operations: Some(document.operations()),
        },
        document: Some(document),
        warnings,
    })
}

/// A fetched document; one that is too large to be sent goes by its URL, if
/// API Management can read it as it is.
fn fetched(document: Document, text: &str, url: &Url) -> Result<ReadDocument, OpenApiError> {
    let origin = DocumentOrigin::Url {
        url: url.to_string(),
    };
    let link = match (document.version(), document.format()) {
        (SpecVersion::Swagger20, TextFormat::Json) => Some(ImportFormat::SwaggerLinkJson),
        (SpecVersion::OpenApi30, TextFormat::Json) => Some(ImportFormat::OpenApiJsonLink),
        (SpecVersion::OpenApi30, TextFormat::Yaml) => Some(ImportFormat::OpenApiLink),
        (SpecVersion::Swagger20, TextFormat::Yaml) | (SpecVersion::OpenApi31, _) => None,
    };
    let operations = document.operations();
    match (import(document, origin.clone()), link) {
        (Err(OpenApiError::TooLargeInline { bytes, limit }), Some(format)) => Ok(ReadDocument {
            document: None,
            api_document: ApiDocument {
                format,
                value: url.to_string(),
                hash: ContentHash::of(text),
                origin,
                operations: Some(operations),
            },
            warnings: vec![Problem::new(
                PATH,
                format!(
                    "has {bytes} bytes, and API Management takes at most {limit} inline: it fetches the \
                     document from the URL itself"
                ),
            )],
        }),
        (result, _) => result,
    }
}

/// A document of which only the URL is known. Its format is told by the URL's
/// ending, as far as that goes: documents named `swagger` are Swagger 2.0.
fn by_url_alone(url: &Url) -> ReadDocument {
    let path = url.path().to_ascii_lowercase();
    let ending = path.rsplit_once('.').map(|(_, ending)| ending);
    let format = if matches!(ending, Some("yaml" | "yml")) {
        ImportFormat::OpenApiLink
    } else if path.contains("swagger") {
        ImportFormat::SwaggerLinkJson
    } else {
        ImportFormat::OpenApiJsonLink
    };
    ReadDocument {
        document: None,
        api_document: ApiDocument {
            format,
            value: url.to_string(),
            hash: ContentHash::of(url.as_str()),
            origin: DocumentOrigin::Url {
                url: url.to_string(),
            },
            operations: None,
        },
        warnings: Vec::new(),
    }
}

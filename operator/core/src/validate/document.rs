//! The OpenAPI document of an API: where it comes from and what is imported.

use url::Url;

use super::inquiry::{FROM, Inquiry};
use super::rejection::Finding;
use crate::about::Info;
use crate::annotations::{Annotations, SpecificationFrom};
use crate::chain::KnownOperations;
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
    /// The document that lies here, in the object's namespace.
    Take(SpecificationFrom),
}

/// Where a document is, as an object says it.
enum Source<'a> {
    /// In `spec.specification`.
    Spec(&'a SpecificationSource),
    /// In the annotation `specification-from`.
    From(&'a SpecificationFrom),
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
    /// What it says of the API.
    pub(super) info: Info,
    pub(super) warnings: Vec<Problem>,
}

impl ReadDocument {
    /// Its operations, and whether they may be named.
    pub(super) fn known(&self) -> Option<KnownOperations<'_>> {
        let list = self.api_document.operations.as_deref()?;
        let told = !self.api_document.origin.is_secret();
        Some(KnownOperations { list, told })
    }
}

pub(super) fn need(inquiry: &Inquiry) -> DocumentNeed {
    let (api, url) = match source(inquiry) {
        Some((api, Source::Spec(SpecificationSource::Url(url)))) => (api, url),
        Some((_, Source::From(from))) if inquiry.instance.is_some() => {
            return DocumentNeed::Take(from.clone());
        }
        _ => return DocumentNeed::Nothing,
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

fn source(inquiry: &Inquiry) -> Option<(&ExposedApi, Source<'_>)> {
    let api = inquiry
        .api
        .as_ref()
        .filter(|_| inquiry.in_api_management())?;
    let from = inquiry.annotations.specification_from.as_ref();
    let in_spec = || api.specification.as_ref().map(|spec| &spec.source);
    let source = from
        .map(Source::From)
        .or_else(|| in_spec().map(Source::Spec))?;
    Some((api, source))
}

/// What is wrong with naming a place for the document of this object.
pub(super) fn misplaced(annotations: &Annotations, api: Option<&ExposedApi>) -> Option<Finding> {
    let from = annotations.specification_from.as_ref()?;
    let api = api?;
    let message = if api.specification.is_some() {
        format!("stands beside `{PATH}`, which is a document, too; remove one of the two")
    } else if api.implementation == Implementation::External
        && !matches!(from, SpecificationFrom::ConfigMap { .. })
    {
        // The document's server becomes the backend, which everybody is told.
        format!(
            "takes {from}, and the implementation is outside of the cluster (`spec.implementation`), where the \
             document says where: put it into a ConfigMap (`configMap: {{name, key}}`), or name its URL in `{PATH}`"
        )
    } else {
        return None;
    };
    let problem = Problem::new(FROM, message);
    Some(Finding::invalid(Reason::InvalidAnnotation, problem))
}

/// The path of problems with a document.
const PATH: &str = "spec.specification";
/// In the place of what an import changes of a document from a Secret.
const WITHHELD_NOTES: &str = "the document is imported with changes that are not told here, since it lies in a Secret; `apim-operator lint` tells them where it is kept";

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
    let from = inquiry.annotations.specification_from.as_ref();
    let of_document = if from.is_some() { FROM } else { PATH };
    if let Some((_, place)) = declared
        && source(inquiry).is_some()
    {
        let message = format!(
            "stands beside `{of_document}`, which has operations of its own; remove one of the two"
        );
        findings.push(Finding::invalid(
            Reason::InvalidDocument,
            Problem::new(place, message),
        ));
        return None;
    }
    let place = declared.map_or(of_document, |(_, place)| place);
    let unread = |what: String| Finding {
        reason: Reason::DocumentUnavailable,
        class: ErrorClass::Waiting,
        problem: Problem::new(of_document, format!("{what} yet")),
    };
    let result = match (source(inquiry), facts) {
        (None, _) => match declared {
            Some((operations, _)) => openapi::declared::document(&api.name, operations)
                .and_then(|document| import(document, DocumentOrigin::Declared)),
            None => import(openapi::catch_all(&api.name), DocumentOrigin::Generated),
        },
        (Some((_, Source::Spec(SpecificationSource::Inline(text)))), _) => {
            openapi::read(text).and_then(|d| import(d, DocumentOrigin::Inline))
        }
        (Some((_, Source::Spec(SpecificationSource::Url(url)))), facts) => {
            match (need(inquiry), facts) {
                (DocumentNeed::Fetch(_), DocumentFacts::Fetched(text)) => {
                    openapi::read(text).and_then(|document| fetched(document, text, url))
                }
                (DocumentNeed::Fetch(_), DocumentFacts::NotNeeded) => {
                    findings.push(unread(format!("`{url}` has not been fetched")));
                    return None;
                }
                (DocumentNeed::Fetch(_), DocumentFacts::Failed { class, message }) => {
                    findings.push(Finding {
                        reason: Reason::DocumentUnavailable,
                        class: *class,
                        problem: Problem::new(
                            PATH,
                            format!("`{url}` could not be fetched: {message}"),
                        ),
                    });
                    return None;
                }
                _ => Ok(by_url_alone(url)),
            }
        }
        (Some((_, Source::From(from))), DocumentFacts::Fetched(text)) => openapi::read(text)
            .and_then(|document| import(document, DocumentOrigin::From(from.clone()))),
        (Some((_, Source::From(from))), DocumentFacts::NotTried) => Ok(by_place_alone(from)),
        (Some((_, Source::From(from))), DocumentFacts::NotNeeded) => {
            findings.push(unread(format!("{from} has not been read")));
            return None;
        }
        (Some((_, Source::From(_))), DocumentFacts::Failed { class, message }) => {
            findings.push(Finding {
                reason: Reason::DocumentUnavailable,
                class: *class,
                problem: Problem::new(FROM, message.clone()),
            });
            return None;
        }
    };
    match (result, from) {
        (Ok(read), _) => Some(read),
        (Err(error), from) => {
            let message = match from.filter(|from| from.is_secret()) {
                Some(from) => format!("{from}: {}", error.withheld()),
                None => match from {
                    Some(from) => format!("{from}: {error}"),
                    None => error.to_string(),
                },
            };
            findings.push(Finding {
                reason: Reason::InvalidDocument,
                class: error.class(),
                problem: Problem::new(place, message),
            });
            None
        }
    }
}

fn import(document: Document, origin: DocumentOrigin) -> Result<ReadDocument, OpenApiError> {
    let import = document.to_import()?;
    let place = if matches!(origin, DocumentOrigin::From(_)) {
        FROM
    } else {
        PATH
    };
    let mut warnings: Vec<Problem> = if origin.is_secret() && !import.notes.is_empty() {
        vec![Problem::new(place, WITHHELD_NOTES)]
    } else {
        let notes = import.notes.iter();
        notes
            .map(|note| Problem::new(place, note.clone()))
            .collect()
    };
    if origin == DocumentOrigin::Generated {
        warnings.push(Problem::new(
            PATH,
            "is missing: one operation for each of GET, POST, PUT, PATCH, DELETE and HEAD on `/*` was \
             generated instead",
        ));
    }
    // What lies in a Secret is said nowhere.
    let info = if origin.is_secret() {
        Info::default()
    } else {
        info(&document, place, &mut warnings)
    };
    Ok(ReadDocument {
        info,
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

/// What a document says of its API. What of that cannot be shown is a warning.
fn info(document: &Document, place: &str, warnings: &mut Vec<Problem>) -> Info {
    let (info, found) = Info::of_document(document.whole_info());
    warnings.extend(found.into_iter().map(|(pointer, message)| {
        let message = format!("/info{pointer}: {message}; it is left out");
        Problem::new(place, message)
    }));
    info
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
    let mut warnings = Vec::new();
    let said = info(&document, PATH, &mut warnings);
    match (import(document, origin.clone()), link) {
        (Err(OpenApiError::TooLargeInline { bytes, limit }), Some(format)) => {
            let large = Problem::new(
                PATH,
                format!(
                    "has {bytes} bytes, and API Management takes at most {limit} inline: it fetches the \
                     document from the URL itself"
                ),
            );
            warnings.insert(0, large);
            Ok(ReadDocument {
                info: said,
                document: None,
                api_document: ApiDocument {
                    format,
                    value: url.to_string(),
                    hash: ContentHash::of(text),
                    origin,
                    operations: Some(operations),
                },
                warnings,
            })
        }
        (result, _) => result,
    }
}

/// A document of which only the place is known.
fn by_place_alone(from: &SpecificationFrom) -> ReadDocument {
    ReadDocument {
        document: None,
        api_document: ApiDocument {
            format: ImportFormat::OpenApiJson,
            value: String::new(),
            hash: ContentHash::of_json(from),
            origin: DocumentOrigin::From(from.clone()),
            operations: None,
        },
        info: Info::default(),
        warnings: Vec::new(),
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
        info: Info::default(),
        warnings: Vec::new(),
    }
}

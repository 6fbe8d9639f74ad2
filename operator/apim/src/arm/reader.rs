//! The half of the client that can only read.

use std::fmt;
use std::sync::Arc;

use reqwest::Method;
use serde::de::DeserializeOwned;
use url::Url;

use super::wire::{Target, Wire};
use super::{ArmOptions, Parts, ServiceRef};
use crate::bucket::Lane;
use crate::error::ArmError;
use crate::models::Page;
use crate::transport::{HttpAnswer, HttpRequest, TransportError};

/// Reads one APIM service under one principal. It has no way to write: the
/// only calls that it can make are GET and HEAD.
#[derive(Clone)]
pub struct ArmReader {
    pub(super) wire: Arc<Wire>,
    pub(super) correlation: Arc<str>,
    lane: Lane,
}

impl fmt::Debug for ArmReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArmReader")
            .field("service", &self.wire.service)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadVerb {
    Get,
    Head,
}

/// A GET or a HEAD.
#[derive(Debug, Clone)]
pub(crate) struct ReadCall {
    verb: ReadVerb,
    pub(super) target: Target,
}

impl ReadCall {
    pub(super) fn method(&self) -> Method {
        match self.verb {
            ReadVerb::Get => Method::GET,
            ReadVerb::Head => Method::HEAD,
        }
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.target.url
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method(), self.target.what)
    }
}

impl ArmReader {
    /// A reader of its own.
    #[must_use]
    pub fn new(parts: &Parts) -> Self {
        Self {
            wire: Arc::new(Wire::new(parts)),
            correlation: Arc::from(uuid::Uuid::new_v4().to_string()),
            lane: Lane::Foreground,
        }
    }

    /// The same reader, whose calls carry this id in Azure's activity log
    /// (`x-ms-correlation-request-id`).
    #[must_use]
    pub fn with_correlation(&self, id: &str) -> Self {
        Self {
            correlation: Arc::from(id),
            ..self.clone()
        }
    }

    /// The same reader for work that nobody waits for: its calls leave only
    /// when no other read of the principal waits and half of the burst is left
    /// for those that may come.
    #[must_use]
    pub fn background(&self) -> Self {
        Self {
            lane: Lane::Background,
            ..self.clone()
        }
    }

    /// The service that is read.
    #[must_use]
    pub fn service_ref(&self) -> &ServiceRef {
        &self.wire.service
    }

    /// Asks somebody else than the resource manager: no token goes along.
    pub(crate) async fn ask_elsewhere(
        &self,
        request: HttpRequest,
    ) -> Result<HttpAnswer, TransportError> {
        self.wire.transport.exchange(request).await
    }

    pub(crate) fn options(&self) -> &ArmOptions {
        &self.wire.options
    }

    /// Whether a URL is one of the resource manager's, which may receive a
    /// token.
    #[must_use]
    pub fn trusts(&self, url: &Url) -> bool {
        self.wire.trusts(url)
    }

    /// The id of the service, which begins the ids of what is in it.
    pub(crate) fn service_path(&self) -> &str {
        self.wire.base.path()
    }

    /// Whether a URL lies below the service itself, so that a token may go there
    /// also when it is only said to come from the service.
    pub(crate) fn is_below(&self, url: &Url) -> bool {
        let base = format!("{}/", self.wire.base.path()).to_ascii_lowercase();
        self.wire.trusts(url) && url.path().to_ascii_lowercase().starts_with(&base)
    }

    /// A GET of something below the service.
    pub(crate) fn get(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
        kind: &'static str,
        what: impl Into<String>,
    ) -> ReadCall {
        ReadCall {
            verb: ReadVerb::Get,
            target: self.wire.target(segments, query, kind, what),
        }
    }

    /// A HEAD of something below the service.
    pub(crate) fn head(
        &self,
        segments: &[&str],
        kind: &'static str,
        what: impl Into<String>,
    ) -> ReadCall {
        ReadCall {
            verb: ReadVerb::Head,
            target: self.wire.target(segments, &[], kind, what),
        }
    }

    /// A GET of a URL that the service named.
    pub(crate) const fn get_url(url: Url, kind: &'static str, what: String) -> ReadCall {
        ReadCall {
            verb: ReadVerb::Get,
            target: Target { url, kind, what },
        }
    }

    /// Makes the call.
    pub(crate) async fn read(&self, call: &ReadCall) -> Result<HttpAnswer, ArmError> {
        self.wire.read(call, &self.correlation, self.lane).await
    }

    /// A list, page by page, each entry turned from what is read into what is
    /// handed out.
    pub(crate) fn pages<W, T>(&self, call: ReadCall) -> Pages<T>
    where
        W: DeserializeOwned + Into<T>,
    {
        Pages {
            reader: self.clone(),
            next: Some(call),
            parse: parse::<W, T>,
        }
    }
}

/// A list that is read page by page, so that who reads it can spread the calls
/// or stop early.
pub struct Pages<T> {
    reader: ArmReader,
    next: Option<ReadCall>,
    parse: Parse<T>,
}

type Parse<T> = fn(&HttpAnswer, &str) -> Result<(Vec<T>, Option<Url>), ArmError>;

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl<T> Pages<T> {
    /// The next page; none after the last. After an error, the same page is
    /// asked for again.
    pub async fn next(&mut self) -> Result<Option<Vec<T>>, ArmError> {
        let Some(call) = &mut self.next else {
            return Ok(None);
        };
        let answer = self.reader.read(call).await?;
        let (page, next) = (self.parse)(&answer, &call.name())?;
        match next {
            // The next page's URL passes the same check as every other.
            Some(next) if next != call.target.url => call.target.url = next,
            _ => self.next = None,
        }
        Ok(Some(page))
    }

    /// All pages in one.
    pub async fn all(mut self) -> Result<Vec<T>, ArmError> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page);
        }
        Ok(all)
    }
}

fn parse<W, T>(answer: &HttpAnswer, name: &str) -> Result<(Vec<T>, Option<Url>), ArmError>
where
    W: DeserializeOwned + Into<T>,
{
    let page: Page<W> = answer.json(name)?;
    let next = page.next_link.and_then(|link| Url::parse(&link).ok());
    Ok((page.value.into_iter().map(Into::into).collect(), next))
}

/// An answer, or none where what was called does not exist.
pub(crate) fn absent<T>(result: Result<T, ArmError>) -> Result<Option<T>, ArmError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

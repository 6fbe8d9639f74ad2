//! What is kept of one published API so that a sweep can tell a change.

use std::collections::{BTreeMap, BTreeSet};

use super::Fingerprint;
use crate::apim::{
    AppliedRecord, ObservedApi, ObservedOperation, ObservedPart, ObservedPolicy, PartId, Published,
    Reading, parts,
};
use crate::desired::PolicyText;
use crate::names::{ApiId, ContentHash, InstanceName, ProductId};
use smol_str::SmolStr;

/// ETags of policy documents, as the last write or read gave them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownEtags {
    /// Of the API's document.
    pub policy: Option<String>,
    /// Of documents of single operations.
    pub operations: BTreeMap<String, String>,
}

/// What a look says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it should be.
    Fine,
    /// It cannot be told from this; more has to be read.
    Unclear,
    /// It differs.
    Differs,
}

/// A policy document: what it should be, and the ETag under which it was seen
/// to be that.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Document {
    /// Of the text as it was sent, so that the other is not made twice.
    text: ContentHash,
    fingerprint: Fingerprint,
    etag: Option<SmolStr>,
}

/// One published API, as small as it can be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Where it is.
    pub instance: InstanceName,
    /// Its id.
    pub api_id: ApiId,
    /// The mark that makes it the object's.
    pub mark: Box<str>,
    revision: Option<SmolStr>,
    settings: Fingerprint,
    /// How the list shows it while it is as it should be, should the list show
    /// less than a read of the API.
    listed_as: Option<Fingerprint>,
    policy: Document,
    imported: Option<ContentHash>,
    operations: Option<Fingerprint>,
    /// Operations with methods and templates, as they were first read.
    shape: Option<Fingerprint>,
    operation_policies: BTreeMap<Box<str>, Document>,
    products: BTreeSet<ProductId>,
    /// What its tags and diagnostics should say.
    parts: BTreeMap<PartId, ContentHash>,
}

impl Document {
    fn new(wanted: &PolicyText, etag: Option<&String>, before: Option<&Self>) -> Self {
        let same = before.filter(|before| before.text == wanted.hash);
        Self {
            text: wanted.hash,
            fingerprint: same.map_or_else(
                || Fingerprint::of_document(&wanted.text),
                |before| before.fingerprint,
            ),
            etag: etag
                .map(|etag| etag.as_str().into())
                .or_else(|| same.and_then(|before| before.etag.clone())),
        }
    }

    /// An empty ETag is one that the service did not say.
    fn by_etag(&self, etag: &str) -> Verdict {
        if !etag.is_empty() && self.etag.as_deref() == Some(etag) {
            Verdict::Fine
        } else {
            Verdict::Unclear
        }
    }

    fn by_text(&mut self, found: &ObservedPolicy) -> Verdict {
        if Fingerprint::of_document(&found.text) != self.fingerprint {
            return Verdict::Differs;
        }
        self.etag = found.etag.as_deref().map(Into::into);
        Verdict::Fine
    }
}

impl Watched {
    /// What is published, once all of it is in place. `before` is what was kept
    /// until now: ETags that still hold are taken from it.
    #[must_use]
    pub fn new(
        published: Published<'_>,
        record: &AppliedRecord,
        etags: &KnownEtags,
        before: Option<&Self>,
    ) -> Self {
        let Published {
            instance,
            api,
            policy,
        } = published;
        let before = before.filter(|b| b.instance == *instance && b.api_id == api.id);
        let settings = Fingerprint::of_desired(api);
        let imported = record.spec_hash;
        Self {
            instance: instance.clone(),
            api_id: api.id.clone(),
            mark: api.mark.as_str().into(),
            revision: record.api_revision.as_deref().map(Into::into),
            settings,
            listed_as: before
                .filter(|b| b.settings == settings)
                .and_then(|b| b.listed_as),
            policy: Document::new(
                &policy.api,
                etags.policy.as_ref(),
                before.map(|before| &before.policy),
            ),
            operations: api.document.operations.as_deref().map(Fingerprint::of_made),
            shape: before
                .filter(|before| before.imported == imported)
                .and_then(|before| before.shape),
            imported,
            operation_policies: policy
                .operations
                .iter()
                .map(|(id, text)| {
                    let before = before.and_then(|b| b.operation_policies.get(id.as_str()));
                    let document = Document::new(text, etags.operations.get(id), before);
                    (id.as_str().into(), document)
                })
                .collect(),
            products: api.products.clone(),
            parts: api
                .parts
                .iter()
                .map(|(id, part)| (id.clone(), part.hash()))
                .collect(),
        }
    }

    /// The products that should hold the API.
    #[must_use]
    pub const fn products(&self) -> &BTreeSet<ProductId> {
        &self.products
    }

    /// The tags and diagnostics that the API should have.
    pub fn parts(&self) -> impl Iterator<Item = &PartId> {
        self.parts.keys()
    }

    /// One of them as it was read.
    #[must_use]
    pub fn part(&self, id: &PartId, found: Option<&ObservedPart>) -> Verdict {
        let found = found.map(|found| parts::content_hash(&found.content));
        if found.as_ref() == self.parts.get(id) {
            Verdict::Fine
        } else {
            Verdict::Differs
        }
    }

    fn is_as_expected(&self, api: &ObservedApi) -> bool {
        let revision = self.revision.as_deref();
        Fingerprint::of_observed(api) == self.settings
            && revision.is_none_or(|revision| revision == api.revision)
    }

    /// The API as a list shows it.
    #[must_use]
    pub fn listed(&self, api: &ObservedApi) -> Verdict {
        let revision = self.revision.as_deref();
        let known = self.listed_as == Some(Fingerprint::of_observed(api))
            && revision.is_none_or(|revision| revision == api.revision);
        if known || self.is_as_expected(api) {
            Verdict::Fine
        } else {
            Verdict::Unclear
        }
    }

    /// The API as it was read by itself, and how the list had shown it.
    pub fn api(&mut self, found: Option<&ObservedApi>, listed: Option<&ObservedApi>) -> Verdict {
        match found {
            Some(found) if self.is_as_expected(found) => {
                self.listed_as = listed.map(Fingerprint::of_observed);
                Verdict::Fine
            }
            _ => Verdict::Differs,
        }
    }

    /// Whether the ETag of the API's policy can tell anything: else the
    /// document itself is read at once.
    #[must_use]
    pub const fn has_policy_etag(&self) -> bool {
        self.policy.etag.is_some()
    }

    /// The API's policy by the ETag that a HEAD gave; none: there is no policy.
    #[must_use]
    pub fn policy_etag(&self, etag: Option<&str>) -> Verdict {
        etag.map_or(Verdict::Differs, |etag| self.policy.by_etag(etag))
    }

    /// The API's policy as it was read. One that means the same under another
    /// ETag is remembered with that.
    pub fn policy(&mut self, reading: &Reading<ObservedPolicy>) -> Verdict {
        match reading {
            Reading::NotRead => Verdict::Unclear,
            Reading::Absent => Verdict::Differs,
            Reading::Found(found) => self.policy.by_text(found),
        }
    }

    /// The number of the current revision, as the list of revisions says it.
    #[must_use]
    pub fn current_revision(&self, found: Option<&str>) -> Verdict {
        match (self.revision.as_deref(), found) {
            (Some(expected), Some(found)) if expected != found => Verdict::Differs,
            _ => Verdict::Fine,
        }
    }

    /// The API's operations as they were read.
    pub fn operations(&mut self, found: &[ObservedOperation]) -> Verdict {
        let shape = Fingerprint::of_shape(found);
        let expected = self
            .operations
            .is_none_or(|operations| operations == Fingerprint::of_present(found));
        // How API Management spells a template is its own affair: what counts
        // is whether it changes.
        let changed = self.shape.is_some_and(|before| before != shape);
        if !expected || changed {
            return Verdict::Differs;
        }
        self.shape = Some(shape);
        Verdict::Fine
    }

    /// What was found to differ in operations was looked at and is no
    /// difference: their shape is learned anew.
    pub const fn learn_operations(&mut self) {
        self.shape = None;
    }

    /// The policy of one operation by the ETag that a HEAD gave; none: it has
    /// no policy.
    #[must_use]
    pub fn operation_policy_etag(&self, operation: &str, etag: Option<&str>) -> Verdict {
        match (self.operation_policies.get(operation), etag) {
            (None, None) => Verdict::Fine,
            (Some(_), None) => Verdict::Differs,
            (None, Some(_)) => Verdict::Unclear,
            (Some(document), Some(etag)) => document.by_etag(etag),
        }
    }

    /// The policy of one operation as it was read.
    pub fn operation_policy(
        &mut self,
        operation: &str,
        reading: &Reading<ObservedPolicy>,
    ) -> Verdict {
        match (self.operation_policies.get_mut(operation), reading) {
            (_, Reading::NotRead) => Verdict::Unclear,
            (None, Reading::Absent) => Verdict::Fine,
            (None, Reading::Found(_)) | (Some(_), Reading::Absent) => Verdict::Differs,
            (Some(document), Reading::Found(found)) => document.by_text(found),
        }
    }
}

//! Documents that were fetched, so that an unchanged one is not sent again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::FetchedDocument;

/// Documents by the URL that was asked for, the least recently used going
/// first. Every use is confirmed by the server (`If-None-Match`), after all
/// checks: what one instance may fetch, another does not get from here.
#[derive(Debug)]
pub(super) struct Cache {
    max_bytes: usize,
    max_entries: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<String, Entry>,
    bytes: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    document: Arc<FetchedDocument>,
    used: u64,
}

impl Cache {
    pub(super) fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self {
            max_bytes,
            max_entries,
            state: Mutex::default(),
        }
    }

    pub(super) fn get(&self, url: &str) -> Option<Arc<FetchedDocument>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let now = state.clock;
        let entry = state.entries.get_mut(url)?;
        entry.used = now;
        Some(Arc::clone(&entry.document))
    }

    /// Keeps a document. One that is equal to what is kept already is not kept
    /// a second time.
    pub(super) fn put(&self, url: &str, document: FetchedDocument) -> Arc<FetchedDocument> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let used = state.clock;
        let old = state.remove(url);
        let document = match old {
            Some(old) if *old == document => old,
            _ => Arc::new(document),
        };
        let size = document.text.len();
        if size > self.max_bytes || self.max_entries == 0 {
            return document;
        }
        while state.entries.len() >= self.max_entries || state.bytes + size > self.max_bytes {
            let oldest = state
                .entries
                .iter()
                .min_by_key(|(_, entry)| entry.used)
                .map(|(url, _)| url.clone());
            let Some(oldest) = oldest else { break };
            state.remove(&oldest);
        }
        state.bytes += size;
        state.entries.insert(
            url.to_owned(),
            Entry {
                document: Arc::clone(&document),
                used,
            },
        );
        document
    }
}

impl State {
    fn remove(&mut self, url: &str) -> Option<Arc<FetchedDocument>> {
        let entry = self.entries.remove(url)?;
        self.bytes -= entry.document.text.len();
        Some(entry.document)
    }
}

#[cfg(test)]
mod tests {
    use operator_core::names::ContentHash;

    use super::*;

    fn document(text: &str) -> FetchedDocument {
        FetchedDocument {
            text: text.into(),
            content_hash: ContentHash::of(text),
            etag: None,
            final_url: "http://a.example/".parse().unwrap(),
        }
    }

    #[test]
    fn the_least_recently_used_document_goes_first() {
        let cache = Cache::new(10, 10);
        cache.put("a", document("aaaa"));
        cache.put("b", document("bbbb"));
        assert!(cache.get("a").is_some());
        cache.put("c", document("cccc"));
        assert!(cache.get("b").is_none());
        assert_eq!(cache.get("a").unwrap().text, "aaaa");
        cache.put("d", document("12345678901"));
        assert!(cache.get("d").is_none());
        assert!(cache.get("a").is_some());
    }

    #[test]
    fn an_equal_document_is_kept_once() {
        let cache = Cache::new(1, 10);
        let first = cache.put("a", document("aaaa"));
        assert!(Arc::ptr_eq(&first, &cache.put("a", document("aaaa"))));
        assert!(!Arc::ptr_eq(&first, &cache.put("a", document("aaab"))));
        cache.put("b", document("b"));
        assert!(cache.get("a").is_none());
    }
}

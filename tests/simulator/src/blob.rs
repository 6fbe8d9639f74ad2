//! The storage account that exported documents are put into for five minutes.

use crate::http::{Call, Reply};
use crate::world::{World, hex_id};
use jiff::Timestamp;

/// How long a link stays valid, in seconds; as the service states it.
const LIFETIME_S: i64 = 300;

/// One exported document.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    content: String,
    content_type: &'static str,
    expires: Timestamp,
}

/// Keeps a document and returns the path, with signature, where it can be had.
pub(crate) fn put(world: &World, content: String, content_type: &'static str) -> String {
    let id = hex_id();
    let expires = world.clock.now() + jiff::SignedDuration::from_secs(LIFETIME_S);
    let blob = Blob {
        content,
        content_type,
        expires,
    };
    world.blobs.lock().insert(id.clone(), blob);
    format!("/_blob/{id}")
}

/// Answers `GET /_blob/<id>`.
pub(crate) fn handle(world: &World, call: &Call) -> Reply {
    let id = call.path.trim_start_matches("/_blob/");
    let blobs = world.blobs.lock();
    match blobs.get(id) {
        Some(blob) if blob.expires > world.clock.now() => {
            Reply::text(200, blob.content_type, blob.content.clone())
        }
        Some(_) => Reply::text(403, "text/plain", "The link has expired.".to_owned()),
        None => Reply::text(404, "text/plain", "There is no such blob.".to_owned()),
    }
}

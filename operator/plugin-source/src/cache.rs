//! Files by digest in a private folder.
//!
//! What is read is hashed again: the disk may be shared with a later version
//! of the pod, and a file that was changed must not run. The folder belongs to
//! this user alone, so that nobody else learns or fills what is in it.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;

use crate::digest::Digest;

/// The cache. Its methods block; files are small.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    folder: PathBuf,
    max_bytes: u64,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Cache {
    /// Opens the folder, or makes it; a folder that others may enter is closed
    /// to them.
    pub(crate) fn open(folder: &Path, max_bytes: u64) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let metadata = fs::symlink_metadata(folder)?;
        if !metadata.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                "is a link or a file and not a folder",
            ));
        }
        if metadata.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            max_bytes,
        })
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("sha256-{}", digest.hex()))
    }

    /// The bytes of a digest, if they are here and still the same.
    pub(crate) fn get(&self, digest: Digest, max: u64) -> Option<Bytes> {
        let path = self.path(digest);
        let bytes = read(&path, max)?;
        if Digest::of(&bytes) != digest {
            tracing::warn!(%digest, "a cached file was changed on disk and is thrown away");
            let _ = fs::remove_file(&path);
            return None;
        }
        // What is in use is kept longest.
        if let Ok(file) = File::options().append(true).open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        Some(bytes.into())
    }

    /// Keeps bytes under their digest. A full disk is no reason to fail.
    pub(crate) fn put(&self, bytes: &[u8]) {
        let digest = Digest::of(bytes);
        self.write(&self.path(digest), bytes);
        self.prune(&self.path(digest));
    }

    /// Which bundles were found for a manifest. They prove themselves, so this
    /// list need not be protected.
    pub(crate) fn bundles(&self, subject: Digest) -> Vec<Digest> {
        let list = read(&self.list(subject), 64 * 1024);
        let list = list.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        list.unwrap_or_default()
    }

    pub(crate) fn put_bundles(&self, subject: Digest, bundles: &[Digest]) {
        if let Ok(json) = serde_json::to_vec(bundles) {
            self.write(&self.list(subject), &json);
        }
    }

    fn list(&self, subject: Digest) -> PathBuf {
        self.folder.join(format!("bundles-{}.json", subject.hex()))
    }

    fn write(&self, path: &Path, bytes: &[u8]) {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let unfinished = self
            .folder
            .join(format!(".unfinished-{}-{number}", std::process::id()));
        let written = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&unfinished, path));
        if let Err(error) = written {
            tracing::warn!(folder = %self.folder.display(), %error, "a plugin cannot be cached");
            let _ = fs::remove_file(&unfinished);
        }
    }

    /// Removes the files that were not used for longest until the rest fits;
    /// never `newest`.
    fn prune(&self, newest: &Path) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let metadata = entry.metadata().ok()?;
                let modified = metadata.modified().ok()?;
                metadata
                    .is_file()
                    .then(|| (modified, metadata.len(), entry.path()))
            })
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in files {
            if total <= self.max_bytes {
                break;
            }
            if path != newest && fs::remove_file(&path).is_ok() {
                total -= size;
            }
        }
    }
}

/// A file of at most `max` bytes.
pub(crate) fn read(path: &Path, max: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(max + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= max).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_changed_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 1 << 20).unwrap();
        let digest = Digest::of(b"plugin");
        assert_eq!(cache.get(digest, 100), None);
        cache.put(b"plugin");
        assert_eq!(cache.get(digest, 100).as_deref(), Some(&b"plugin"[..]));
        fs::write(cache.path(digest), b"evil").unwrap();
        assert_eq!(cache.get(digest, 100), None);
        assert!(!cache.path(digest).exists());
    }

    #[test]
    fn the_folder_and_its_files_are_this_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let cache = Cache::open(&inner, 1 << 20).unwrap();
        cache.put(b"plugin");
        assert_eq!(mode(&inner), 0o700);
        assert_eq!(mode(&cache.path(Digest::of(b"plugin"))), 0o600);
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
        Cache::open(&inner, 1 << 20).unwrap();
        assert_eq!(mode(&inner), 0o700);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&inner, &link).unwrap();
        let error = Cache::open(&link, 1 << 20).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 10).unwrap();
        let age = |content: &[u8], seconds: u64| {
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            let file = File::options()
                .append(true)
                .open(cache.path(Digest::of(content)));
            file.unwrap().set_modified(time).unwrap();
        };
        cache.put(b"aaaa");
        cache.put(b"bbbb");
        age(b"aaaa", 2);
        age(b"bbbb", 1);
        cache.put(b"cccc");
        assert!(cache.get(Digest::of(b"aaaa"), 10).is_some());
        assert!(cache.get(Digest::of(b"bbbb"), 10).is_none());
        assert!(cache.get(Digest::of(b"cccc"), 10).is_some());
    }
}

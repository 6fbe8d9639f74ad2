//! Compiled plugins on disk.
//!
//! Compiled code is trusted code: whoever can write it can run anything in
//! this process. So the folder is the host's own, and every file carries a
//! digest of its content and of its own name, which finds damage and files
//! that were moved. The digest is no defence against somebody who can write
//! the folder; the folder's owner and mode are.
//!
//! The seal stands at the end of a file, so that code begins where a mapping of
//! the file begins: it is run from there, and what is not run takes no memory.
//! For that, a file that is there never changes; another one takes its place.
//!
//! Beside the code of a plugin lies its descriptor, so that a start runs and
//! parses nothing. A file that was not used for longest goes when there is too
//! much.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

use crate::digest::{Digest, hex};
use crate::error::HostError;
use crate::inspect;

/// Tells files of this format apart from anything else. A file ends with it and
/// with the digest before it.
const MAGIC: &[u8; 16] = b"oda-plugin-aot-3";
/// What a file has besides its content.
const SEAL: usize = 32 + MAGIC.len();
/// As much as is read of a file at a time.
const CHUNK: usize = 64 << 10;
/// Compiled code.
const CODE: &str = "cwasm";
/// What a plugin says of itself.
const DESCRIPTOR: &str = "json";
/// The mark of a use is renewed when it is older than this: a start need not
/// write.
const MARK_AGE: Duration = Duration::from_hours(1);
/// A file half-written is a leftover when it is older than this.
const LEFTOVER_AGE: Duration = Duration::from_hours(1);

/// The folder.
#[derive(Debug)]
pub(crate) struct DiskCache {
    folder: PathBuf,
    /// What must be equal for a file to be of use: the compiler's version and
    /// settings, this machine's processor, this crate's version and the
    /// interface that it loads.
    compatibility: String,
    /// How much the folder may hold.
    bytes: u64,
    counter: AtomicU64,
}

impl DiskCache {
    /// Takes a folder, made if need be.
    pub(crate) fn open(folder: &Path, bytes: u64, engine: &Engine) -> Result<Self, HostError> {
        prepare(folder).map_err(|reason| HostError::Cache {
            path: folder.display().to_string(),
            reason,
        })?;
        let mut hasher = ShaHasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        (env!("CARGO_PKG_VERSION"), inspect::SUPPORTED).hash(&mut hasher);
        let hash: [u8; 32] = hasher.0.finalize().into();
        let compatibility = hex(&hash[..8]);
        let cache = Self {
            folder: folder.to_owned(),
            compatibility,
            bytes,
            counter: AtomicU64::new(0),
        };
        cache.prune(None);
        Ok(cache)
    }

    /// The file with the compiled code of a plugin, if it is there and whole.
    /// The code is the file's beginning.
    pub(crate) fn code(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.path(digest, CODE);
        load(&path, |_| ()).map(|()| path)
    }

    /// What a plugin says of itself, if that is there and whole.
    pub(crate) fn descriptor(&self, digest: &Digest) -> Option<String> {
        let mut content = Vec::new();
        load(&self.path(digest, DESCRIPTOR), |chunk| {
            content.extend_from_slice(chunk);
        })?;
        String::from_utf8(content).ok()
    }

    /// Keeps the compiled code of a plugin. Failing costs the next start a
    /// compilation and nothing else.
    pub(crate) fn keep_code(&self, digest: &Digest, code: &[u8]) {
        self.store(&self.path(digest, CODE), code);
        self.prune(Some(digest));
    }

    /// Keeps what a plugin says of itself.
    pub(crate) fn keep_descriptor(&self, digest: &Digest, json: &str) {
        self.store(&self.path(digest, DESCRIPTOR), json.as_bytes());
    }

    fn store(&self, path: &Path, content: &[u8]) {
        let serial = self.counter.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!(".{}-{serial}.tmp", process::id()));
        let result = write(&temporary, path, content).and_then(|()| fs::rename(&temporary, path));
        if let Err(error) = result {
            tracing::warn!(path = %path.display(), %error, "a compiled plugin cannot be kept on disk");
            // It may not even exist.
            let _ = fs::remove_file(&temporary);
        }
    }

    fn path(&self, digest: &Digest, kind: &str) -> PathBuf {
        self.folder
            .join(format!("{}-{}.{kind}", digest.hex(), self.compatibility))
    }

    /// Removes what was not used for longest until the folder holds no more
    /// than it may; `but` stays, however large it is.
    fn prune(&self, but: Option<&Digest>) {
        let but = but.map(Digest::hex);
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        let mut files = Vec::new();
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let age = used.elapsed().unwrap_or_default();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("tmp") if age > LEFTOVER_AGE => remove(&path),
                Some(CODE | DESCRIPTOR) => files.push((used, metadata.len(), path)),
                _ => {}
            }
        }
        let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
        files.sort();
        for (_, length, path) in files {
            if total <= self.bytes {
                return;
            }
            let stays = but.as_deref().is_some_and(|digest| {
                path.file_name()
                    .and_then(|name| name.to_str())
                    .is_some_and(|name| name.starts_with(digest))
            });
            if !stays {
                tracing::info!(path = %path.display(), "a compiled plugin that was not used for long is removed: the folder is full");
                remove(&path);
                total = total.saturating_sub(length);
            }
        }
    }
}

/// Hands on what a file holds; answers whether it is there and whole, which is
/// known only at its end.
fn load(path: &Path, take: impl FnMut(&[u8])) -> Option<()> {
    match read(path, take) {
        Ok(()) => Some(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a compiled plugin on disk is not used");
            None
        }
    }
}

/// Another process may have been faster.
fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a compiled plugin cannot be removed");
    }
}

fn prepare(folder: &Path) -> Result<(), String> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| error.to_string())?;
    let metadata = fs::symlink_metadata(folder).map_err(|error| error.to_string())?;
    if !metadata.is_dir() {
        return Err("it is not a folder (nor may it be a symbolic link to one)".to_owned());
    }
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own {
        return Err(format!(
            "it belongs to user {}, and what is in it would be run as user {own}; name a folder below it, such \
             as {}, which is then made for user {own} alone",
            metadata.uid(),
            folder.join("compiled").display()
        ));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(|error| {
            format!("its mode is {mode:04o}, so that others can get at it, and cannot be changed: {error}")
        })?;
        tracing::warn!(
            path = %folder.display(),
            "the folder for compiled plugins had mode {mode:04o}, open to others; it has 0700 now, and what \
             others could have written in it is not used"
        );
        forget(folder, mode);
    }
    Ok(())
}

/// Where others could write, they could have put anything.
fn forget(folder: &Path, mode: u32) {
    if mode & 0o022 == 0 {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let ours = path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| matches!(extension, CODE | DESCRIPTOR | "tmp"));
        if ours {
            remove(&path);
        }
    }
}

/// What a file's digest is about: its content, and its name, so that the code
/// of one plugin cannot be taken for another's.
fn seal_of(path: &Path) -> Sha256 {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let mut hasher = Sha256::new();
    hasher.update((name.len() as u64).to_le_bytes());
    hasher.update(name);
    hasher
}

fn read(path: &Path, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let damaged = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason.to_owned());
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        return Err(damaged("others can write it"));
    }
    let mut left = metadata
        .len()
        .checked_sub(SEAL as u64)
        .ok_or_else(|| damaged("it is cut off"))?;
    let mut hasher = seal_of(path);
    let mut buffer = vec![0; CHUNK];
    while left > 0 {
        let wanted = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        let Some(chunk) = buffer.get_mut(..wanted) else {
            break;
        };
        file.read_exact(chunk)?;
        hasher.update(&*chunk);
        take(chunk);
        left -= wanted as u64;
    }
    let mut seal = [0; SEAL];
    file.read_exact(&mut seal)?;
    let (digest, magic) = seal.split_at(SEAL - MAGIC.len());
    if magic != MAGIC {
        return Err(damaged("it is cut off or has another format"));
    }
    if hasher.finalize().as_slice() != digest {
        return Err(damaged("its content is damaged"));
    }
    let used = metadata.modified()?;
    if used.elapsed().is_ok_and(|age| age > MARK_AGE) {
        // Whoever cannot write here loses the order in which files go.
        let _ = file.set_modified(SystemTime::now());
    }
    Ok(())
}

fn write(temporary: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(temporary)?;
    file.write_all(content)?;
    file.write_all(&seal_of(path).chain_update(content).finalize())?;
    file.write_all(MAGIC)
}

/// SHA-256 as a [`Hasher`]: the standard one may change between releases.
struct ShaHasher(Sha256);

impl Hasher for ShaHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let hash: [u8; 32] = self.0.clone().finalize().into();
        hash.iter()
            .take(8)
            .fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
    }
}

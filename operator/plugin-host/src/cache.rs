//! Compiled plugins on disk.
//!
//! Compiled code is trusted code: whoever can write it can run anything in
//! this process. So the folder is the host's own, and every file carries a
//! digest of its content, which finds damage. The digest is no defence against
//! somebody who can write the folder; the folder's owner and mode are.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

use crate::digest::{Digest, hex};
use crate::error::HostError;

/// Tells files of this format apart from anything else.
const MAGIC: &[u8; 16] = b"oda-plugin-aot-1";

/// The folder.
#[derive(Debug)]
pub(crate) struct DiskCache {
    folder: PathBuf,
    /// What must be equal for compiled code to run: the compiler's version and
    /// settings, and this machine's processor.
    compatibility: String,
    counter: AtomicU64,
}

impl DiskCache {
    /// Takes a folder, made if need be.
    pub(crate) fn open(folder: &Path, engine: &Engine) -> Result<Self, HostError> {
        prepare(folder).map_err(|reason| HostError::Cache {
            path: folder.display().to_string(),
            reason,
        })?;
        let mut hasher = ShaHasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let hash: [u8; 32] = hasher.0.finalize().into();
        let compatibility = hex(&hash[..8]);
        Ok(Self {
            folder: folder.to_owned(),
            compatibility,
            counter: AtomicU64::new(0),
        })
    }

    /// The compiled code of a plugin, if it is there and whole.
    pub(crate) fn load(&self, digest: &Digest) -> Option<Vec<u8>> {
        let path = self.path(digest);
        match read(&path) {
            Ok(code) => Some(code),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a compiled plugin on disk is not used");
                None
            }
        }
    }

    /// Keeps the compiled code of a plugin. Failing costs the next start a
    /// compilation and nothing else.
    pub(crate) fn store(&self, digest: &Digest, code: &[u8]) {
        let path = self.path(digest);
        let serial = self.counter.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!(".{}-{serial}.tmp", process::id()));
        let result = write(&temporary, code).and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = result {
            tracing::warn!(path = %path.display(), %error, "a compiled plugin cannot be kept on disk");
            // It may not even exist.
            let _ = fs::remove_file(&temporary);
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder
            .join(format!("{}-{}.cwasm", digest.hex(), self.compatibility))
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
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(format!(
            "it belongs to user {}, and what is in it would be run as user {}",
            metadata.uid(),
            rustix::process::geteuid().as_raw()
        ));
    }
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(|error| {
            format!("others can write or read it, and its mode cannot be changed: {error}")
        })?;
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let damaged = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason.to_owned());
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        return Err(damaged("others can write it"));
    }
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    let rest = content
        .strip_prefix(MAGIC.as_slice())
        .ok_or_else(|| damaged("it has another format"))?;
    let (digest, code) = rest
        .split_at_checked(32)
        .ok_or_else(|| damaged("it is cut off"))?;
    if Digest::of(code).as_bytes().as_slice() != digest {
        return Err(damaged("its content is damaged"));
    }
    Ok(code.to_vec())
}

fn write(path: &Path, code: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(MAGIC)?;
    file.write_all(Digest::of(code).as_bytes())?;
    file.write_all(code)
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

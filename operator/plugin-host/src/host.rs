//! Loading.

use std::fs::{self, File};
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use operator_core::descriptor::Descriptor;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::bindings::{Plugin as Exports, PluginPre};
use crate::builtin::builtin_plugins;
use crate::cache::DiskCache;
use crate::call::{self, LogData, State};
use crate::config::{HostConfig, Limits};
use crate::digest::Digest;
use crate::error::{HostError, LoadError};
use crate::plugin::{Inner, Plugin, PluginSource};
use crate::slots::Slots;
use crate::{descriptor, engine, inspect};

/// Loads plugins. Copies are cheap and share everything.
#[derive(Clone)]
pub struct PluginHost {
    shared: Arc<Shared>,
}

/// What the copies of a host and its plugins share.
pub(crate) struct Shared {
    engine: Engine,
    linker: Linker<State>,
    cache: Option<DiskCache>,
    pub(crate) limits: Limits,
    pub(crate) slots: Slots,
    max_concurrency: usize,
    pub(crate) metered: bool,
    compiled: AtomicU64,
    cached: AtomicU64,
}

/// What a host has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Plugins that were compiled.
    pub compiled: u64,
    /// Plugins whose compiled code was on disk.
    pub loaded_from_cache: u64,
    /// Calls that run now.
    pub calls_in_flight: usize,
}

impl std::fmt::Debug for PluginHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginHost")
            .field("limits", &self.shared.limits)
            .finish_non_exhaustive()
    }
}

impl PluginHost {
    /// Starts a host.
    pub fn new(config: HostConfig) -> Result<Self, HostError> {
        let engine = engine::start(&config)?;
        let mut linker = Linker::new(&engine);
        Exports::add_to_linker::<_, LogData>(&mut linker, |state: &mut State| &mut state.log)
            .map_err(|error| HostError::Engine(format!("{error:#}")))?;
        let cache = config
            .cache_dir
            .as_deref()
            .map(|folder| DiskCache::open(folder, &engine))
            .transpose()?;
        let max_concurrency = config.max_concurrency.max(2);
        Ok(Self {
            shared: Arc::new(Shared {
                engine,
                linker,
                cache,
                limits: config.limits,
                slots: Slots::new(max_concurrency),
                max_concurrency,
                metered: config.metered,
                compiled: AtomicU64::new(0),
                cached: AtomicU64::new(0),
            }),
        })
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            compiled: self.shared.compiled.load(Ordering::Relaxed),
            loaded_from_cache: self.shared.cached.load(Ordering::Relaxed),
            calls_in_flight: self.shared.slots.taken(),
        }
    }

    /// Loads a plugin: a component, or a core module that carries the
    /// interface's metadata. Takes as long as compiling it does; nothing else
    /// waits for that.
    pub fn load(&self, bytes: &[u8], source: PluginSource) -> Result<Plugin, LoadError> {
        let shared = &self.shared;
        if bytes.len() > shared.limits.module_bytes {
            return Err(LoadError::TooLarge {
                bytes: bytes.len() as u64,
                limit: shared.limits.module_bytes,
            });
        }
        let digest = Digest::of(bytes);
        // The parsers and the compiler are not part of what is promised to
        // withstand hostile input; their panics are this plugin's problem.
        let prepared = catch_unwind(AssertUnwindSafe(|| self.prepare(bytes, &digest)))
            .unwrap_or_else(|_| {
                Err(LoadError::Compile(
                    "the compiler panicked; the log says more".to_owned(),
                ))
            })?;
        let descriptor = self.describe(&prepared, &source)?;
        Ok(Plugin {
            timeout: shared.limits.timeout,
            inner: Arc::new(Inner {
                name: Arc::from(descriptor.name.as_str()),
                shared: Arc::clone(shared),
                prepared,
                descriptor,
                digest,
                source,
                slots: Slots::new((shared.max_concurrency / 2).max(1)),
            }),
        })
    }

    /// Loads the plugins that come with the operator.
    #[must_use]
    pub fn load_builtin(&self) -> Vec<(&'static str, Result<Plugin, LoadError>)> {
        builtin_plugins()
            .iter()
            .map(|(name, bytes)| {
                (
                    *name,
                    self.load(bytes, PluginSource::BuiltIn((*name).to_owned())),
                )
            })
            .collect()
    }

    /// Loads every `*.wasm` in a folder, in the order of their names. One that
    /// cannot be loaded is an entry like the others.
    #[must_use]
    pub fn load_dir(&self, folder: &Path) -> Vec<(PathBuf, Result<Plugin, LoadError>)> {
        let files = fs::read_dir(folder).and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<Vec<_>, _>>()
        });
        let mut files = match files {
            Ok(files) => files,
            Err(error) => {
                return vec![(folder.to_owned(), Err(LoadError::Io(error.to_string())))];
            }
        };
        files.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "wasm")
        });
        files.sort();
        files
            .into_iter()
            .map(|path| {
                let plugin = self.load_file(&path);
                (path, plugin)
            })
            .collect()
    }

    /// Loads a file.
    pub fn load_file(&self, path: &Path) -> Result<Plugin, LoadError> {
        let limit = self.shared.limits.module_bytes;
        let io = |error: std::io::Error| LoadError::Io(error.to_string());
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        // A pipe or a device would be read for ever.
        if !metadata.is_file() {
            return Err(LoadError::Io("it is not a file".to_owned()));
        }
        if metadata.len() > limit as u64 {
            return Err(LoadError::TooLarge {
                bytes: metadata.len(),
                limit,
            });
        }
        // One more than allowed: a file that grows meanwhile is found out.
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(io)?;
        self.load(&bytes, PluginSource::File(path.to_owned()))
    }

    fn prepare(&self, bytes: &[u8], digest: &Digest) -> Result<PluginPre<State>, LoadError> {
        let component_bytes = inspect::component_of(bytes)?;
        let component = self.component(&component_bytes, digest)?;
        self.shared
            .linker
            .instantiate_pre(&component)
            .and_then(PluginPre::new)
            .map_err(|error| LoadError::Interface(format!("{error:#}")))
    }

    /// Compiled code, from the disk or the compiler.
    fn component(&self, bytes: &[u8], digest: &Digest) -> Result<Component, LoadError> {
        let shared = &self.shared;
        if let Some(cache) = &shared.cache
            && let Some(code) = cache.load(digest)
        {
            match deserialize(&shared.engine, &code) {
                Ok(component) => {
                    shared.cached.fetch_add(1, Ordering::Relaxed);
                    return Ok(component);
                }
                Err(error) => {
                    tracing::warn!(%digest, error = format!("{error:#}"), "a compiled plugin on disk is not used");
                }
            }
        }
        let component = Component::from_binary(&shared.engine, bytes)
            .map_err(|error| LoadError::Compile(format!("{error:#}")))?;
        shared.compiled.fetch_add(1, Ordering::Relaxed);
        if let Some(cache) = &shared.cache {
            match component.serialize() {
                Ok(code) => cache.store(digest, &code),
                Err(error) => {
                    tracing::warn!(%digest, error = format!("{error:#}"), "a compiled plugin cannot be kept on disk");
                }
            }
        }
        Ok(component)
    }

    fn describe(
        &self,
        prepared: &PluginPre<State>,
        source: &PluginSource,
    ) -> Result<Descriptor, LoadError> {
        let limits = &self.shared.limits;
        let name: Arc<str> = Arc::from(source.to_string());
        let _slot = self.shared.slots.acquire();
        let (json, _) = call::run(
            prepared,
            &name,
            limits,
            limits.timeout,
            self.shared.metered,
            |exports, store| exports.oda_policy_generator().call_describe(store),
        );
        let json = json.map_err(LoadError::Describe)?;
        descriptor::parse(&json)
    }
}

/// Turns compiled code from the disk into a component.
#[allow(
    unsafe_code,
    reason = "wasmtime cannot know that the bytes are its own compiler's. The \
              cache does: the folder belongs to this user and nobody else can \
              write it, the file's name holds the hash of engine and settings, \
              and its digest was checked."
)]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` was written by `DiskCache::store` in this user's private
    // folder from `Component::serialize`, and has not changed since.
    unsafe { Component::deserialize(engine, code) }
}

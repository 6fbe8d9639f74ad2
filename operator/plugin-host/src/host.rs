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
use crate::cache::DiskCache;
use crate::call::{self, LogData, State};
use crate::compiler::{self, CompilerCommand};
use crate::config::{HostConfig, Limits};
use crate::digest::Digest;
use crate::error::{HostError, LoadError};
use crate::limits::CallLimits;
use crate::plugin::{Inner, Plugin, PluginSource};
use crate::slots::Slots;
use crate::{builtin, descriptor, engine, inspect};

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
    compiler: Option<CompilerCommand>,
    /// One plugin is compiled at a time; the others wait.
    compiling: Slots,
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
    /// Whether a plugin is being compiled now.
    pub compiling: bool,
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
            .map(|folder| DiskCache::open(folder, config.cache_bytes, &engine))
            .transpose()?;
        let max_concurrency = config.max_concurrency.max(2);
        Ok(Self {
            shared: Arc::new(Shared {
                engine,
                linker,
                cache,
                compiler: config.compiler,
                compiling: Slots::new(1),
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
            compiling: self.shared.compiling.taken() > 0,
            calls_in_flight: self.shared.slots.taken(),
        }
    }

    /// Loads a plugin: a component, or a core module that carries the
    /// interface's metadata. Takes as long as compiling it does, and what is
    /// compiled before it; no call waits for that.
    pub fn load(&self, bytes: &[u8], source: PluginSource) -> Result<Plugin, LoadError> {
        let shared = &self.shared;
        if bytes.len() > shared.limits.module_bytes {
            return Err(LoadError::TooLarge {
                bytes: bytes.len() as u64,
                limit: shared.limits.module_bytes,
            });
        }
        self.load_known(bytes, Digest::of(bytes), source)
    }

    /// As [`Self::load`], of a file whose digest is known.
    fn load_known(
        &self,
        bytes: &[u8],
        digest: Digest,
        source: PluginSource,
    ) -> Result<Plugin, LoadError> {
        let shared = &self.shared;
        let prepared = self.prepare(bytes, &digest)?;
        let descriptor = self.descriptor(&prepared, &source, &digest)?;
        let component = prepared.instance_pre().component();
        let interface = component
            .component_type()
            .exports(&shared.engine)
            .find_map(|(name, _)| inspect::supported_version(name));
        Ok(Plugin {
            limits: CallLimits::of_host(&shared.limits),
            capabilities: Arc::default(),
            inner: Arc::new(Inner {
                name: Arc::from(descriptor.name.as_str()),
                shared: Arc::clone(shared),
                prepared,
                descriptor,
                interface,
                digest,
                source,
                slots: Slots::new((shared.max_concurrency / 2).max(1)),
            }),
        })
    }

    /// Loads the plugins that come with the operator.
    #[must_use]
    pub fn load_builtin(&self) -> Vec<(&'static str, Result<Plugin, LoadError>)> {
        self.each_builtin().collect()
    }

    /// The same, each when it is asked for.
    pub fn each_builtin(
        &self,
    ) -> impl Iterator<Item = (&'static str, Result<Plugin, LoadError>)> + '_ {
        builtin::with_digests().map(|(name, bytes, digest)| {
            let source = PluginSource::BuiltIn(name.to_owned());
            (name, self.load_known(bytes, digest, source))
        })
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
        let component = self
            .kept(digest)
            .map_or_else(|| self.compile_in_turn(bytes, digest), Ok)?;
        self.shared
            .linker
            .instantiate_pre(&component)
            .and_then(PluginPre::new)
            .map_err(|error| LoadError::Interface(inspect::sentence(&format!("{error:#}"))))
    }

    /// Compiles when nobody else does.
    fn compile_in_turn(&self, bytes: &[u8], digest: &Digest) -> Result<Component, LoadError> {
        let _turn = self.shared.compiling.acquire();
        // Somebody else may have compiled the same file meanwhile.
        self.kept(digest)
            .map_or_else(|| self.compile(bytes, digest), Ok)
    }

    /// Compiled code from the disk.
    fn kept(&self, digest: &Digest) -> Option<Component> {
        let component = self.mapped(digest)?;
        self.shared.cached.fetch_add(1, Ordering::Relaxed);
        Some(component)
    }

    /// Compiled code that stays where it is, on the disk.
    fn mapped(&self, digest: &Digest) -> Option<Component> {
        let shared = &self.shared;
        let file = shared.cache.as_ref()?.code(digest)?;
        match deserialize_file(&shared.engine, &file) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(%digest, error = format!("{error:#}"), "a compiled plugin on disk is not used");
                None
            }
        }
    }

    /// Has a file checked and compiled, and keeps the code.
    fn compile(&self, bytes: &[u8], digest: &Digest) -> Result<Component, LoadError> {
        let shared = &self.shared;
        let Some(compiler) = &shared.compiler else {
            return self.compile_here(bytes, digest);
        };
        let code = compiler.compile(bytes, &shared.limits, shared.metered)?;
        let component =
            deserialize(&shared.engine, &code).map_err(|error| LoadError::Compiler {
                reason: format!(
                    "its code does not fit this process, which it should be a copy of: {error:#}"
                ),
            })?;
        shared.compiled.fetch_add(1, Ordering::Relaxed);
        Ok(self.keep(digest, &code).unwrap_or(component))
    }

    /// Keeps compiled code on the disk and answers it as it is used from
    /// there, where that works: it takes less memory.
    fn keep(&self, digest: &Digest, code: &[u8]) -> Option<Component> {
        self.shared.cache.as_ref()?.keep_code(digest, code);
        self.mapped(digest)
    }

    /// As [`Self::compile`], in this process. The parsers and the compiler are
    /// not part of what is promised to withstand hostile input; their panics
    /// are this plugin's problem.
    fn compile_here(&self, bytes: &[u8], digest: &Digest) -> Result<Component, LoadError> {
        let shared = &self.shared;
        let compile = || {
            let component = inspect::component_of(bytes)?;
            Component::from_binary(&shared.engine, &component)
                .map_err(|error| LoadError::Compile(inspect::sentence(&format!("{error:#}"))))
        };
        let component = catch_unwind(AssertUnwindSafe(compile))
            .unwrap_or_else(|panic| Err(compiler::panicked(&*panic)))?;
        shared.compiled.fetch_add(1, Ordering::Relaxed);
        if shared.cache.is_none() {
            return Ok(component);
        }
        match component.serialize() {
            Ok(code) => Ok(self.keep(digest, &code).unwrap_or(component)),
            Err(error) => {
                tracing::warn!(%digest, error = format!("{error:#}"), "a compiled plugin cannot be kept on disk");
                Ok(component)
            }
        }
    }

    /// What a plugin says of itself: from the disk, else by asking it. The
    /// answer is a constant.
    fn descriptor(
        &self,
        prepared: &PluginPre<State>,
        source: &PluginSource,
        digest: &Digest,
    ) -> Result<Descriptor, LoadError> {
        let cache = self.shared.cache.as_ref();
        if let Some(descriptor) = cache
            .and_then(|cache| cache.descriptor(digest))
            .and_then(|json| descriptor::parse(&json).ok())
        {
            return Ok(descriptor);
        }
        let limits = &self.shared.limits;
        let name: Arc<str> = Arc::from(source.to_string());
        let _slot = self.shared.slots.acquire();
        let (json, _) = call::run(
            prepared,
            &name,
            limits,
            CallLimits::of_host(limits),
            self.shared.metered,
            |exports, store| exports.oda_policy_generator().call_describe(store),
        );
        let json = json.map_err(LoadError::Describe)?;
        let descriptor = descriptor::parse(&json)?;
        if let Some(cache) = cache {
            cache.keep_descriptor(digest, &json);
        }
        Ok(descriptor)
    }
}

/// Turns compiled code into a component.
#[allow(
    unsafe_code,
    reason = "wasmtime cannot know that the bytes are its own compiler's. The \
              caller does: they come from the pipe of a compiler that this \
              process started."
)]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` is what `Engine::precompile_component` made: a child
    // process that runs `compile_plugin` has just written it to a pipe that
    // nobody else has an end of.
    unsafe { Component::deserialize(engine, code) }
}

/// Turns a file that begins with compiled code into a component, which runs it
/// from there.
#[allow(
    unsafe_code,
    reason = "wasmtime cannot know that the file is its own compiler's and stays \
              as it is. The caller does: it lies in the cache, whose folder \
              belongs to this user and nobody else can write."
)]
fn deserialize_file(engine: &Engine, file: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file begins with what `Component::serialize` or
    // `Engine::precompile_component` made: it was written by `DiskCache` in
    // this user's private folder and has not changed since, which its seal has
    // just shown. Nor will it: `DiskCache` writes a file under another name and
    // moves it there, so what is mapped lives on as it is, also when it is
    // replaced or removed.
    unsafe { Component::deserialize_file(engine, file) }
}

//! `plugin run --serve`: the policy in front of a backend, and again whenever
//! something that it is made of changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use operator_core::desired::Desired;
use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use url::Url;

use super::run::{RunArgs, desired};
use crate::local_azure::{LocalAzure, Publisher};
use crate::render::Setting;
use crate::{Done, sentence};

/// Between two looks at the files.
const LOOK: Duration = Duration::from_millis(300);
/// Folders in which nothing is written by hand.
const MADE: [&str; 5] = ["target", "node_modules", "dist", "__pycache__", ".git"];
/// A folder has more files than that only by mistake.
const MOST_FILES: usize = 5_000;

/// Asked to end. It listens from the moment it is made: until then a signal
/// would end the process at once, with all that it leaves behind.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("Ctrl-C cannot be heard")?,
            terminate: signal(SignalKind::terminate()).context("SIGTERM cannot be heard")?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Serves until Ctrl-C.
pub(crate) fn serve(args: &RunArgs) -> anyhow::Result<Done> {
    if args.file == Path::new("-") {
        bail!(
            "--serve reads the ExposedAPI again when it changes: name a file in the place of `-`"
        );
    }
    // What was compiled once is not compiled again at every change.
    let kept = TempDir::new().context("a folder for compiled plugins")?;
    let mut args = args.clone();
    args.cache_goes = args.cache_dir.is_none();
    args.cache_dir
        .get_or_insert_with(|| kept.path().join("compiled"));
    let args = Arc::new(args);
    crate::cluster::block_on(async {
        let mut stop = Stop::listen()?;
        tokio::select! {
            () = stop.asked() => Ok(Done::Fine),
            ended = until_it_fails(args) => ended,
        }
    })
}

/// Serves, and ends only where nothing can ever be served.
async fn until_it_fails(args: Arc<RunArgs>) -> anyhow::Result<Done> {
    let starting = Arc::clone(&args);
    let azure = spawn_blocking(move || LocalAzure::start(starting.listen, &starting.certificates))
        .await??;
    let backend = match (&args.backend_url, &azure.endpoints.echo) {
        (Some(url), _) => url.clone(),
        (None, Some(echo)) => Url::parse(echo).with_context(|| echo.clone())?,
        (None, None) => {
            bail!("the local Azure has no echo: name a backend with --backend-url")
        }
    };
    let setting = Setting::local(
        args.instance.as_deref(),
        &backend,
        &azure,
        [
            ("certificate", &args.certificates[..]),
            ("namedValue", &args.named_values[..]),
        ],
    )?;
    let setting = Arc::new(setting);
    let mut publisher = azure
        .publisher(setting.instance(), &args.named_values)
        .await?;
    let mut served = false;
    loop {
        let before = fingerprint(&args);
        match once(&args, &setting, &mut publisher).await {
            Ok(Some((desired, writes))) => {
                if served {
                    let plural = if writes == 1 { "" } else { "s" };
                    eprintln!("served again after {writes} write{plural}");
                } else {
                    introduce(&desired, &azure, &backend);
                    served = true;
                }
            }
            failed => {
                // What else is wrong was said.
                if let Err(error) = failed {
                    let said = sentence(&error);
                    eprintln!("{said}");
                    if said.contains("Cannot find a property") {
                        eprintln!(
                            "give the local Azure that named value with --named-value NAME=FILE"
                        );
                    }
                }
                if served {
                    eprintln!("what was served before still is");
                }
            }
        }
        if !served {
            eprintln!(
                "nothing is served yet; waiting for a change of the files (to name other plugins, start again)"
            );
        }
        changed(&args, &before).await;
    }
}

/// Makes the policy and publishes it; nothing where the input has problems,
/// which were told.
async fn once(
    args: &Arc<RunArgs>,
    setting: &Arc<Setting>,
    publisher: &mut Publisher,
) -> anyhow::Result<Option<(Desired, u32)>> {
    let (args, setting) = (Arc::clone(args), Arc::clone(setting));
    let made = spawn_blocking(move || desired(&args, &setting)).await??;
    let Some(made) = made else {
        return Ok(None);
    };
    let writes = publisher.publish(&made).await?;
    Ok(Some((made, writes)))
}

fn introduce(desired: &Desired, azure: &LocalAzure, backend: &Url) {
    let at = &azure.endpoints;
    let gateway = at.gateway.as_deref().unwrap_or_default();
    let path = desired.api.as_ref().map(|api| api.settings.path.as_str());
    let ca = azure.ca_file();
    let key = at.gateway_key.as_deref();
    let needs_key = (desired.api.as_ref()).is_some_and(|api| api.settings.subscription_required);
    let url = format!(
        "{}/{}",
        gateway.trim_end_matches('/'),
        path.unwrap_or_default()
    );
    println!("{} is served at {url}, in front of {backend}", desired.key);
    if let Some(api) = &desired.api {
        let call = super::curl::arguments(api, gateway, key);
        println!("  curl --cacert {} {call}", ca.display());
    }
    if let Ok(callers) = azure.callers() {
        println!(
            "a token for it:\n  curl -s --cacert {} {}/{}/oauth2/v2.0/token -d grant_type=client_credentials \\\n    \
             -d client_id={} -d client_secret={} -d scope={}/.default",
            ca.display(),
            at.authority.trim_end_matches('/'),
            callers.tenant_id,
            callers.client_id,
            callers.client_secret.as_deref().unwrap_or_default(),
            callers.client_id,
        );
    }
    if let (true, Some(key)) = (needs_key, key) {
        println!("a subscription key that opens it: {key}");
    }
    println!("what each policy does to a request:\n  {}", at.page);
    println!("Ctrl-C ends it; it follows changes of the files until then.");
}

/// Waits until a file is another one than before.
async fn changed(args: &RunArgs, before: &Seen) {
    loop {
        tokio::time::sleep(LOOK).await;
        if fingerprint(args) != *before {
            return;
        }
    }
}

type Seen = BTreeMap<PathBuf, (SystemTime, u64)>;

/// All files that the policy is made of.
fn fingerprint(args: &RunArgs) -> Seen {
    let mut seen = Seen::new();
    note(&args.file, &mut seen);
    if let Some(instance) = &args.instance {
        note(instance, &mut seen);
    }
    for plugin in &args.plugins {
        let path = Path::new(plugin);
        if path.is_dir() {
            walk(path, &mut seen);
        } else {
            note(path, &mut seen);
        }
    }
    seen
}

fn note(path: &Path, seen: &mut Seen) {
    if let Ok(found) = fs::metadata(path)
        && let Ok(modified) = found.modified()
    {
        seen.insert(path.to_owned(), (modified, found.len()));
    }
}

/// The sources in a plugin's folder: the plugin that is made of them is no
/// reason to make it again.
fn walk(dir: &Path, seen: &mut Seen) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if seen.len() >= MOST_FILES || name.starts_with('.') || MADE.contains(&&*name) {
            continue;
        }
        if path.is_dir() {
            walk(&path, seen);
        } else if path.extension().is_none_or(|ending| ending != "wasm") && name != "Cargo.lock" {
            note(&path, seen);
        }
    }
}

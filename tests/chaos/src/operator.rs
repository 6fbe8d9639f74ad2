//! The operator as a process would be: with a runtime of its own, which can be
//! killed at any point.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::{Client, Config};
use operator_apim::{BucketSize, CloudSettings, Limits};
use operator_controller::leader::Election;
use operator_controller::run::{Settings, run};
use operator_core::leader::Timings;
use operator_core::pace::Pace;
use operator_core::shard::Shard;
use tokio::runtime::{Builder, Runtime};

use crate::kube_tap::KubeTap;
use crate::logs::Log;

/// By how much pauses and periods are divided: the half hour that a stalled
/// object waits is less than a second.
const PACE: u32 = 2000;
/// Between two sweeps, before it is divided: a fifth of a second.
const DRIFT_INTERVAL: Duration = Duration::from_secs(400);
/// What a kubelet waits before it starts a container again that ended.
const RESTART: Duration = Duration::from_millis(20);

/// Where an operator runs.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) config: Config,
    pub(crate) tap: Arc<KubeTap>,
    pub(crate) log: Log,
    pub(crate) namespace: String,
    pub(crate) cache_dir: PathBuf,
    pub(crate) elected: bool,
    /// It looks for what others changed.
    pub(crate) sweeps: bool,
}

/// A running operator.
pub(crate) struct Operator {
    runtime: Option<Runtime>,
    dead: Arc<AtomicBool>,
    log: Log,
    name: String,
}

impl Operator {
    /// Starts one.
    pub(crate) fn start(place: &Place, name: &str) -> Result<Self> {
        let log = place.log.clone();
        let thread_log = log.clone();
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .thread_name(format!("operator-{name}"))
            .on_thread_start(move || thread_log.adopt_thread())
            .build()
            .context("a runtime for the operator")?;
        let dead = Arc::new(AtomicBool::new(false));
        log.say(&format!("{name} starts"));
        let (place, said, alive) = (place.clone(), log.clone(), Arc::clone(&dead));
        let named = name.to_owned();
        runtime.spawn(async move {
            loop {
                let ended = match Client::try_from(place.config.clone()) {
                    Ok(client) => {
                        let client = place.tap.client(client, Arc::clone(&alive));
                        let ended = run(client, settings(&place, &named), std::future::pending());
                        ended.await.err().map(|error| error.to_string())
                    }
                    Err(error) => Some(error.to_string()),
                };
                said.say(&format!("{named} ended: {ended:?}"));
                tokio::time::sleep(RESTART).await;
            }
        });
        Ok(Self {
            runtime: Some(runtime),
            dead,
            log,
            name: name.to_owned(),
        })
    }

    /// Kills it: every task ends at its next await, and nothing that it was
    /// about to send or hear passes any more.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.dead.store(true, Ordering::SeqCst);
        if let Some(runtime) = self.runtime.take() {
            self.log.say(&format!("{} is killed", self.name));
            runtime.shutdown_background();
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.end();
    }
}

/// How it stands for election: as replicas do, with times that a test can wait
/// for.
fn election(place: &Place, name: &str) -> Option<Election> {
    let times = [1_000, 700, 120].map(Duration::from_millis);
    let timings = Timings::new(times[0], times[1], times[2]).ok()?;
    place.elected.then(|| Election {
        namespace: place.namespace.clone(),
        lease: "apim-operator".to_owned(),
        name: name.to_owned(),
        timings,
    })
}

fn settings(place: &Place, name: &str) -> Settings {
    let plenty = BucketSize {
        per_second: 1000.0,
        burst: 1000.0,
    };
    Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        namespace: place.namespace.clone(),
        name: name.to_owned(),
        concurrency: 8,
        key_vault: None,
        cloud: CloudSettings::default(),
        limits: Limits {
            writes: plenty,
            reads: plenty,
        },
        plugin_dir: None,
        cache_dir: Some(place.cache_dir.clone()),
        compiler: None,
        own_credentials: false,
        election: election(place, name),
        drift_interval: if place.sweeps {
            DRIFT_INTERVAL
        } else {
            Duration::ZERO
        },
        shard: Shard::MAIN,
        pace: NonZeroU32::new(PACE).map_or(Pace::REAL, Pace::times),
    }
}

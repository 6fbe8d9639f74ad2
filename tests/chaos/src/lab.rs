//! What all seeds share: one real API server and etcd, the stand-in for load
//! balancer and kubelet, the cache of compiled plugins.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};
use apim_simulator::{Simulator, SimulatorConfig};
use kube::{Client, Config};
use operator_plugin_host::{HostConfig, PluginHost};
use tempfile::TempDir;
use test_harness::ControlPlane;
use test_harness::stand_in::{Options, StandIn};
use tokio::sync::{Mutex, OnceCell, RwLock};

use crate::logs;

/// The built-in plugins are in the cache. Compiling them can take longer than
/// a schedule has patience, and an operator that is killed meanwhile begins
/// anew.
static COMPILED: OnceCell<()> = OnceCell::const_new();

/// Everything that seeds share.
pub struct Lab {
    /// A client that may do everything, for the driver.
    pub(crate) client: Client,
    pub(crate) config: Config,
    /// Held for reading by every seed, for writing by one that restarts the
    /// API server.
    pub(crate) turn: RwLock<()>,
    plane: Mutex<ControlPlane>,
    numbers: AtomicU32,
    dir: TempDir,
    cache_dir: PathBuf,
    _stand_in: StandIn,
}

impl Lab {
    /// Starts it; nothing where Kubernetes' programs are missing.
    pub async fn start() -> Result<Option<Self>> {
        if test_harness::kube_tools().is_none() {
            return Ok(None);
        }
        logs::install();
        let plane = ControlPlane::start().await?;
        let client = plane.admin()?;
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
        for file in ["crds-exposedapi/exposedapi.yaml", "crds/apim-operator.yaml"] {
            let path = deploy.join(file);
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
            test_harness::apply_yaml(&client, &text).await?;
        }
        let stand_in = StandIn::start(client.clone(), Options::default()).await;
        let dir = TempDir::with_prefix("chaos-")?;
        // Every local Azure has the same authority: its keys are made once.
        let azure = dir.path().join("azure");
        drop(
            Simulator::start(SimulatorConfig {
                data_dir: Some(azure.clone()),
                ..SimulatorConfig::default()
            })
            .await?,
        );
        std::fs::copy(azure.join("ca.pem"), dir.path().join("ca.pem"))?;
        let cache_dir =
            test_harness::built_program("apim-operator")?.with_file_name("e2e-plugin-cache");
        std::fs::create_dir_all(&cache_dir)?;
        COMPILED
            .get_or_try_init(async || compile_plugins(cache_dir.clone()).await)
            .await?;
        let mut config = plane.admin_config()?;
        // As the operator has it: what fails is seen, not tried again below it.
        config.default_retry = false;
        Ok(Some(Self {
            config,
            client,
            turn: RwLock::new(()),
            plane: Mutex::new(plane),
            numbers: AtomicU32::new(0),
            dir,
            cache_dir,
            _stand_in: stand_in,
        }))
    }

    /// A namespace that nobody has had.
    pub(crate) fn namespace(&self, seed: u64) -> String {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        format!("c{seed}-{number}")
    }

    pub(crate) fn azure_dir(&self) -> PathBuf {
        self.dir.path().join("azure")
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub(crate) fn cache_dir(&self) -> PathBuf {
        self.cache_dir.clone()
    }

    /// Kills kube-apiserver and starts it again.
    pub(crate) async fn restart_apiserver(&self) -> Result<()> {
        self.plane.lock().await.restart_apiserver().await?;
        Ok(())
    }
}

async fn compile_plugins(cache_dir: PathBuf) -> Result<()> {
    let host = PluginHost::new(HostConfig {
        cache_dir: Some(cache_dir),
        ..HostConfig::default()
    })?;
    let loaded = tokio::task::spawn_blocking(move || host.load_builtin()).await?;
    for (name, plugin) in loaded {
        ensure!(plugin.is_ok(), "{name}: {:?}", plugin.err());
    }
    Ok(())
}

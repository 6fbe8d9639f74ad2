//! A simulator inside the process that wants one, as tests do.

use crate::arm::{ArmState, dump};
use crate::clock::Clock;
use crate::config::{ConfigError, LroSettings, SimulatorConfig, Transport};
use crate::data_plane::{DataPlane, MASTER_KEYS};
use crate::endpoints::Endpoints;
use crate::faults::{FaultSpec, Faults};
use crate::fetch;
use crate::journal::{Journal, JournalEntry, JournalQuery};
use crate::keys::{KeyError, SigningKey};
use crate::moments::Moment;
use crate::secrets::Secrets;
use crate::server::MakeServer;
use crate::tls::{self, TlsError};
use crate::token;
use crate::world::World;
use apim_gateway::EchoBackend;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

const SIGNING_KEY_FILE: &str = "signing-key.pem";
const ENDPOINTS_FILE: &str = "endpoints.json";

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The seed contradicts itself.
    #[error("seed: {0}")]
    Config(#[from] ConfigError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is no certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no key to sign tokens with.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The echo does not start.
    #[error("the backend that answers with what it was sent does not start: {0}")]
    Echo(std::io::Error),
    /// The gateway does not start.
    #[error("the gateway does not start: {0}")]
    Gateway(#[from] apim_gateway::StartError),
    /// The server or its HTTP client cannot be set up.
    #[error("cannot set up: {0}")]
    SetUp(String),
}

/// A running simulator; it stops when this is dropped.
pub struct Simulator {
    /// `https://localhost:<port>`: ARM, the authority of Entra ID, and the rest.
    pub base_url: String,
    /// The certificate that clients must trust; empty over plain HTTP.
    pub ca_pem: String,
    /// URLs and ids.
    pub endpoints: Endpoints,
    world: Arc<World>,
    handle: Handle<SocketAddr>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    _echo: Option<EchoBackend>,
}

impl Simulator {
    /// Starts a simulator on the current Tokio runtime; once this returns, it
    /// accepts connections.
    pub async fn start(mut config: SimulatorConfig) -> Result<Self, StartError> {
        config.seed.check()?;
        // Whoever runs a server here needs a provider; one that is there stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wanted = SocketAddr::new(config.address, config.port);
        let listen = |source| StartError::Listen {
            address: wanted,
            source,
        };
        let listener = TcpListener::bind(wanted).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let data_dir = config.data_dir.clone();
        let data_dir = data_dir.as_deref();

        let certificates = match config.transport {
            Transport::Http => None,
            Transport::Https => {
                let vaults: Vec<&str> = config
                    .seed
                    .key_vaults
                    .iter()
                    .map(|vault| vault.name.as_str())
                    .collect();
                let hosts = gateway_hosts(&config.seed);
                Some(tls::certificates(data_dir, &vaults, &hosts, address.ip())?)
            }
        };
        let ca_pem = certificates
            .as_ref()
            .map(|certificates| certificates.authority.clone());
        let mut endpoints = Endpoints::new(&config.seed, config.transport, address, data_dir);
        let clock = Arc::new(Clock::default());
        let data_plane =
            data_plane(&mut config, certificates.as_ref(), &clock, &mut endpoints).await?;
        let echo = match config.echo {
            Some(listen) => Some(EchoBackend::start(listen).await.map_err(StartError::Echo)?),
            None => None,
        };
        endpoints.echo = echo.as_ref().map(EchoBackend::url);
        let mut arm = ArmState::new(&config.seed, config.lro, config.throttle, clock.now());
        arm.executes = data_plane.is_some();
        let world = Arc::new(World {
            transport: config.transport,
            port: address.port(),
            endpoints: endpoints.clone(),
            clock,
            key: SigningKey::load(data_dir, SIGNING_KEY_FILE)?,
            arm: Mutex::new(arm),
            vaults: Mutex::new(config.seed.key_vaults.clone()),
            secrets: Mutex::new(Secrets::of(&config.seed)),
            seed: config.seed,
            blobs: Mutex::new(HashMap::new()),
            journal: Journal::default(),
            faults: Faults::default(),
            data_plane,
            client: fetch::client(ca_pem.as_deref())
                .map_err(|error| StartError::SetUp(error.to_string()))?,
        });

        world.publish(&world.arm.lock());
        let handle = Handle::new();
        let make = MakeServer(Arc::clone(&world));
        let set_up = |error: std::io::Error| StartError::SetUp(error.to_string());
        let server = if let Some(certificates) = certificates {
            let tls = RustlsConfig::from_pem(
                certificates.server.into_bytes(),
                certificates.server_key.into_bytes(),
            )
            .await
            .map_err(set_up)?;
            let server = axum_server::from_tcp_rustls(listener, tls)
                .map_err(set_up)?
                .handle(handle.clone());
            tokio::spawn(server.serve(make))
        } else {
            let server = axum_server::from_tcp(listener)
                .map_err(set_up)?
                .handle(handle.clone());
            tokio::spawn(server.serve(make))
        };
        if handle.listening().await.is_none() {
            return Err(StartError::SetUp("the server did not start".to_owned()));
        }
        if let Some(dir) = data_dir {
            let text = serde_json::to_string_pretty(&endpoints).unwrap_or_default();
            tls::write(&dir.join(ENDPOINTS_FILE), &text, false)?;
        }
        Ok(Self {
            base_url: world.base_url(),
            ca_pem: ca_pem.unwrap_or_default(),
            endpoints,
            world,
            handle,
            server,
            _echo: echo,
        })
    }

    /// The base URL of the gateway, if there is one.
    #[must_use]
    pub fn gateway_url(&self) -> Option<String> {
        let data_plane = self.world.data_plane.as_ref()?;
        Some(data_plane.gateway.url())
    }

    /// The gateway, if there is one: its traces and debug tokens.
    #[must_use]
    pub fn gateway(&self) -> Option<&apim_gateway::Gateway> {
        self.world.data_plane.as_ref().map(|found| &found.gateway)
    }

    /// The port that is listened on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.world.port
    }

    /// Gives the first service another tier or another virtual network, as a
    /// new deployment of it would.
    pub fn change_service(&self, sku: Option<&str>, network: Option<&str>) {
        if let Some(service) = self.world.arm.lock().services.first_mut() {
            if let Some(sku) = sku {
                sku.clone_into(&mut service.sku);
            }
            if let Some(network) = network {
                network.clone_into(&mut service.network);
            }
        }
    }

    /// Gives the first service other public addresses, as a move to another
    /// network would.
    pub fn change_addresses(&self, addresses: &[&str]) {
        if let Some(service) = self.world.arm.lock().services.first_mut() {
            service.addresses = addresses.iter().map(|&one| one.to_owned()).collect();
        }
    }

    /// Gives the first service a logger: `applicationInsights`, `azureMonitor`.
    pub fn add_logger(&self, id: &str, kind: &str) {
        if let Some(service) = self.world.arm.lock().services.first_mut() {
            let mut fields = serde_json::Map::new();
            fields.insert("loggerType".to_owned(), kind.into());
            service.put_logger(id, fields, jiff::Timestamp::now());
        }
    }

    /// Opens the developer portal of the first service.
    pub fn open_portal(&self) {
        if let Some(service) = self.world.arm.lock().services.first_mut() {
            service.portal = true;
        }
    }

    /// Gives the gateway of the first service a custom domain.
    pub fn add_domain(&self, domain: &str) {
        if let Some(service) = self.world.arm.lock().services.first_mut() {
            service.domain = Some(domain.to_owned());
        }
    }

    /// Sets a fault and returns its id; the error says what is wrong with it.
    pub fn fault(&self, spec: FaultSpec) -> Result<u64, String> {
        self.world.faults.add(spec)
    }

    /// Removes all faults; what they hold goes on.
    pub fn clear_faults(&self) {
        self.world.faults.remove(None);
    }

    /// Removes one fault; what it holds goes on.
    pub fn remove_fault(&self, fault: u64) {
        self.world.faults.remove(Some(fault));
    }

    /// The same, for whoever outlives this.
    pub fn fault_remover(&self) -> impl Fn(u64) + Send + Sync + 'static {
        let world = Arc::clone(&self.world);
        move |fault| {
            world.faults.remove(Some(fault));
        }
    }

    /// How many calls each fault has struck so far.
    #[must_use]
    pub fn fault_use(&self) -> std::collections::BTreeMap<u64, u32> {
        self.world.faults.used()
    }

    /// Every state that an API went through, from the given number on.
    #[must_use]
    pub fn moments(&self, since: usize) -> Vec<Moment> {
        self.world.arm.lock().moments.since(since)
    }

    /// Everything that a service stores, as `GET /_control/state` shows it.
    #[must_use]
    pub fn state(&self, service: &str) -> Option<serde_json::Value> {
        let arm = self.world.arm.lock();
        let found = arm
            .services
            .iter()
            .find(|known| known.name.eq_ignore_ascii_case(service))?;
        Some(dump::service(found))
    }

    /// Lets the calls go on that a fault holds; says whether it exists.
    #[must_use]
    pub fn release(&self, fault: u64) -> bool {
        self.world.faults.release(fault)
    }

    /// Waits until at least `min` calls are held; says whether it came to that.
    pub async fn wait_for_held(&self, min: usize, timeout: Duration) -> bool {
        let mut held = self.world.faults.held.subscribe();
        let waiting = held.wait_for(|held| *held >= min);
        matches!(tokio::time::timeout(timeout, waiting).await, Ok(Ok(_)))
    }

    /// The calls that match, in order.
    #[must_use]
    pub fn journal(&self, query: &JournalQuery) -> Vec<JournalEntry> {
        self.world.journal.select(query)
    }

    /// Waits until at least `min` calls match, or the time is over, and
    /// returns what matches then.
    pub async fn wait_for_journal(
        &self,
        query: &JournalQuery,
        min: usize,
        timeout: Duration,
    ) -> Vec<JournalEntry> {
        self.world.journal.wait(query, min, timeout).await.1
    }

    /// The number of the last call; 0 where there was none.
    #[must_use]
    pub fn last_call(&self) -> u64 {
        self.world.journal.last()
    }

    /// The same, for whoever outlives this.
    pub fn call_counter(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let world = Arc::clone(&self.world);
        move || world.journal.last()
    }

    /// Forgets all calls.
    pub fn clear_journal(&self) {
        self.world.journal.clear();
    }

    /// Moves the clock forward.
    pub fn advance_clock(&self, milliseconds: u32) {
        self.world.clock.advance(milliseconds);
    }

    /// Changes how long-running operations behave from now on.
    pub fn set_lro(&self, settings: LroSettings) {
        self.world.arm.lock().lro = settings;
    }

    /// The self-hosted gateway that a token from `generateToken` is of, as long
    /// as it is valid: its key is still there, and its time is not over.
    #[must_use]
    pub fn gateway_of(&self, token: &str) -> Option<String> {
        let now = self.world.clock.now();
        let arm = self.world.arm.lock();
        let mut services = arm.services.iter();
        services.find_map(|service| service.gateway_of(token, now).map(str::to_owned))
    }

    /// A valid token of a seeded application, without a call to Entra ID;
    /// `None` if there is no such application.
    #[must_use]
    pub fn token(&self, client_id: &str, audience: &str) -> Option<String> {
        let tenants = &self.world.seed.tenants;
        let (tenant, application) = tenants
            .iter()
            .flat_map(|tenant| tenant.applications.iter().map(move |app| (tenant, app)))
            .find(|(_, app)| app.client_id.eq_ignore_ascii_case(client_id))?;
        let now = self.world.clock.now();
        let key = &self.world.key;
        token::issue(
            key,
            &tenant.id,
            application,
            audience,
            now,
            token::LIFETIME_S,
        )
        .ok()
    }

    /// Serves until `stop` is ready, then lets running requests end.
    pub async fn serve_until(mut self, stop: impl Future<Output = ()>) -> std::io::Result<()> {
        tokio::select! {
            () = stop => {
                self.handle.graceful_shutdown(Some(Duration::from_secs(2)));
                (&mut self.server).await.map_err(std::io::Error::other)?
            }
            ended = &mut self.server => ended.map_err(std::io::Error::other)?,
        }
    }
}

/// Starts the gateway that is asked for and says where it is.
async fn data_plane(
    config: &mut SimulatorConfig,
    certificates: Option<&tls::Certificates>,
    clock: &Arc<Clock>,
    endpoints: &mut Endpoints,
) -> Result<Option<DataPlane>, StartError> {
    let Some(listen) = config.gateway else {
        return Ok(None);
    };
    let base = &endpoints.resource_manager;
    let started = DataPlane::start(listen, certificates, clock, base, config).await?;
    endpoints.gateway = Some(started.gateway.url());
    endpoints.gateway_key = Some(MASTER_KEYS[0].to_owned());
    let address = started.gateway.address();
    name_gateways(&mut config.seed, config.transport, address);
    Ok(Some(started))
}

/// The hosts of the gateway URLs of a seed.
fn gateway_hosts(seed: &crate::config::Seed) -> Vec<String> {
    seed.services
        .iter()
        .map(|service| match &service.gateway_url {
            Some(url) => url::Url::parse(url)
                .ok()
                .and_then(|url| url.host_str().map(str::to_owned))
                .unwrap_or_default(),
            None => format!("{}.azure-api.net", service.name),
        })
        .filter(|host| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
            !host.is_empty() && host.chars().all(plain)
        })
        .collect()
}

/// Gives the services that have no gateway URL of their own the listener's:
/// `localhost` for the first, a sub-domain of it for the others.
fn name_gateways(seed: &mut crate::config::Seed, transport: Transport, address: SocketAddr) {
    let scheme = match transport {
        Transport::Http => "http",
        Transport::Https => "https",
    };
    for (place, service) in seed.services.iter_mut().enumerate() {
        if service.gateway_url.is_none() {
            let host = match place {
                0 => "localhost".to_owned(),
                _ => format!("{}.localhost", service.name),
            };
            service.gateway_url = Some(format!("{scheme}://{host}:{}", address.port()));
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.handle.shutdown();
        self.server.abort();
    }
}

//! How a simulator is started, and what exists in it from the beginning.

use apim_gateway::{ClientIdentity, IdentityError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The audience that Entra ID expects in a federated token.
const FEDERATED_AUDIENCE: &str = "api://AzureADTokenExchange";

/// Everything that a simulator needs to start.
#[derive(Debug, Clone)]
pub struct SimulatorConfig {
    /// The address to listen on; loopback unless said otherwise.
    pub address: IpAddr,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// HTTPS with an own certificate authority, or plain HTTP.
    pub transport: Transport,
    /// Where `ca.pem`, `endpoints.json` and the keys are kept; `None` writes
    /// no file.
    pub data_dir: Option<PathBuf>,
    /// What exists from the beginning.
    pub seed: Seed,
    /// How long-running operations behave.
    pub lro: LroSettings,
    /// ARM's token buckets; `None` switches throttling off.
    pub throttle: Option<ThrottleLimits>,
    /// Where the services' gateway listens; `None`: there is none. Port 0 takes
    /// a free one. With a gateway, a policy document whose expressions it does
    /// not know is refused, and services whose seed names no gateway URL have
    /// the listener's.
    pub gateway: Option<SocketAddr>,
    /// Where a backend listens that answers with what it was sent; `None`:
    /// there is none. Port 0 takes a free one.
    pub echo: Option<SocketAddr>,
    /// Backends that the gateway finds elsewhere than their host says: what the
    /// address of a load balancer would lead to.
    pub backends: BTreeMap<String, SocketAddr>,
    /// Whether the gateway traces every request, and not only those with a
    /// debug token. What is answered stays the same.
    pub trace_requests: bool,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            transport: Transport::Https,
            data_dir: None,
            seed: Seed::default(),
            lro: LroSettings::default(),
            throttle: Some(ThrottleLimits::default()),
            gateway: None,
            echo: None,
            backends: BTreeMap::new(),
            trace_requests: false,
        }
    }
}

/// How clients connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// TLS with a certificate of the simulator's own authority.
    #[default]
    Https,
    /// No TLS. `azure_identity` refuses an authority that is not HTTPS.
    Http,
}

/// How ARM answers the requests that may take long (imports, named values,
/// fragments, schemas, the deletion of an API).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LroMode {
    /// As recorded for the api-version of the request: `location` for
    /// 2022-08-01, `async-operation` for later ones.
    #[default]
    Auto,
    /// At once, without any polling.
    Sync,
    /// 201/200 with a stub body, `Azure-AsyncOperation` and `Location`.
    AsyncOperation,
    /// 202 with an empty body and `Location`.
    Location,
}

/// Settings of long-running operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct LroSettings {
    /// Which of the shapes is used.
    pub mode: LroMode,
    /// How many looks it takes until an operation has ended. A look is a poll,
    /// a GET of the entity, or a write that was refused because of it.
    pub polls: u32,
    /// An operation ends at the latest after this many milliseconds.
    pub max_duration_ms: u32,
    /// What a write to an API is answered while an import runs: 409 or 412,
    /// both were seen.
    pub busy_status: u16,
    /// API fields that an import resets although the request sent them.
    pub import_resets: Vec<String>,
}

impl Default for LroSettings {
    fn default() -> Self {
        Self {
            mode: LroMode::Auto,
            polls: 1,
            max_duration_ms: 30_000,
            busy_status: 409,
            import_resets: Vec::new(),
        }
    }
}

/// ARM's token buckets per principal, subscription and kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ThrottleLimits {
    /// How many reads may come at once.
    pub reads_burst: u32,
    /// Reads that are added per second.
    pub reads_per_second: u32,
    /// How many writes may come at once.
    pub writes_burst: u32,
    /// Writes that are added per second.
    pub writes_per_second: u32,
    /// How many deletions may come at once.
    pub deletes_burst: u32,
    /// Deletions that are added per second.
    pub deletes_per_second: u32,
}

impl Default for ThrottleLimits {
    /// The limits that ARM has published since 2024.
    fn default() -> Self {
        Self {
            reads_burst: 250,
            reads_per_second: 25,
            writes_burst: 200,
            writes_per_second: 10,
            deletes_burst: 200,
            deletes_per_second: 10,
        }
    }
}

/// What exists when the simulator starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Seed {
    /// The subscription of the services that name no other.
    pub subscription_id: String,
    /// The resource group of the services that name no other.
    pub resource_group: String,
    /// The tenant of the subscription and of the vaults that name no other.
    pub tenant_id: String,
    /// The API Management services.
    pub services: Vec<ServiceSeed>,
    /// The Entra ID tenants with their applications.
    pub tenants: Vec<TenantSeed>,
    /// The key vaults.
    pub key_vaults: Vec<KeyVaultSeed>,
    /// What `X-IDENTITY-HEADER` must hold at the managed identity endpoint.
    pub identity_header: String,
}

/// One API Management service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSeed {
    /// Its name.
    pub name: String,
    /// Its pricing tier as ARM names it, for example `StandardV2`.
    #[serde(default = "default_sku")]
    pub sku: String,
    /// Its gateway's URL; if absent, that of the gateway that is served here,
    /// or `https://<name>.azure-api.net` where none is.
    #[serde(default)]
    pub gateway_url: Option<String>,
    /// Its subscriptions, besides the built-in one that opens every API.
    #[serde(default)]
    pub subscriptions: Vec<apim_gateway::configuration::Subscription>,
    /// Its products.
    #[serde(default)]
    pub products: Vec<apim_gateway::configuration::Product>,
    /// Its certificates by id; those that are shown to backends with their
    /// private keys.
    #[serde(default)]
    pub certificates: BTreeMap<String, apim_gateway::configuration::Certificate>,
    /// Its location.
    #[serde(default = "default_location")]
    pub location: String,
    /// Its subscription, if not the seed's.
    #[serde(default)]
    pub subscription_id: Option<String>,
    /// Its resource group, if not the seed's.
    #[serde(default)]
    pub resource_group: Option<String>,
}

/// One Entra ID tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantSeed {
    /// Its id, a GUID.
    pub id: String,
    /// Its applications.
    #[serde(default)]
    pub applications: Vec<ApplicationSeed>,
}

/// One application with its service principal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApplicationSeed {
    /// The application (client) id, a GUID.
    pub client_id: String,
    /// The object id of its service principal, a GUID.
    pub object_id: String,
    /// A name for people.
    pub display_name: String,
    /// Client secrets that are valid.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Tokens of other issuers that are accepted in place of a secret.
    #[serde(default)]
    pub federated_credentials: Vec<FederatedCredentialSeed>,
    /// Whether it is the managed identity that `/msi/token` hands out.
    #[serde(default)]
    pub managed_identity: bool,
    /// Its role in ARM, if any.
    #[serde(default)]
    pub role: Option<Role>,
    /// Where the role is assigned.
    #[serde(default)]
    pub role_scope: RoleScope,
}

/// A role assignment in ARM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// May read and write everything.
    Contributor,
    /// May read, but no secrets.
    Reader,
}

/// Where a role is assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RoleScope {
    /// The subscription.
    Subscription,
    /// The seed's resource group.
    #[default]
    ResourceGroup,
    /// The first service only.
    Service,
}

/// A federated identity credential.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FederatedCredentialSeed {
    /// The `iss` claim that the token must have.
    pub issuer: String,
    /// The `sub` claim that the token must have.
    pub subject: String,
    /// The `aud` claims that are accepted.
    #[serde(default = "default_federated_audiences")]
    pub audiences: Vec<String>,
    /// The issuer's keys as a JWK set. Without these and `publicKeyPem`, the
    /// key with which `/_control/federated-token` signs.
    #[serde(default)]
    pub jwks: Option<serde_json::Value>,
    /// The issuer's RSA public key in PEM.
    #[serde(default)]
    pub public_key_pem: Option<String>,
}

/// One key vault.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyVaultSeed {
    /// Its name, the first label of its host.
    pub name: String,
    /// Its tenant, if not the seed's.
    #[serde(default)]
    pub tenant_id: Option<String>,
    /// Its secrets by name.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// The client ids that may read secrets; absent: every application of the
    /// tenant that has a role in ARM.
    #[serde(default)]
    pub readers: Option<Vec<String>>,
}

fn default_sku() -> String {
    "StandardV2".to_owned()
}

fn default_location() -> String {
    "West Europe".to_owned()
}

fn default_federated_audiences() -> Vec<String> {
    vec![FEDERATED_AUDIENCE.to_owned()]
}

impl ServiceSeed {
    /// A service of this name in the seed's resource group, tier `StandardV2`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            sku: default_sku(),
            gateway_url: None,
            subscriptions: Vec::new(),
            products: Vec::new(),
            certificates: BTreeMap::new(),
            location: default_location(),
            subscription_id: None,
            resource_group: None,
        }
    }
}

impl Default for Seed {
    /// One service `apim-local` in `rg-apim`; the applications `operator`
    /// (Contributor; secret, federation and managed identity), `reader`
    /// (Reader), `stranger` (no role) and `callers` (whom the callers' tokens
    /// are for); the vault `kv-local` with the five settings of an operator.
    fn default() -> Self {
        const TENANT: &str = "11111111-1111-4111-8111-111111111111";
        const SUBSCRIPTION: &str = "00000000-0000-4000-8000-000000000001";
        const CALLERS: &str = "22222222-2222-4222-8222-000000000004";
        let application = |number: u8, name: &str, role| ApplicationSeed {
            client_id: format!("22222222-2222-4222-8222-00000000000{number}"),
            object_id: format!("33333333-3333-4333-8333-00000000000{number}"),
            display_name: name.to_owned(),
            secrets: vec![format!("{name}-secret")],
            federated_credentials: Vec::new(),
            managed_identity: false,
            role,
            role_scope: RoleScope::ResourceGroup,
        };
        let operator = ApplicationSeed {
            managed_identity: true,
            federated_credentials: vec![FederatedCredentialSeed {
                issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
                subject: "system:serviceaccount:operators:apim-operator".to_owned(),
                audiences: default_federated_audiences(),
                jwks: None,
                public_key_pem: None,
            }],
            ..application(1, "operator", Some(Role::Contributor))
        };
        let settings = [
            ("apim-service-name", "apim-local"),
            ("resource-group", "rg-apim"),
            ("subscription-id", SUBSCRIPTION),
            ("aad-tenant-id", TENANT),
            ("aad-client-id", CALLERS),
        ];
        Self {
            subscription_id: SUBSCRIPTION.to_owned(),
            resource_group: "rg-apim".to_owned(),
            tenant_id: TENANT.to_owned(),
            services: vec![ServiceSeed::named("apim-local")],
            tenants: vec![TenantSeed {
                id: TENANT.to_owned(),
                applications: vec![
                    operator,
                    application(2, "reader", Some(Role::Reader)),
                    application(3, "stranger", None),
                    application(4, "callers", None),
                ],
            }],
            key_vaults: vec![KeyVaultSeed {
                name: "kv-local".to_owned(),
                tenant_id: None,
                secrets: settings
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                readers: None,
            }],
            identity_header: "local-identity-header".to_owned(),
        }
    }
}

/// Why a seed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the seed file {path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not a seed.
    #[error("the seed file {path} cannot be understood: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// Two parts of the seed contradict each other.
    #[error("{field}: {message}")]
    Invalid {
        /// The field at fault.
        field: String,
        /// What is wrong with it, and what it may be.
        message: String,
    },
}

impl Seed {
    /// Reads a seed from a YAML or JSON file; what the file leaves out is
    /// taken from the default seed.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let seed: Self = serde_saphyr::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        seed.check()?;
        Ok(seed)
    }

    /// Checks what the types cannot: that names refer to something.
    pub fn check(&self) -> Result<(), ConfigError> {
        let invalid = |field: String, message: String| Err(ConfigError::Invalid { field, message });
        if self.services.is_empty() {
            return invalid(
                "services".to_owned(),
                "is empty; name at least one API Management service".to_owned(),
            );
        }
        for (index, service) in self.services.iter().enumerate() {
            for (id, certificate) in &service.certificates {
                let read = ClientIdentity::read(id, certificate);
                match read {
                    Ok(_) | Err(IdentityError::NoKey) => {}
                    Err(why) => {
                        return invalid(
                            format!("services[{index}].certificates.{id}"),
                            why.to_string(),
                        );
                    }
                }
            }
        }
        let tenants: Vec<&str> = self
            .tenants
            .iter()
            .map(|tenant| tenant.id.as_str())
            .collect();
        if !tenants.contains(&self.tenant_id.as_str()) {
            return invalid(
                "tenantId".to_owned(),
                format!("`{}` is not among the tenants {tenants:?}", self.tenant_id),
            );
        }
        for (index, vault) in self.key_vaults.iter().enumerate() {
            let tenant = vault.tenant_id.as_ref().unwrap_or(&self.tenant_id);
            if !tenants.contains(&tenant.as_str()) {
                return invalid(
                    format!("keyVaults[{index}].tenantId"),
                    format!("`{tenant}` is not among the tenants {tenants:?}"),
                );
            }
        }
        Ok(())
    }
}

//! The state of one API Management service.

use super::families::Families;
use super::lro::Operation;
use super::path::{ApiRef, Kind};
use super::product::Product;
use super::self_hosted::SelfHosted;
use crate::config::{Seed, ServiceSeed};
use apim_gateway::configuration::Certificate;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What is stored of any entity. Properties are kept in the order in which
/// they are answered.
#[derive(Debug, Clone)]
pub(crate) struct Entity {
    /// The id as it was first given.
    pub(crate) name: String,
    pub(crate) properties: Map<String, Value>,
    /// The row version that the `ETag` shows.
    pub(crate) row: u64,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

impl Entity {
    /// The `ETag`, quoted: base64 of the row version, of which the service
    /// writes fragments in the other byte order.
    pub(crate) fn etag(&self, little_endian: bool) -> String {
        let bytes = if little_endian {
            self.row.to_le_bytes()
        } else {
            self.row.to_be_bytes()
        };
        format!("\"{}\"", STANDARD.encode(bytes))
    }

    /// A text property.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.properties.get(name).and_then(Value::as_str)
    }
}

/// An operation of an API, with its policy.
#[derive(Debug, Clone)]
pub(crate) struct ApiOperation {
    pub(crate) entity: Entity,
    pub(crate) policy: Option<Entity>,
}

/// One revision of an API.
#[derive(Debug, Clone)]
pub(crate) struct Revision {
    pub(crate) entity: Entity,
    pub(crate) policy: Option<Entity>,
    /// In the order in which they were made.
    pub(crate) operations: Vec<ApiOperation>,
    pub(crate) schemas: BTreeMap<String, Entity>,
}

impl Revision {
    /// An operation by its id, which is compared without case.
    pub(crate) fn operation(&self, id: &str) -> Option<&ApiOperation> {
        self.operations
            .iter()
            .find(|operation| operation.entity.name.eq_ignore_ascii_case(id))
    }

    pub(crate) fn operation_mut(&mut self, id: &str) -> Option<&mut ApiOperation> {
        self.operations
            .iter_mut()
            .find(|operation| operation.entity.name.eq_ignore_ascii_case(id))
    }
}

/// All revisions of an API.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    /// The id as it was first given, without a revision.
    pub(crate) name: String,
    pub(crate) current: u32,
    pub(crate) revisions: BTreeMap<u32, Revision>,
    /// The tags that it has, by id in lower case.
    pub(crate) tags: BTreeSet<String>,
    /// What is logged of its calls, by id in lower case.
    pub(crate) diagnostics: BTreeMap<String, Entity>,
    /// The wiki, where the API has one.
    pub(crate) wiki: Option<Entity>,
    /// Which revision was made current when, by id in lower case.
    pub(crate) releases: BTreeMap<String, Entity>,
}

impl Family {
    /// The revision that an id means: the current one if it says none.
    pub(crate) fn number(&self, api: &ApiRef) -> u32 {
        api.revision.unwrap_or(self.current)
    }

    /// The id under which a revision is listed.
    pub(crate) fn revision_name(&self, number: u32) -> String {
        if number == self.current {
            self.name.clone()
        } else {
            format!("{};rev={number}", self.name)
        }
    }
}

/// One service with everything in it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) subscription: String,
    pub(crate) resource_group: String,
    pub(crate) name: String,
    pub(crate) sku: String,
    pub(crate) network: String,
    /// Its public addresses, for the tiers that say them.
    pub(crate) addresses: Vec<String>,
    /// A custom domain of its gateway, which is then the default binding.
    pub(crate) domain: Option<String>,
    /// Whether its developer portal is open.
    pub(crate) portal: bool,
    pub(crate) gateway_url: String,
    pub(crate) location: String,
    pub(crate) created: Timestamp,
    pub(crate) policy: Option<Entity>,
    /// By id, as seeded.
    pub(crate) certificates: BTreeMap<String, Certificate>,
    pub(crate) families: Families,
    pub(crate) entities: BTreeMap<Kind, BTreeMap<String, Entity>>,
    /// By id in lower case.
    pub(crate) products: BTreeMap<String, Product>,
    /// With their keys.
    pub(crate) subscriptions: BTreeMap<String, Entity>,
    /// Those beside the ones that every service has.
    pub(crate) groups: BTreeMap<String, Entity>,
    /// Self-hosted gateways, with their keys, by id in lower case.
    pub(crate) gateways: BTreeMap<String, SelfHosted>,
    pub(crate) operations: BTreeMap<String, Operation>,
    /// Those of them that have not ended.
    pub(crate) under_way: BTreeSet<String>,
    /// Writes per API that are refused because a lock outlived an import.
    pub(crate) locks: BTreeMap<String, u32>,
    row: u64,
}

/// Row versions of recorded services had about this size.
const FIRST_ROW: u64 = 0x0001_1c00;

impl Service {
    pub(crate) fn new(seed: &Seed, service: &ServiceSeed, now: Timestamp) -> Self {
        Self {
            subscription: service
                .subscription_id
                .clone()
                .unwrap_or_else(|| seed.subscription_id.clone()),
            resource_group: service
                .resource_group
                .clone()
                .unwrap_or_else(|| seed.resource_group.clone()),
            name: service.name.clone(),
            sku: service.sku.clone(),
            network: "None".to_owned(),
            addresses: vec!["203.0.113.10".to_owned()],
            domain: None,
            portal: false,
            gateway_url: service
                .gateway_url
                .clone()
                .unwrap_or_else(|| format!("https://{}.azure-api.net", service.name)),
            location: service.location.clone(),
            created: now,
            policy: None,
            certificates: service.certificates.clone(),
            families: Families::default(),
            entities: Kind::ALL
                .into_iter()
                .map(|kind| (kind, BTreeMap::new()))
                .collect(),
            products: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            groups: BTreeMap::new(),
            gateways: BTreeMap::new(),
            operations: BTreeMap::new(),
            under_way: BTreeSet::new(),
            locks: BTreeMap::new(),
            row: FIRST_ROW,
        }
    }

    /// The service's ARM id.
    pub(crate) fn id(&self) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.ApiManagement/service/{}",
            self.subscription, self.resource_group, self.name
        )
    }

    /// The next row version of the whole service.
    pub(crate) fn next_row(&mut self) -> u64 {
        self.row += 1;
        self.row
    }

    /// A new entity.
    pub(crate) fn new_entity(
        &mut self,
        name: &str,
        properties: Map<String, Value>,
        now: Timestamp,
    ) -> Entity {
        Entity {
            name: name.to_owned(),
            properties,
            row: self.next_row(),
            created: now,
            updated: now,
        }
    }

    /// The entity with other properties: the `ETag` moves only if they differ,
    /// apart from the state of provisioning.
    pub(crate) fn changed_entity(
        &mut self,
        old: &Entity,
        properties: Map<String, Value>,
        now: Timestamp,
    ) -> Entity {
        let lasting = |properties: &Map<String, Value>| {
            let mut lasting = properties.clone();
            lasting.remove("provisioningState");
            lasting
        };
        let same = lasting(&old.properties) == lasting(&properties);
        Entity {
            name: old.name.clone(),
            properties,
            row: if same { old.row } else { self.next_row() },
            created: old.created,
            updated: if same { old.updated } else { now },
        }
    }

    /// A direct child by its id.
    pub(crate) fn entity(&self, kind: Kind, id: &str) -> Option<&Entity> {
        self.entities.get(&kind)?.get(&id.to_lowercase())
    }

    pub(crate) fn entities_of(&mut self, kind: Kind) -> &mut BTreeMap<String, Entity> {
        self.entities.entry(kind).or_default()
    }

    /// All revisions of an API.
    pub(crate) fn family(&self, api: &ApiRef) -> Option<&Family> {
        self.families.get(&api.key())
    }

    /// The revision that an id means.
    pub(crate) fn revision(&self, api: &ApiRef) -> Option<&Revision> {
        let family = self.family(api)?;
        family.revisions.get(&family.number(api))
    }

    pub(crate) fn revision_mut(&mut self, api: &ApiRef) -> Option<&mut Revision> {
        let family = self.families.get_mut(&api.key())?;
        let number = family.number(api);
        family.revisions.get_mut(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_the_base64_of_the_row_version_and_a_fragments_is_swapped() {
        let entity = Entity {
            name: "x".to_owned(),
            properties: Map::new(),
            row: 0x0001_1cfc,
            created: Timestamp::UNIX_EPOCH,
            updated: Timestamp::UNIX_EPOCH,
        };
        // Both forms as they were recorded.
        assert_eq!(entity.etag(false), "\"AAAAAAABHPw=\"");
        assert_eq!(entity.etag(true), "\"/BwBAAAAAAA=\"");
    }
}

//! What is known of each published API between sweeps and reconciles.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use operator_core::apim::{AppliedRecord, Observed, PartId, Published, Reading};
use operator_core::drift::{Area, Difference, DriftReport, KnownEtags, Verdict, Watched};
use operator_core::names::{ContentHash, InstanceName, ObjectKey, ProductId};
use operator_core::status::reasons::Reason;
use parking_lot::Mutex;

/// What a sweep saw of an object since its last reconcile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// What was read because it did not look right.
    pub(crate) observed: Option<Observed>,
    /// What looked right although it had not before.
    pub(crate) fine: BTreeSet<Area>,
}

/// Who still has to be looked at for the first time since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The API and its policy.
    Fast,
    /// Operations and what belongs to them.
    Slow,
}

#[derive(Debug, Default)]
struct Entry {
    /// Absent while it is being written, and where nothing is known to be in
    /// place.
    watched: Option<Watched>,
    /// It does not carry the object's mark: all that a sweep looks for is
    /// whether it does again, or is gone.
    lost: bool,
    /// What was read under an earlier number says nothing any more.
    epoch: u64,
    sighting: Option<Box<Sighting>>,
    report: BTreeMap<Area, Vec<Difference>>,
    /// Why what is reported is not put back, or that it is.
    why: Option<Reason>,
    /// What is being put back.
    correcting: Option<Box<DriftReport>>,
    etags: KnownEtags,
    /// Writes of the last publish.
    writes: u32,
    /// The Ingress that was last seen to be in place.
    ingress: Option<ContentHash>,
    looked: Looked,
    before: Before,
}

/// What has been looked at since the start.
#[derive(Debug, Default, Clone, Copy)]
struct Looked {
    fast: bool,
    slow: bool,
}

/// What status said when this process first saw the object.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// It was not looked at yet.
    #[default]
    Unknown,
    /// Nothing of drift.
    Silent,
    /// It spoke of drift, and nobody has looked at everything since.
    Spoke,
}

/// What a sweep must know of an API to look at it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) key: ObjectKey,
    pub(crate) epoch: u64,
    pub(crate) api_id: String,
    pub(crate) mark: Box<str>,
    pub(crate) has_policy_etag: bool,
    pub(crate) products: Vec<ProductId>,
    pub(crate) parts: Vec<PartId>,
    pub(crate) lost: bool,
}

/// What status says of drift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// Not looked at since the start: what status says stays.
    NotYet,
    /// All is as it should be.
    InPlace,
    /// This differs.
    Differs(DriftReport, Reason),
}

/// All published APIs.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Each on its own: a table has room for more than there are.
    entries: Mutex<HashMap<ObjectKey, Box<Entry>>>,
}

impl Ledger {
    // What the reconcile says.

    /// Everything of the object is in place: from now on it is watched.
    pub(crate) fn published(
        &self,
        key: &ObjectKey,
        published: Published<'_>,
        record: &AppliedRecord,
    ) {
        let mut entries = self.entries.lock();
        let entry = entries.entry(key.clone()).or_default();
        let etags = std::mem::take(&mut entry.etags);
        let watched = Watched::new(published, record, &etags, entry.watched.as_ref());
        if entry.watched.as_ref() != Some(&watched) {
            entry.epoch += 1;
        }
        entry.watched = Some(watched);
        entry.lost = false;
    }

    /// The object is about to be written.
    pub(crate) fn busy(&self, key: &ObjectKey) {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get_mut(key) {
            entry.epoch += 1;
            entry.sighting = None;
        }
    }

    /// Azure was written to; these are the ETags now.
    pub(crate) fn wrote(&self, key: &ObjectKey, etags: KnownEtags, writes: u32) {
        let mut entries = self.entries.lock();
        let entry = entries.entry(key.clone()).or_default();
        entry.epoch += 1;
        entry.etags = etags;
        entry.writes = writes;
    }

    /// The API is somebody else's now.
    pub(crate) fn lost(&self, key: &ObjectKey, published: Published<'_>, record: &AppliedRecord) {
        self.published(key, published, record);
        if let Some(entry) = self.entries.lock().get_mut(key) {
            entry.lost = true;
        }
    }

    /// Nothing is known to be in place.
    pub(crate) fn uncertain(&self, key: &ObjectKey) {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get_mut(key) {
            entry.epoch += 1;
            entry.watched = None;
            entry.sighting = None;
        }
    }

    /// Nobody wants to know of it.
    pub(crate) fn off(&self, key: &ObjectKey) {
        let mut entries = self.entries.lock();
        let entry = entries.entry(key.clone()).or_default();
        **entry = Entry {
            epoch: entry.epoch + 1,
            before: Before::Silent,
            ..Entry::default()
        };
    }

    /// The object is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.entries.lock().remove(key);
    }

    /// What was seen since the last reconcile.
    pub(crate) fn take_sighting(&self, key: &ObjectKey) -> Sighting {
        let mut entries = self.entries.lock();
        entries
            .get_mut(key)
            .and_then(|entry| entry.sighting.take())
            .map(|sighting| *sighting)
            .unwrap_or_default()
    }

    /// Remembers what a comparison said; answers the whole report, and whether
    /// it is another than before.
    pub(crate) fn report(
        &self,
        key: &ObjectKey,
        looked_at: &BTreeSet<Area>,
        found: Vec<Difference>,
        why: Reason,
    ) -> (DriftReport, bool) {
        let mut entries = self.entries.lock();
        let entry = entries.entry(key.clone()).or_default();
        let before = entry.whole();
        for area in looked_at {
            entry.report.remove(area);
        }
        for difference in found {
            entry
                .report
                .entry(difference.kind.area())
                .or_default()
                .push(difference);
        }
        let now = entry.whole();
        entry.why = (!now.is_empty()).then_some(why);
        if now.is_empty() && looked_at.contains(&Area::Operations) {
            // What looked different is none; it is learned as it is.
            if let Some(watched) = &mut entry.watched {
                watched.learn_operations();
            }
        }
        let changed = now != before;
        (now, changed)
    }

    /// What is reported is put back from now on, or left.
    pub(crate) fn because(&self, key: &ObjectKey, why: Reason) {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get_mut(key)
            && entry.why.is_some()
        {
            entry.why = Some(why);
        }
    }

    /// What is reported.
    pub(crate) fn reported(&self, key: &ObjectKey) -> DriftReport {
        let entries = self.entries.lock();
        entries
            .get(key)
            .map(|entry| entry.whole())
            .unwrap_or_default()
    }

    /// What is reported is being put back.
    pub(crate) fn correcting(&self, key: &ObjectKey, report: DriftReport) {
        let mut entries = self.entries.lock();
        let entry = entries.entry(key.clone()).or_default();
        entry.writes = 0;
        entry.correcting = Some(Box::new(report));
    }

    /// What was put back, once everything is in place, and by how many writes.
    pub(crate) fn corrected(&self, key: &ObjectKey) -> Option<(DriftReport, u32)> {
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(key)?;
        let corrected = entry.correcting.take()?;
        entry.before = Before::Silent;
        for area in [Area::Api, Area::Policy, Area::Operations] {
            entry.report.remove(&area);
        }
        if entry.report.is_empty() {
            entry.why = None;
        }
        Some((*corrected, std::mem::take(&mut entry.writes)))
    }

    /// What status says of drift. `spoke`: whether it speaks of it already.
    pub(crate) fn known(&self, key: &ObjectKey, spoke: bool) -> Known {
        let mut entries = self.entries.lock();
        if !spoke && !entries.contains_key(key) {
            return Known::InPlace;
        }
        let entry = entries.entry(key.clone()).or_default();
        if entry.before == Before::Unknown {
            entry.before = if spoke { Before::Spoke } else { Before::Silent };
        }
        if entry.before == Before::Spoke {
            return Known::NotYet;
        }
        let report = entry.whole();
        match entry.why.filter(|_| !report.is_empty()) {
            Some(why) => Known::Differs(report, why),
            None => Known::InPlace,
        }
    }

    /// Whether the Ingress that is wanted is the one that was last in place, so
    /// that nobody but others can have changed it.
    pub(crate) fn was_in_place(&self, key: &ObjectKey, wanted: ContentHash) -> bool {
        let entries = self.entries.lock();
        entries
            .get(key)
            .is_some_and(|entry| entry.ingress == Some(wanted))
    }

    /// The operator itself changes the Ingress from here on, also where it never
    /// comes to the end and the earlier one is wanted again.
    pub(crate) fn changes(&self, key: &ObjectKey) {
        if let Some(entry) = self.entries.lock().get_mut(key) {
            entry.ingress = None;
        }
    }

    /// The Ingress is in place.
    pub(crate) fn exposed(&self, key: &ObjectKey, wanted: ContentHash) {
        self.entries.lock().entry(key.clone()).or_default().ingress = Some(wanted);
    }

    // What a sweep asks and says.

    /// The APIs that are watched in an instance.
    pub(crate) fn targets(&self, instance: &InstanceName) -> Vec<Arc<Target>> {
        let entries = self.entries.lock();
        let mut targets: Vec<Arc<Target>> = entries
            .iter()
            .filter_map(|(key, entry)| {
                let watched = entry.watched.as_ref()?;
                (watched.instance == *instance).then(|| {
                    Arc::new(Target {
                        key: key.clone(),
                        epoch: entry.epoch,
                        api_id: watched.api_id.to_string(),
                        mark: watched.mark.clone(),
                        has_policy_etag: watched.has_policy_etag(),
                        products: watched.products().iter().cloned().collect(),
                        parts: watched.parts().cloned().collect(),
                        lost: entry.lost,
                    })
                })
            })
            .collect();
        targets.sort_by(|a, b| a.api_id.cmp(&b.api_id));
        targets
    }

    /// Asks what is kept of an API; none where it has been written since.
    pub(crate) fn judge(
        &self,
        target: &Target,
        look: impl FnOnce(&mut Watched) -> Verdict,
    ) -> Option<Verdict> {
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(&target.key)?;
        if entry.epoch != target.epoch {
            return None;
        }
        entry.watched.as_mut().map(look)
    }

    /// An area is as it should be. Answers whether the reconcile must be told.
    pub(crate) fn fine(&self, target: &Target, area: Area) -> bool {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(&target.key) else {
            return false;
        };
        if entry.epoch != target.epoch || !entry.report.contains_key(&area) {
            return false;
        }
        entry.sighting.get_or_insert_default().fine.insert(area);
        true
    }

    /// Something is not as it should be. Answers whether the reconcile must be
    /// told: not where the API has been written since.
    pub(crate) fn saw(&self, target: &Target, observed: Observed) -> bool {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(&target.key) else {
            return false;
        };
        if entry.epoch != target.epoch {
            return false;
        }
        let seen = &mut entry.sighting.get_or_insert_default().observed;
        *seen = Some(match seen.take() {
            None => observed,
            Some(before) => merged(before, observed),
        });
        true
    }

    /// A part of the object was looked at. Answers whether the reconcile must
    /// be told, since its status still speaks of drift that nobody sees.
    pub(crate) fn looked(&self, target: &Target, part: Part) -> bool {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(&target.key) else {
            return false;
        };
        match part {
            Part::Fast => entry.looked.fast = true,
            Part::Slow => entry.looked.slow = true,
        }
        let tell = entry.looked.fast && entry.looked.slow && entry.before == Before::Spoke;
        if tell {
            entry.before = Before::Silent;
        }
        tell
    }
}

impl Entry {
    fn whole(&self) -> DriftReport {
        DriftReport {
            differences: self.report.values().flatten().cloned().collect(),
        }
    }
}

/// What was read later counts more.
fn merged(before: Observed, later: Observed) -> Observed {
    let mut operation_policies = before.operation_policies;
    operation_policies.extend(later.operation_policies);
    let mut products = before.products;
    products.extend(later.products);
    let mut parts = before.parts;
    parts.extend(later.parts);
    Observed {
        api: later.api,
        policy: newer(later.policy, before.policy),
        operations: newer(later.operations, before.operations),
        operation_policies,
        products,
        parts,
        tags: later.tags,
        revisions: None,
        rivals: Vec::new(),
    }
}

fn newer<T>(later: Reading<T>, before: Reading<T>) -> Reading<T> {
    match later {
        Reading::NotRead => before,
        read => read,
    }
}

//! The life of one plugin: it is loaded, looked at again now and then, and a
//! new version takes the place of the old one, at once or in batches.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use operator_core::chain::{Entry, Listing};
use operator_core::names::{ContentHash, ObjectKey, PluginName};
use operator_core::policy_plugin::rollout::{Progress, Rollout, Step, Wave};
use operator_core::policy_plugin::spec::ConfigMapKey;
use operator_core::policy_plugin::{PolicyPlugin as Settings, Source};

use tokio::sync::watch;

use super::PolicyPlugins;
use super::load::Loaded;
use super::tell::Report;
use super::trouble::Trouble;
use crate::crd::PolicyPlugin;
use crate::crd::policy_plugin::RolloutStatus;
use crate::uses::Health;

impl PolicyPlugins {
    /// Keeps the plugin of an object until the object changes.
    pub(super) async fn keep(self: Arc<Self>, name: PluginName, object: PolicyPlugin) {
        let settings = match Settings::new(name.clone(), &object.spec.0) {
            Ok(settings) => settings,
            Err(problems) => {
                let message = operator_core::status::summary(&problems);
                let trouble = Trouble::invalid("InvalidSettings", message);
                let serving = self.carried(&object);
                self.failed(&object, &name, serving.as_ref(), &trouble)
                    .await;
                return;
            }
        };
        // A task before this one may have left something that serves.
        let mut serving = self.carried(&object);
        // What ran last runs again; its source is asked in its turn.
        let mut settled = false;
        if serving.is_none() {
            serving = self.resumed(&settings, &object).await;
            settled = serving.is_some() && !is_rolling(&object);
        }
        let mut attempts = 0;
        loop {
            let news = self.news(&settings);
            let pause = if settled {
                settled = false;
                settings.refresh
            } else {
                match self.load(&settings, serving.as_ref()).await {
                    Ok(loaded) => {
                        attempts = 0;
                        let taken = self.take(&settings, &object, serving.as_ref(), &loaded);
                        // A rollout takes its time; what is newer goes first.
                        tokio::select! {
                            () = taken => serving = Some(loaded),
                            () = news.clone().heard(&self, settings.refresh) => continue,
                        }
                        settings.refresh
                    }
                    Err(trouble) => {
                        attempts += 1;
                        self.failed(&object, &name, serving.as_ref(), &trouble)
                            .await;
                        trouble.pause(attempts, settings.refresh)
                    }
                }
            };
            // A built-in plugin changes with the binary only.
            let built_in = matches!(settings.source, Source::BuiltIn(_));
            let pause = pause.filter(|_| !(built_in && serving.is_some()));
            news.heard(&self, pause.map(|pause| self.pace.of(pause)))
                .await;
        }
    }

    /// What the ConfigMaps that the settings name hold now.
    fn news<'s>(&self, settings: &'s Settings) -> News<'s> {
        let changes = self.config_maps.changes();
        News {
            settings,
            seen: self.config_maps.fingerprint(keys(settings)),
            changes,
        }
    }

    fn carried(&self, object: &PolicyPlugin) -> Option<Loaded> {
        let entries = self.entries.lock();
        entries.get(&object.name_any())?.serving.clone()
    }

    fn serves(&self, object: &PolicyPlugin, loaded: &Loaded) {
        if let Some(kept) = self.entries.lock().get_mut(&object.name_any()) {
            kept.serving = Some(loaded.clone());
        }
    }

    /// What ran before this process started: from the cache and without asking
    /// its source, if nothing about the settings changed since.
    async fn resumed(&self, settings: &Settings, object: &PolicyPlugin) -> Option<Loaded> {
        if matches!(settings.source, Source::BuiltIn(_)) {
            return None;
        }
        let status = object.status.as_ref()?;
        if status.observed_generation != object.metadata.generation {
            return None;
        }
        let loaded = self
            .load_last(
                settings,
                status.last_good_digest.as_deref()?,
                status.last_good_reference.as_deref()?,
                status.signer.clone(),
            )
            .await?;
        let reached = match &status.rollout {
            // Those that have the new version keep it: until that is loaded,
            // nobody is looked at.
            Some(rollout) => {
                self.uses.until_listed().await;
                self.uses.published_with(&settings.name, &rollout.digest)
            }
            None => Vec::new(),
        };
        let entry = entry_of(settings, &loaded);
        let code = loaded.version.plugin.clone();
        let reached = reached.into_iter().collect();
        self.plugins
            .registry()
            .resume(&settings.name, entry, code, reached);
        self.serves(object, &loaded);
        self.plugins.count();
        self.users(&settings.name);
        let report = Report {
            serving: Some(&loaded),
            trouble: None,
            rollout: status.rollout.clone(),
            stopped: None,
        };
        self.report(object, report).await;
        Some(loaded)
    }

    /// Nothing new can be used. What serves goes on serving.
    async fn failed(
        &self,
        object: &PolicyPlugin,
        name: &PluginName,
        serving: Option<&Loaded>,
        trouble: &Trouble,
    ) {
        let registry = self.plugins.registry();
        let Some(mut entry) = registry.entry(name) else {
            return;
        };
        tracing::warn!(
            plugin = %name,
            class = trouble.class.label(),
            "a plugin cannot be loaded: {trouble}"
        );
        self.metrics.plugin_load(name.as_str(), trouble.reason);
        match &entry.listing {
            Listing::Ready(info) => {
                // That a source does not answer is no news for its users.
                entry.notice = (!trouble.is_passing()).then(|| {
                    format!(
                        "version {} serves on, because what is asked for cannot be used: {}",
                        info.descriptor.version, trouble.message
                    )
                });
            }
            Listing::Loading | Listing::Failed(_) => {
                entry.listing = Listing::Failed(format!(
                    "PolicyPlugin/{name} is not ready: {}: {}",
                    trouble.reason, trouble.message
                ));
            }
        }
        if registry.update(name, entry) {
            self.users(name);
        }
        let report = Report {
            serving,
            trouble: Some(trouble),
            rollout: None,
            stopped: None,
        };
        self.report(object, report).await;
    }

    /// A version that works takes its place.
    async fn take(
        &self,
        settings: &Settings,
        object: &PolicyPlugin,
        before: Option<&Loaded>,
        loaded: &Loaded,
    ) {
        let name = &settings.name;
        let registry = self.plugins.registry();
        self.metrics.plugin_load(name.as_str(), "success");
        let entry = entry_of(settings, loaded);
        let current = registry.entry(name);
        let differs = current.as_ref().is_some_and(|current| {
            matches!(current.listing, Listing::Ready(_))
                && (current.listing != entry.listing
                    || current.governance != entry.governance
                    || current.template != entry.template)
        });
        match &settings.rollout {
            Some(rollout) if differs => {
                if !registry.stage(name, entry, loaded.version.plugin.clone()) {
                    self.uses.forget_staged(name);
                }
                self.roll(*rollout, settings, object, before, loaded).await;
            }
            _ => {
                let code = Some(loaded.version.plugin.clone());
                let limits = |loaded: &Loaded| loaded.version.plugin.limits();
                let relaxed = before.is_some_and(|before| limits(before) != limits(loaded));
                if registry.install(name, entry, code) || relaxed {
                    tracing::info!(
                        plugin = %name,
                        version = loaded.version.info.descriptor.version,
                        digest = loaded.version.info.digest,
                        source = loaded.reference,
                        "a plugin serves"
                    );
                    self.plugins.count();
                    self.users(name);
                }
            }
        }
        self.serves(object, loaded);
        let report = Report {
            serving: Some(loaded),
            trouble: None,
            rollout: None,
            stopped: None,
        };
        self.report(object, report).await;
    }

    /// Gives the users of a plugin the staged version, batch by batch. Ends
    /// when all have it; while something is in the way it waits.
    async fn roll(
        &self,
        rollout: Rollout,
        settings: &Settings,
        object: &PolicyPlugin,
        before: Option<&Loaded>,
        loaded: &Loaded,
    ) {
        let name = &settings.name;
        let registry = self.plugins.registry();
        let mut changes = self.uses.changes();
        let reached = registry.admitted(name);
        let mut wave = Wave::default();
        wave.admit(&reached);
        // The first batch is read back.
        let mut first = reached.is_empty();
        for key in reached {
            self.triggers.one(key, super::CAUSE);
        }
        loop {
            changes.mark_unchanged();
            // After a start, who uses it is known only once all were looked at.
            if self.uses.count(name).is_none() {
                if changes.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let users = self.uses.of(name);
            for key in &users {
                if let Some(progress) = self.progress(key, name) {
                    wave.report(key, progress);
                }
            }
            let step = wave.next(&users, rollout.batch);
            let stopped = match &step {
                Step::Stop(key, why) => Some(format!("it stopped at {key}: {why}")),
                _ => None,
            };
            let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            let status = RolloutStatus {
                digest: loaded.version.info.digest.clone(),
                version: loaded.version.info.descriptor.version.clone(),
                done: count(wave.done()),
                total: count(users.len()),
            };
            let report = Report {
                serving: before,
                trouble: None,
                rollout: Some(status),
                stopped,
            };
            match step {
                Step::Complete => {
                    registry.promote(name);
                    tracing::info!(plugin = %name, "a rollout is complete");
                    self.plugins.count();
                    return;
                }
                Step::Admit(keys) => {
                    self.report(object, report).await;
                    if !first {
                        tokio::time::sleep(self.pace.of(rollout.pause)).await;
                    }
                    self.admit(&mut wave, name, &keys, first);
                    first = false;
                }
                Step::Wait => self.report(object, report).await,
                Step::Stop(..) => {
                    tracing::warn!(plugin = %name, "a rollout stopped: {:?}", report.stopped);
                    self.report(object, report).await;
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn admit(&self, wave: &mut Wave, name: &PluginName, keys: &[ObjectKey], first: bool) {
        // What could not be published before says nothing about the version.
        let broken: Vec<ObjectKey> = keys
            .iter()
            .filter(|key| matches!(self.uses.health(key, name).0, Health::Refused(_)))
            .cloned()
            .collect();
        wave.admit(keys);
        for key in broken {
            wave.excuse(&key);
        }
        self.plugins.registry().admit(name, keys, first);
        for key in keys {
            self.triggers.one(key.clone(), super::CAUSE);
        }
    }

    /// How a user fares with the staged version; nothing until it has been
    /// looked at with it.
    fn progress(&self, key: &ObjectKey, name: &PluginName) -> Option<Progress> {
        match self.uses.health(key, name) {
            (Health::Published, true) => Some(Progress::Done),
            (Health::Refused(why), true) => Some(Progress::Refused(why)),
            (Health::Pending, true) => Some(Progress::Pending),
            (_, false) => None,
        }
    }
}

fn entry_of(settings: &Settings, loaded: &Loaded) -> Entry {
    Entry {
        listing: Listing::Ready(Arc::clone(&loaded.version.info)),
        governance: Some(Arc::clone(&settings.governance)),
        template: loaded.template.clone(),
        notice: None,
    }
}

fn is_rolling(object: &PolicyPlugin) -> bool {
    let status = object.status.as_ref();
    status.is_some_and(|status| status.rollout.is_some())
}

/// Tells when a plugin must be looked at again.
#[derive(Clone)]
struct News<'s> {
    settings: &'s Settings,
    seen: ContentHash,
    changes: watch::Receiver<u64>,
}

impl News<'_> {
    /// Waits for a change of what the settings name, or for so long.
    async fn heard(mut self, plugins: &PolicyPlugins, pause: Option<Duration>) {
        let changed = async {
            while self.changes.changed().await.is_ok() {
                if plugins.config_maps.fingerprint(keys(self.settings)) != self.seen {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        match pause {
            Some(pause) => {
                // Either way there is something to look at.
                let _ = tokio::time::timeout(pause, changed).await;
            }
            None => changed.await,
        }
    }
}

/// The ConfigMaps that the settings name.
fn keys(settings: &Settings) -> impl Iterator<Item = &ConfigMapKey> {
    let of_source = match &settings.source {
        Source::Oci(oci) => oci.ca_bundle.as_ref(),
        Source::Http(http) => http.ca_bundle.as_ref(),
        Source::ConfigMap(key) => Some(key),
        Source::BuiltIn(_) | Source::File(_) => None,
    };
    let verification = settings.verification.as_ref();
    of_source
        .into_iter()
        .chain(verification.and_then(|verification| verification.trust_root.as_ref()))
        .chain(&settings.template)
}

//! What a sweep asks of the instances: who is connected, and to look again.

use std::sync::Arc;

use operator_core::names::InstanceName;

use super::{Connection, Instances, State};

impl Instances {
    /// The instances that can be used, with their connections.
    #[must_use]
    pub(crate) fn connections(&self) -> Vec<(InstanceName, Arc<Connection>)> {
        let entries = self.entries.read();
        entries
            .values()
            .filter_map(|entry| match (&entry.instance, &entry.state) {
                (Some(instance), State::Ready(connection)) => {
                    Some((instance.name.clone(), Arc::clone(connection)))
                }
                _ => None,
            })
            .collect()
    }

    /// Connects once more: reads the service anew and puts back what it must
    /// have. Until that is done, the connection that is there serves.
    pub(crate) fn reconnect(self: &Arc<Self>, name: &InstanceName) {
        let mut entries = self.entries.write();
        let Some(entry) = entries.get_mut(name.as_str()) else {
            return;
        };
        let Some(instance) = entry.instance.clone() else {
            return;
        };
        let this = Arc::clone(self);
        let object = entry.object.clone();
        entry.task.abort();
        entry.task =
            tokio::spawn(async move { this.connect(instance, object).await }).abort_handle();
    }

    /// Says on the ApimInstance which limits of its tier are near.
    pub(crate) async fn near_limits(&self, name: &InstanceName, near: Vec<String>) {
        let told = {
            let mut entries = self.entries.write();
            let Some(entry) = entries.get_mut(name.as_str()) else {
                return;
            };
            if entry.near == near {
                return;
            }
            entry.near = near;
            match (&entry.state, &entry.object) {
                (State::Ready(connection), Some(object)) => {
                    Some(((entry.note(), Arc::clone(connection)), object.clone()))
                }
                _ => None,
            }
        };
        if let Some((outcome, mut object)) = told {
            self.report(&mut object, Ok(&outcome)).await;
        }
    }
}

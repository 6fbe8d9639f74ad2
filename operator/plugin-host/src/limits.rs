//! What one call may use: the host's limits and the plugin's own together.

use std::time::Duration;

use operator_core::policy_plugin::PluginLimits;

use crate::config::Limits;

/// What each call of a plugin may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallLimits {
    /// Memory in bytes, all linear memories together.
    pub memory: usize,
    /// Time.
    pub time: Duration,
    /// What the call may hand back, in bytes.
    pub output: usize,
}

impl CallLimits {
    /// Those of a plugin that has none of its own.
    pub(crate) fn of_host(host: &Limits) -> Self {
        Self {
            memory: host.memory_bytes.min(host.max_memory_bytes),
            time: host.timeout.min(host.max_timeout),
            output: host.output_bytes.min(host.max_output_bytes),
        }
    }

    /// Those of a plugin with its own, as far as the host's maxima allow.
    pub(crate) fn of_plugin(own: PluginLimits, host: &Limits) -> Self {
        let general = Self::of_host(host);
        let bytes = |own: Option<u64>, general: usize, most: usize| {
            own.map_or(general, |own| usize::try_from(own).unwrap_or(most))
                .min(most)
        };
        Self {
            memory: bytes(own.memory, general.memory, host.max_memory_bytes),
            time: own.time.unwrap_or(general.time).min(host.max_timeout),
            output: bytes(own.output, general.output, host.max_output_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_has_the_hosts_limits_unless_it_has_its_own_up_to_the_maxima() {
        let host = Limits {
            max_memory_bytes: 128 << 20,
            ..Limits::default()
        };
        assert_eq!(
            CallLimits::of_plugin(PluginLimits::default(), &host),
            CallLimits {
                memory: 64 << 20,
                time: Duration::from_secs(1),
                output: 4 << 20,
            }
        );
        let own = PluginLimits {
            memory: Some(u64::MAX),
            time: Some(Duration::from_hours(1)),
            output: Some(2048),
        };
        assert_eq!(
            CallLimits::of_plugin(own, &host),
            CallLimits {
                memory: 128 << 20,
                time: Duration::from_secs(10),
                output: 2048,
            }
        );
    }
}

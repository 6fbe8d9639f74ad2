//! Log lines, on stderr.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::uptime;

use crate::args::LogFormat;

/// The original operator's levels, in ours.
fn level_of(logging: &str) -> Option<&'static str> {
    match logging.trim().to_ascii_uppercase().as_str() {
        "DEBUG" => Some("debug"),
        "INFO" | "NOTSET" => Some("info"),
        "WARNING" | "WARN" => Some("warn"),
        "ERROR" | "CRITICAL" | "FATAL" => Some("error"),
        _ => None,
    }
}

/// Starts logging. `filter` is `RUST_LOG`'s; without it LOGGING's level counts.
pub(crate) fn start(filter: Option<&str>, format: LogFormat, default: &str) -> anyhow::Result<()> {
    let logging = std::env::var("LOGGING").ok();
    let level = match (filter, &logging) {
        (Some(filter), _) => filter.to_owned(),
        (None, Some(logging)) => level_of(logging)
            .ok_or_else(|| {
                anyhow::anyhow!(
                    "LOGGING is `{logging}`; it can be DEBUG, INFO, WARNING, ERROR or CRITICAL"
                )
            })?
            .to_owned(),
        (None, None) => default.to_owned(),
    };
    let filter = EnvFilter::try_new(&level).map_err(|error| {
        anyhow::anyhow!("`{level}` is not a log filter ({error}); try `info` or `info,kube=debug`")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => {
            let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
            builder.with_ansi(ansi).with_timer(uptime()).init();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_operators_levels_are_understood() {
        assert_eq!(level_of("warning"), Some("warn"));
        assert_eq!(level_of("CRITICAL"), Some("error"));
        assert_eq!(level_of("loud"), None);
    }
}

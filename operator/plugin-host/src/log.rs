//! Where a plugin's log lines go.

use std::sync::Arc;

use crate::bindings::oda::policy::log::{Host, Level};
use crate::config::Limits;

/// The log of one call. A plugin may flood it; nothing but its first lines
/// gets through.
#[derive(Debug)]
pub(crate) struct LogSink {
    plugin: Arc<str>,
    lines: usize,
    max_lines: usize,
    max_bytes: usize,
    last: Option<String>,
}

impl LogSink {
    pub(crate) fn new(plugin: Arc<str>, limits: &Limits) -> Self {
        Self {
            plugin,
            lines: 0,
            max_lines: limits.log_lines,
            max_bytes: limits.log_line_bytes,
            last: None,
        }
    }

    /// The last line, also one that did not get through: where a plugin
    /// crashed, it is the reason.
    pub(crate) fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }
}

impl Host for LogSink {
    fn write(&mut self, level: Level, message: String) {
        let line = printable(&message, self.max_bytes);
        self.lines = self.lines.saturating_add(1);
        if self.lines <= self.max_lines {
            let plugin = &*self.plugin;
            match level {
                Level::Debug => tracing::debug!(target: "plugin", plugin, "{line}"),
                Level::Info => tracing::info!(target: "plugin", plugin, "{line}"),
                Level::Warn => tracing::warn!(target: "plugin", plugin, "{line}"),
                Level::Error => tracing::error!(target: "plugin", plugin, "{line}"),
            }
        } else if self.lines == self.max_lines + 1 {
            tracing::warn!(
                target: "plugin",
                plugin = &*self.plugin,
                "the plugin logs too much; the rest of this call's lines are dropped"
            );
        }
        self.last = Some(line);
    }
}

/// One line of at most so many bytes, in which nothing moves a terminal's
/// cursor or turns its text round.
pub(crate) fn printable(text: &str, max_bytes: usize) -> String {
    let mut line = String::with_capacity(text.len().min(max_bytes));
    for c in text.trim_end().chars() {
        if line.len() + c.len_utf8() > max_bytes {
            line.push('…');
            break;
        }
        line.push(if is_harmful(c) { ' ' } else { c });
    }
    line
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_line_has_no_control_characters() {
        assert_eq!(printable("a\x1b[31mb\nc\u{202e}d\n", 100), "a [31mb c d");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        assert_eq!(printable("äöü", 5), "äö…");
        assert_eq!(printable("äöü", 6), "äöü");
    }
}

//! Says how far the built-in plugins are where they have to be compiled, which
//! takes some seconds.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use operator_plugin_host::PluginHost;

/// What is told on stderr while the built-in plugins are loaded.
pub(super) struct Progress<'h> {
    host: &'h PluginHost,
    /// How many the host had compiled before.
    before: u64,
    /// Where compiled plugins are, and whether they stay there.
    kept: Option<PathBuf>,
    stays: bool,
    begun: Instant,
    terminal: bool,
    /// Whether somebody knows by now that plugins are compiled.
    said: Cell<bool>,
}

impl<'h> Progress<'h> {
    pub(super) fn of(host: &'h PluginHost, cache: Option<&Path>, stays: bool) -> Self {
        Self {
            host,
            before: host.stats().compiled,
            kept: cache.map(Path::to_owned),
            stays,
            begun: Instant::now(),
            terminal: std::io::stderr().is_terminal(),
            said: Cell::new(false),
        }
    }

    /// So many of them are loaded.
    pub(super) fn tell(&self, done: usize, all: usize) {
        let compiled = self.host.stats().compiled - self.before;
        // What is kept may be another version's: that shows with the first.
        if compiled == 0 && (done > 0 || self.is_anything_kept()) {
            return;
        }
        if done == all {
            let took = self.begun.elapsed().as_secs_f64();
            let before = if self.terminal { "\r" } else { "" };
            let kept = match self.kept.as_ref().filter(|_| self.stays) {
                Some(folder) => format!("kept in {}", folder.display()),
                None => "--cache-dir keeps them".to_owned(),
            };
            let plural = if compiled == 1 { "" } else { "s" };
            eprintln!("{before}compiled {compiled} built-in plugin{plural} in {took:.1} s; {kept}");
        } else if self.terminal {
            eprint!("\rcompiling the built-in plugins: {done} of {all}");
        } else if !self.said.replace(true) {
            eprintln!("compiling the {all} built-in plugins");
        }
    }

    fn is_anything_kept(&self) -> bool {
        let entries = self.kept.as_ref().map(std::fs::read_dir);
        entries.is_some_and(|entries| entries.is_ok_and(|mut all| all.next().is_some()))
    }
}

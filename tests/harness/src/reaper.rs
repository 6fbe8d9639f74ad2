//! No stray processes, no stray files: one small shell process per test
//! process holds the read end of a pipe. However the test process ends
//! (returned, panicked, Ctrl-C, `kill -9`), the pipe closes and the shell
//! kills the process groups and removes the folders that are still listed.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// The positional parameters are the list of what to clean up. Killed
/// processes may write for a moment longer, so folders go last. (dash knows no
/// `kill -- -id`.)
const SCRIPT: &str = r#"
trap '' HUP INT TERM
set --
while read -r op item; do
  for kept; do shift; [ "$kept" = "$item" ] || set -- "$@" "$kept"; done
  [ "$op" = drop ] || set -- "$@" "$item"
done
for item; do
  case $item in group\ *) kill -KILL "-${item#group }" ;; esac
done
for item; do
  case $item in
    group\ *)
      tries=0
      while kill -0 "-${item#group }" && [ $tries -lt 40 ]; do
        tries=$((tries + 1)); sleep 0.05
      done ;;
  esac
done
for item; do
  case $item in dir\ *) rm -rf -- "${item#dir }" ;; esac
done
"#;

static PIPE: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// An entry in the list; dropping it takes the entry off the list.
#[derive(Debug)]
pub(crate) struct Listed(String);

/// Lists the process group `id` to be killed when this process ends.
pub(crate) fn list_group(id: impl Display) -> io::Result<Listed> {
    list(format!("group {id}"))
}

fn list(item: String) -> io::Result<Listed> {
    send("keep", &item)?;
    Ok(Listed(item))
}

impl Drop for Listed {
    fn drop(&mut self) {
        // A shell that is gone has nothing listed any more.
        let _ = send("drop", &self.0);
    }
}

fn send(op: &str, item: &str) -> io::Result<()> {
    let mut guard = PIPE.lock().unwrap_or_else(PoisonError::into_inner);
    let pipe = match &mut *guard {
        Some(pipe) => pipe,
        empty => empty.insert(start()?),
    };
    pipe.write_all(format!("{op} {item}\n").as_bytes())
}

fn start() -> io::Result<ChildStdin> {
    // Its own process group: Ctrl-C in a terminal goes to the foreground
    // group, and the shell must outlive that. No inherited output: whoever
    // reads the test's output to its end must not wait for the shell.
    let shell = Command::new("/bin/sh")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    shell
        .stdin
        .ok_or_else(|| io::Error::other("the clean-up shell has no stdin"))
}

/// A temporary folder that is removed when dropped, and by the clean-up shell
/// when the process ends before that.
#[derive(Debug)]
pub struct TempDir {
    // Dropped in this order: removed first, then taken off the list.
    dir: tempfile::TempDir,
    _listed: Listed,
}

impl TempDir {
    /// Makes a folder whose name starts with `prefix` in the system's folder
    /// for temporary files.
    pub fn new(prefix: &str) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix(prefix).tempdir()?;
        let path = dir.path().to_str().ok_or_else(|| {
            io::Error::other("the folder for temporary files has a name that is not UTF-8")
        })?;
        let listed = list(format!("dir {path}"))?;
        Ok(Self {
            dir,
            _listed: listed,
        })
    }

    /// Where the folder is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A path inside the folder.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }
}

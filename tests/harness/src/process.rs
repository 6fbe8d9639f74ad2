//! A child process with its output in a file: started in its own process
//! group, waited for, and gone at the latest when the test process is.

use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::reaper::{self, Listed};

const POLL: Duration = Duration::from_millis(20);
/// How much of a log an error message quotes.
const TAIL_LINES: usize = 15;

/// What can go wrong with a child process.
#[derive(thiserror::Error)]
pub enum ProcessError {
    /// The program could not be started, or its log not be read.
    #[error("{name}: {source}")]
    Io {
        /// The process.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It ended while it was being waited for.
    #[error("{name} ended ({status}) before {awaited}; its last lines:\n{tail}")]
    Ended {
        /// The process.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// What the caller waited for.
        awaited: String,
        /// The end of its log.
        tail: String,
    },
    /// It runs, but what was waited for did not happen.
    #[error("{name}: {awaited} did not happen within {deadline:?}; its last lines:\n{tail}")]
    Late {
        /// The process.
        name: String,
        /// What the caller waited for.
        awaited: String,
        /// For how long.
        deadline: Duration,
        /// The end of its log.
        tail: String,
    },
}

/// A test's `unwrap` shows the message, not a structure.
impl std::fmt::Debug for ProcessError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy)]
pub struct Exit {
    /// Its exit status.
    pub status: ExitStatus,
    /// From the signal to the end.
    pub took: Duration,
    /// It was killed: at once by `kill`, at the deadline by `terminate`.
    pub forced: bool,
}

/// A running child process. Dropping it kills it and everything it started.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
    listed: Option<Listed>,
}

impl Process {
    /// Starts `command` with stdout and stderr appended to the file `log` and
    /// no stdin. `name` is what messages call it.
    pub fn spawn(
        name: &str,
        command: &mut Command,
        log: impl Into<PathBuf>,
    ) -> Result<Self, ProcessError> {
        let log = log.into();
        Self::spawn_inner(command, &log)
            .map(|(child, listed)| Self {
                name: name.to_owned(),
                child,
                log,
                ended: None,
                listed: Some(listed),
            })
            .map_err(|source| ProcessError::Io {
                name: format!("{name} ({})", Path::new(command.get_program()).display()),
                source,
            })
    }

    fn spawn_inner(command: &mut Command, log: &Path) -> io::Result<(Child, Listed)> {
        let out = File::options().create(true).append(true).open(log)?;
        let err = out.try_clone()?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()?;
        match reaper::list_group(child.id()) {
            Ok(listed) => Ok((child, listed)),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// The process id, which is also the id of its process group.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file with its output.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// All it has printed so far.
    pub fn log(&self) -> Result<String, ProcessError> {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|source| self.io(source))
    }

    /// How it ended, or `None` while it runs.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, ProcessError> {
        if self.ended.is_none() {
            let ended = self.child.try_wait().map_err(|source| self.io(source))?;
            if let Some(status) = ended {
                self.finish(status);
            }
        }
        Ok(self.ended)
    }

    /// Waits until it has printed a whole line that contains `text`, and
    /// gives that line back.
    pub async fn wait_for_line(
        &mut self,
        text: &str,
        deadline: Duration,
    ) -> Result<String, ProcessError> {
        let awaited = format!("a line with {text:?}");
        let started = Instant::now();
        loop {
            // Asked before the log is read, so that a last line is not missed.
            let ended = self.try_wait()?;
            let log = self.log()?;
            let complete = log.rfind('\n').map_or("", |end| &log[..end]);
            if let Some(line) = complete.lines().find(|line| line.contains(text)) {
                return Ok(line.to_owned());
            }
            self.go_on(ended, &awaited, started, deadline).await?;
        }
    }

    /// Waits until a GET of `url` answers 2xx. The certificate of an https
    /// URL is not verified: this asks whether it is up, nothing else.
    pub async fn wait_for_url(
        &mut self,
        url: &str,
        deadline: Duration,
    ) -> Result<(), ProcessError> {
        install_crypto();
        let awaited = format!("a good answer from {url}");
        let client = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .no_proxy()
            .timeout(Duration::from_secs(2))
            .build()
            .map_err(|error| self.io(io::Error::other(error)))?;
        let started = Instant::now();
        loop {
            if let Ok(answer) = client.get(url).send().await
                && answer.status().is_success()
            {
                return Ok(());
            }
            let ended = self.try_wait()?;
            self.go_on(ended, &awaited, started, deadline).await?;
        }
    }

    /// One round of waiting: an error when the process has ended or the time
    /// is over, otherwise a short pause.
    async fn go_on(
        &self,
        ended: Option<ExitStatus>,
        awaited: &str,
        started: Instant,
        deadline: Duration,
    ) -> Result<(), ProcessError> {
        let name = self.name.clone();
        let awaited = awaited.to_owned();
        if let Some(status) = ended {
            let tail = self.tail();
            return Err(ProcessError::Ended {
                name,
                status,
                awaited,
                tail,
            });
        }
        if started.elapsed() > deadline {
            let tail = self.tail();
            return Err(ProcessError::Late {
                name,
                awaited,
                deadline,
                tail,
            });
        }
        tokio::time::sleep(POLL).await;
        Ok(())
    }

    /// `kill -9`, for it and everything it started.
    pub fn kill(&mut self) -> Result<Exit, ProcessError> {
        let started = Instant::now();
        let (status, forced) = if let Some(status) = self.ended {
            (status, false)
        } else {
            self.kill_group();
            let status = self.child.wait().map_err(|source| self.io(source))?;
            self.finish(status);
            (status, true)
        };
        Ok(Exit {
            status,
            took: started.elapsed(),
            forced,
        })
    }

    /// Sends SIGTERM and waits for the end; kills what still runs at the
    /// deadline.
    pub async fn terminate(&mut self, deadline: Duration) -> Result<Exit, ProcessError> {
        let started = Instant::now();
        self.signal(Signal::TERM);
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(Exit {
                    status,
                    took: started.elapsed(),
                    forced: false,
                });
            }
            if started.elapsed() > deadline {
                return self.kill();
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends `signal` to the process alone, not to what it started. A process
    /// that has ended is no error.
    pub fn signal(&self, signal: Signal) {
        if self.ended.is_none() {
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
    }

    /// What it started and did not stop goes with it, now: later the id may
    /// belong to others.
    fn finish(&mut self, status: ExitStatus) {
        self.kill_group();
        self.ended = Some(status);
        self.listed = None;
    }

    fn kill_group(&self) {
        // A group that has no member left is no error.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
    }

    fn tail(&self) -> String {
        let log = self
            .log()
            .unwrap_or_else(|error| format!("(no log: {error})"));
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    fn io(&self, source: io::Error) -> ProcessError {
        ProcessError::Io {
            name: self.name.clone(),
            source,
        }
    }
}

impl Exit {
    /// Whether it ended by SIGKILL.
    #[must_use]
    pub fn was_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done here about a child that cannot be waited for.
        let _ = self.kill();
    }
}

/// rustls wants one crypto provider per process; whoever comes first sets it.
pub(crate) fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

//! What operators log. Each runs on a runtime of its own whose threads carry
//! the place where their lines are kept, so that seeds that run side by side do
//! not mix.

use std::cell::RefCell;
use std::io::Write;
use std::sync::{Arc, Once};

use parking_lot::Mutex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// More than a schedule of usual length logs; beyond, only the secrets' check
/// suffers, and says so.
const MOST: usize = 64 << 20;

thread_local! {
    static SINK: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// The lines of one seed's operators.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// This thread's lines go here from now on.
    pub(crate) fn adopt_thread(&self) {
        SINK.with(|sink| *sink.borrow_mut() = Some(self.clone()));
    }

    /// Everything so far.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }

    /// Adds a line of the driver's own.
    pub(crate) fn say(&self, line: &str) {
        self.push(format!("---- {line}\n").as_bytes());
    }

    fn push(&self, bytes: &[u8]) {
        let mut lines = self.0.lock();
        if lines.len() < MOST {
            lines.extend_from_slice(bytes);
        }
    }
}

struct ToThread;

impl Write for ToThread {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        SINK.with(|sink| {
            if let Some(log) = &*sink.borrow() {
                log.push(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Writers;

impl<'a> MakeWriter<'a> for Writers {
    type Writer = ToThread;

    fn make_writer(&'a self) -> ToThread {
        ToThread
    }
}

/// Sets up logging for the process, once. What the operator says at its most
/// talkative is kept, and what the libraries below it say: a secret must be in
/// none of it.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let filter = EnvFilter::new(
            "debug,cranelift=off,wasmtime=off,h2=info,tower=info,hyper_util=info,kube_client=info",
        );
        let installed = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(Writers)
            .with_ansi(false)
            .try_init();
        // Another one of the same process serves as well.
        let _ = installed;
    });
}

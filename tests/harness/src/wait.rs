//! Waiting for a condition instead of sleeping. A wait that fails says what
//! was awaited and what was seen last.

use std::fmt::{self, Debug, Display};
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::watcher::Event;
use kube::runtime::watcher::{Config, watcher};
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What was awaited did not happen in time.
#[derive(thiserror::Error)]
#[error("{awaited}: not within {deadline:?}; last seen: {last}")]
pub struct WaitError {
    /// The description that the caller gave.
    pub awaited: String,
    /// For how long it was awaited.
    pub deadline: Duration,
    /// What the condition saw last.
    pub last: String,
}

/// A test's `unwrap` shows the message, not a structure.
impl Debug for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// Calls `condition` until it gives `Ok`, with growing pauses of 10 to 500 ms.
/// `Err` holds what it saw this time. A call that hangs is ended at the
/// deadline too. Where one object is awaited, [`wait_for`] notices sooner.
pub async fn wait_until<T, L, F>(
    awaited: &str,
    deadline: Duration,
    mut condition: F,
) -> Result<T, WaitError>
where
    F: AsyncFnMut() -> Result<T, L>,
    L: Display,
{
    let mut last = "nothing: the first look did not end".to_owned();
    let looks = async {
        let mut pause = FIRST_PAUSE;
        loop {
            match condition().await {
                Ok(found) => return found,
                Err(seen) => last = seen.to_string(),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    };
    if let Ok(found) = tokio::time::timeout(deadline, looks).await {
        return Ok(found);
    }
    Err(WaitError {
        awaited: awaited.to_owned(),
        deadline,
        last,
    })
}

/// Watches the object `name` until `check` gives `Some`. `check` sees `None`
/// while the object is not there, so a deletion can be awaited too.
pub async fn wait_for<K, T>(
    api: &Api<K>,
    name: &str,
    awaited: &str,
    deadline: Duration,
    mut check: impl FnMut(Option<&K>) -> Option<T>,
) -> Result<T, WaitError>
where
    K: Resource + Clone + Debug + Send + Serialize + DeserializeOwned + 'static,
{
    let mut last = "nothing: the watch did not start".to_owned();
    let config = Config::default().fields(&format!("metadata.name={name}"));
    let looks = async {
        let mut events = std::pin::pin!(watcher(api.clone(), config));
        let mut listed = None;
        loop {
            let seen = match events.next().await {
                Some(Ok(Event::Init)) => {
                    listed = None;
                    continue;
                }
                Some(Ok(Event::InitApply(object))) => {
                    listed = Some(object);
                    continue;
                }
                Some(Ok(Event::InitDone)) => listed.take(),
                Some(Ok(Event::Apply(object))) => Some(object),
                Some(Ok(Event::Delete(_))) => None,
                Some(Err(error)) => {
                    last = error.to_string();
                    tokio::time::sleep(LONGEST_PAUSE).await;
                    continue;
                }
                None => std::future::pending().await,
            };
            if let Some(found) = check(seen.as_ref()) {
                return found;
            }
            last = describe(seen.as_ref());
        }
    };
    if let Ok(found) = tokio::time::timeout(deadline, looks).await {
        return Ok(found);
    }
    Err(WaitError {
        awaited: format!("{awaited} ({name})"),
        deadline,
        last,
    })
}

fn describe<K: Serialize>(object: Option<&K>) -> String {
    let Some(object) = object else {
        return "no such object".to_owned();
    };
    serde_json::to_string(object).unwrap_or_else(|error| error.to_string())
}

//! How many objects are worked out at the same time.
//!
//! Many reconciles may wait for Azure at a time, but as many at their
//! computations would only share the processors, and each of them holds its
//! object as a tree, its documents and its policy: a look at everything would
//! take most of the process's memory, and the process keep it. So a reconcile
//! takes a seat before it unpacks its object, and gives it back when it waits
//! for somebody outside.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Seats for each processor: some wait for a thread or for a plugin.
const PER_PROCESSOR: usize = 4;
/// Seats at least: as many calls of plugins can run.
const LEAST: usize = 16;
/// Longer than checking a config or a call of a plugin usually takes.
const USUAL: Duration = Duration::from_millis(100);

/// All seats.
#[derive(Debug, Clone)]
pub struct Seats(Arc<Semaphore>);

/// One that is taken, until this is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Seats,
    permit: Option<OwnedSemaphorePermit>,
}

impl Default for Seats {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new((processors * PER_PROCESSOR).max(LEAST))
    }
}

impl Seats {
    /// So many.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Waits for a seat and takes it.
    pub async fn sit(&self) -> Seat {
        Seat {
            permit: self.permit().await,
            seats: self.clone(),
        }
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

impl Seat {
    /// Lets others sit while somebody outside is waited for, should it come to
    /// that.
    pub async fn away<T>(&mut self, wait: impl Future<Output = T>) -> T {
        let mut wait = std::pin::pin!(wait);
        if let Some(outcome) = wait.as_mut().now_or_never() {
            return outcome;
        }
        self.leave(wait).await
    }

    /// Keeps the seat while a thread works for the one who sits, for as long as
    /// such work usually takes: a plugin that hangs holds up nobody else.
    pub async fn briefly<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        match tokio::time::timeout(USUAL, work.as_mut()).await {
            Ok(outcome) => outcome,
            Err(_) => self.leave(work).await,
        }
    }

    async fn leave<T>(&mut self, wait: impl Future<Output = T>) -> T {
        self.permit = None;
        let outcome = wait.await;
        self.permit = self.seats.permit().await;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_that_takes_long_keeps_no_seat() {
        let seats = Seats::new(1);
        let mut first = seats.sit().await;
        assert_eq!(first.briefly(std::future::ready(7)).await, 7);
        let long = tokio::time::sleep(Duration::from_secs(1));
        let another = async {
            let started = tokio::time::Instant::now();
            drop(seats.sit().await);
            started.elapsed()
        };
        let ((), waited) = tokio::join!(first.briefly(long), another);
        assert_eq!(waited, USUAL);
        assert!(seats.sit().now_or_never().is_none(), "the first is back");
    }

    #[tokio::test]
    async fn who_is_away_lets_another_sit_and_waits_for_a_seat_to_come_back() {
        let seats = Seats::new(1);
        let mut first = seats.sit().await;
        assert!(seats.sit().now_or_never().is_none());
        let (tell, told) = tokio::sync::oneshot::channel();
        {
            let mut away = std::pin::pin!(first.away(told));
            assert!(away.as_mut().now_or_never().is_none());
            let second = seats.sit().now_or_never();
            assert!(second.is_some());
            tell.send(()).unwrap();
            assert!(away.as_mut().now_or_never().is_none(), "the seat is taken");
            drop(second);
            away.await.unwrap();
        }
        assert_eq!(first.away(std::future::ready(7)).await, 7);
        assert!(seats.sit().now_or_never().is_none());
        drop(first);
        assert!(seats.sit().now_or_never().is_some());
    }
}

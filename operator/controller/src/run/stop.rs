//! The wish to stop, which many parts wait for.

use tokio::sync::watch;

/// Tells when the process was asked to stop.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Asked to stop when the future is done.
    pub(super) fn when(shutdown: impl Future<Output = ()> + Send + 'static) -> Self {
        let (tell, told) = watch::channel(false);
        tokio::spawn(async move {
            shutdown.await;
            tell.send_replace(true);
            // Kept until the process ends, so that who asks later still hears
            // it.
            std::future::pending::<()>().await;
        });
        Self(told)
    }

    /// Never asked to stop.
    pub(crate) fn never() -> Self {
        Self::when(std::future::pending())
    }

    /// Waits until then.
    pub(super) async fn asked(mut self) {
        // The other end lives as long as the process.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}

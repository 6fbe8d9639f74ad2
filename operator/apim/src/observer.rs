//! A hook through which calls become metrics, without a metrics library here.

/// Is told of every answer, and of every call that got none.
pub trait CallObserver: Send + Sync {
    /// One attempt of one call.
    ///
    /// `method` is the HTTP method; `kind` what was called (`api`, `apiPolicy`,
    /// `operation`, …; a small fixed set); `status` the HTTP status, 0 where no
    /// answer came; `seconds` from sending to the end of the body.
    fn observed(&self, method: &str, kind: &str, status: u16, seconds: f64);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl CallObserver for NoObserver {
    fn observed(&self, _: &str, _: &str, _: u16, _: f64) {}
}

//! What `rate-limit`, `quota` and their forms by key have in common: counting
//! when the response is known.

use crate::body::{Body, BodyError, BodyState};
use crate::compile::Value;
use crate::counters::Quota;
use crate::exchange::Exchange;
use crate::shared::Shared;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use jiff::Timestamp;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Something to count when the response is known.
pub(crate) struct Count {
    pub(super) key: String,
    pub(super) what: Counted,
    /// Nothing is counted where it says no.
    pub(super) condition: Option<Value<bool>>,
    /// How many calls it counts for.
    pub(super) amount: Amount,
}

/// How many calls one call counts for.
pub(super) enum Amount {
    /// None: they are counted already.
    Counted,
    /// One.
    One,
    /// What this says.
    Said(Value<i64>),
}

impl From<Option<Value<i64>>> for Amount {
    fn from(said: Option<Value<i64>>) -> Self {
        said.map_or(Self::One, Self::Said)
    }
}

/// The counter.
#[derive(Clone, Copy)]
pub(super) enum Counted {
    Rate { period: i64 },
    Quota(Quota),
}

/// Counts what had to wait; the bytes of a response are counted as they go.
pub(crate) async fn count_afterwards(exchange: &mut Exchange) -> Counting {
    let mut counting = Counting {
        shared: Arc::clone(&exchange.shared),
        quotas: Vec::new(),
        bytes: 0,
    };
    for count in std::mem::take(&mut exchange.afterwards) {
        let wanted = exchange.get_option(count.condition.as_ref()).await;
        // A condition that fails counts: a limit must not be escaped by it.
        if !wanted.ok().flatten().unwrap_or(true) {
            continue;
        }
        let amount = match &count.amount {
            Amount::Counted => 0,
            Amount::One => 1,
            Amount::Said(amount) => {
                u64::try_from(exchange.get(amount).await.unwrap_or(1)).unwrap_or_default()
            }
        };
        let now = exchange.now().as_millisecond();
        match count.what {
            Counted::Rate { period } => {
                exchange.shared.rates.add(&count.key, period, now, amount);
            }
            Counted::Quota(quota) => {
                exchange
                    .shared
                    .quotas
                    .add(&count.key, &quota, now, amount, 0);
                if quota.bandwidth.is_some() {
                    counting.quotas.push((count.key, quota));
                }
            }
        }
    }
    if !counting.quotas.is_empty() {
        counting.bytes = sent(exchange);
    }
    counting
}

/// The bytes of the request's body, where its length is known.
fn sent(exchange: &Exchange) -> u64 {
    match &exchange.request_body {
        BodyState::Bytes(bytes) => bytes.len() as u64,
        _ => exchange
            .context
            .request
            .headers
            .joined("Content-Length")
            .and_then(|length| length.parse().ok())
            .unwrap_or_default(),
    }
}

/// Counts the bytes of a response for quotas.
pub(crate) struct Counting {
    shared: Arc<Shared>,
    quotas: Vec<(String, Quota)>,
    bytes: u64,
}

impl Counting {
    /// A body whose bytes are counted when it has gone out, or has been cut.
    pub(crate) fn around(self, body: Body) -> Body {
        if self.quotas.is_empty() {
            return body;
        }
        CountingBody {
            body,
            counting: self,
        }
        .boxed_unsync()
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let now: Timestamp = self.shared.clock.now();
        for (key, quota) in &self.quotas {
            self.shared
                .quotas
                .add(key, quota, now.as_millisecond(), 0, self.bytes);
        }
    }
}

struct CountingBody {
    body: Body,
    counting: Counting,
}

impl hyper::body::Body for CountingBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.counting.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

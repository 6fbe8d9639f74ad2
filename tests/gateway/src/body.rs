//! Bodies: streams until somebody reads them, bytes from then on, never more
//! than a limit.

use bytes::{Bytes, BytesMut};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A streamed body.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Why a body ended too early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection failed.
    #[error("the body ended early: {0}")]
    Broken(String),
    /// Nothing came for too long.
    #[error("the body did not come in time")]
    Slow,
    /// It is larger than may be held in memory.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
}

/// A body that is there.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// No body.
pub(crate) fn empty() -> Body {
    full(Bytes::new())
}

/// A message's body at some point of its way.
#[derive(Default)]
pub(crate) enum BodyState {
    /// There is none.
    #[default]
    None,
    /// Nobody has read it.
    Stream(Body),
    /// It was read, and can be read and sent again.
    Bytes(Bytes),
    /// It was sent on without being kept.
    Taken,
}

impl BodyState {
    /// A body that came in; none where the message says it has none.
    pub(crate) fn incoming(body: Body) -> Self {
        if body.is_end_stream() {
            Self::None
        } else {
            Self::Stream(body)
        }
    }

    /// Reads the body, once; later calls give the same bytes.
    pub(crate) async fn buffer(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        let bytes = match std::mem::take(self) {
            Self::None | Self::Taken => return Ok(Bytes::new()),
            Self::Bytes(bytes) => bytes,
            Self::Stream(body) => match collect(body, limit).await {
                Ok(bytes) => bytes,
                Err(error) => {
                    *self = Self::Taken;
                    return Err(error);
                }
            },
        };
        *self = Self::Bytes(bytes.clone());
        Ok(bytes)
    }

    /// What to send; bytes stay, a stream is gone then.
    pub(crate) fn send(&mut self) -> Body {
        match self {
            Self::None => empty(),
            Self::Bytes(bytes) => full(bytes.clone()),
            Self::Stream(_) | Self::Taken => match std::mem::replace(self, Self::Taken) {
                Self::Stream(body) => body,
                _ => empty(),
            },
        }
    }
}

/// Reads a body whole, up to `limit` bytes.
pub(crate) async fn collect(mut body: Body, limit: usize) -> Result<Bytes, BodyError> {
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyError::TooLarge(limit));
    }
    let mut collected = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            if collected.len() + data.len() > limit {
                return Err(BodyError::TooLarge(limit));
            }
            collected.extend_from_slice(&data);
        }
    }
    Ok(collected.freeze())
}

/// Reads the beginning of a body, at least `enough` bytes where there are so
/// many, and gives a body that begins with them again. So what breaks at once
/// is known before anything is sent on.
pub(crate) async fn peek(mut body: Body, enough: usize) -> Result<Body, BodyError> {
    let mut start = Vec::new();
    let mut length = 0;
    while length < enough {
        let Some(frame) = body.frame().await else {
            return Ok(whole(start));
        };
        let frame = frame?;
        length += frame.data_ref().map_or(0, Bytes::len);
        start.push(frame);
    }
    Ok(Resumed {
        start: start.into(),
        rest: body,
    }
    .boxed_unsync())
}

/// A body that came whole. Its length is known then, unless trailers follow.
fn whole(mut frames: Vec<Frame<Bytes>>) -> Body {
    if frames.iter().any(Frame::is_trailers) {
        let frames = futures::stream::iter(frames.into_iter().map(Ok));
        return http_body_util::StreamBody::new(frames).boxed_unsync();
    }
    if frames.len() == 1
        && let Some(Ok(only)) = frames.pop().map(Frame::into_data)
    {
        return full(only);
    }
    let data = frames.iter().filter_map(Frame::data_ref);
    full(data.fold(BytesMut::new(), |mut all, data| {
        all.extend_from_slice(data);
        all
    }))
}

struct Resumed {
    start: std::collections::VecDeque<Frame<Bytes>>,
    rest: Body,
}

impl hyper::body::Body for Resumed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.start.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.start.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let waiting: usize = self
            .start
            .iter()
            .filter_map(Frame::data_ref)
            .map(Bytes::len)
            .sum();
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + waiting as u64);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + waiting as u64);
        }
        hint
    }
}

/// The slowest that a client may send, in bytes per second: what ASP.NET Core
/// asks for by default (`MinRequestBodyDataRate`). What API Management asks
/// for is not documented.
pub(crate) const SLOWEST: u32 = 240;

/// A body that fails when nothing comes for `patience`; with a `slowest` rate,
/// in bytes per second, also when it has been waited for longer in all than
/// its bytes are worth. Time in which nobody asks for more does not count.
pub(crate) fn impatient<B>(body: B, patience: Duration, slowest: Option<u32>) -> Body
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display,
{
    Impatient {
        body,
        patience,
        slowest,
        bytes: 0,
        waited: Duration::ZERO,
        timer: None,
    }
    .boxed_unsync()
}

struct Impatient<B> {
    body: B,
    patience: Duration,
    slowest: Option<u32>,
    /// What has come so far.
    bytes: u64,
    /// How long it was waited for before the current wait.
    waited: Duration,
    /// The current wait: since when, and until when.
    timer: Option<(tokio::time::Instant, Pin<Box<tokio::time::Sleep>>)>,
}

impl<B> Impatient<B> {
    /// How much longer may be waited.
    fn left(&self) -> Duration {
        let Some(slowest) = self.slowest else {
            return self.patience;
        };
        let worth = Duration::from_millis(self.bytes.saturating_mul(1000) / u64::from(slowest));
        let left = (self.patience + worth).saturating_sub(self.waited);
        self.patience.min(left)
    }
}

impl<B> hyper::body::Body for Impatient<B>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            if let Some((since, _)) = self.timer.take() {
                self.waited += since.elapsed();
            }
            if let Some(Ok(frame)) = &frame {
                self.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
            }
            return Poll::Ready(
                frame.map(|frame| frame.map_err(|error| BodyError::Broken(error.to_string()))),
            );
        }
        let left = self.left();
        let (_, timer) = self.timer.get_or_insert_with(|| {
            let now = tokio::time::Instant::now();
            (now, Box::pin(tokio::time::sleep_until(now + left)))
        });
        timer
            .as_mut()
            .poll(context)
            .map(|()| Some(Err(BodyError::Slow)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

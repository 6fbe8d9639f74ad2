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
            let frames = futures::stream::iter(start.into_iter().map(Ok));
            return Ok(http_body_util::StreamBody::new(frames).boxed_unsync());
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

/// A body that fails when nothing comes for `patience`.
pub(crate) fn impatient<B>(body: B, patience: Duration) -> Body
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display,
{
    Impatient {
        body,
        patience,
        timer: None,
    }
    .boxed_unsync()
}

struct Impatient<B> {
    body: B,
    patience: Duration,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
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
            self.timer = None;
            return Poll::Ready(
                frame.map(|frame| frame.map_err(|error| BodyError::Broken(error.to_string()))),
            );
        }
        let patience = self.patience;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
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

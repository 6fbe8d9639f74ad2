//! What goes wrong between the operator and Azure.

use serde::{Deserialize, Serialize};

use crate::draw::Draw;

/// Which of the operator's calls to Azure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// Any.
    Any,
    /// A read of an API.
    Read,
    /// The creation of an API, an import, or a change of settings.
    Api,
    /// The write of a policy document.
    Policy,
    /// The deletion of an API.
    Delete,
    /// A look at a long-running operation.
    Poll,
    /// A request for a token.
    Token,
    /// A read of the service itself, or of its `OpenID` provider.
    Service,
}

/// How Azure fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AzureAnswer {
    /// 409 `PessimisticConcurrencyConflict`.
    Locked,
    /// The call succeeds, and its API stays locked for some writes.
    LockedAfter,
    /// 412.
    Precondition,
    /// 422 `ManagementApiRequestFailed`, a time-out behind the front end.
    Unprocessable,
    /// 429 with `Retry-After`.
    ThrottledFor,
    /// 429 without.
    Throttled,
    /// 403 `AuthorizationFailed`.
    Forbidden,
    /// 401.
    Unauthorized,
    /// 500.
    Broken,
    /// 503.
    Unavailable,
    /// 500, although it was done.
    BrokenAfter,
    /// The connection is closed before it is done.
    Reset,
    /// The connection is closed after it was done.
    ResetAfter,
    /// The connection is closed in the middle of the answer.
    Cut,
    /// It takes 150 ms more.
    Slow,
    /// The long-running operation fails.
    Failed,
    /// The long-running operation takes a hundred looks.
    Endless,
    /// 404, where the API is there.
    Missing,
}

/// A fault of Azure's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AzureFault {
    /// Which calls suffer.
    pub call: Call,
    /// What is answered.
    pub answer: AzureAnswer,
    /// How many calls pass first.
    pub after: u8,
    /// How many suffer.
    pub count: u8,
}

/// The shape of long-running operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Shape {
    /// At once.
    Sync,
    /// `Azure-AsyncOperation`.
    AsyncOperation,
    /// 202 with `Location`.
    Location,
}

impl AzureFault {
    pub(super) fn draw(draw: &mut Draw) -> Self {
        use AzureAnswer as A;
        let call = draw.weighted(&[
            (3, Call::Any),
            (4, Call::Read),
            (6, Call::Api),
            (5, Call::Policy),
            (2, Call::Delete),
            (3, Call::Poll),
            (1, Call::Token),
            (1, Call::Service),
        ]);
        let answer = match call {
            Call::Token => draw.one(&[A::Broken, A::Reset, A::Slow, A::Unavailable]),
            Call::Poll => draw.one(&[
                A::Missing,
                A::Broken,
                A::Reset,
                A::Cut,
                A::Slow,
                A::ThrottledFor,
            ]),
            Call::Read | Call::Service => draw.one(&[
                A::ThrottledFor,
                A::Throttled,
                A::Forbidden,
                A::Unauthorized,
                A::Broken,
                A::Unavailable,
                A::Unprocessable,
                A::Reset,
                A::Cut,
                A::Slow,
            ]),
            Call::Any | Call::Api | Call::Policy | Call::Delete => draw.one(&[
                A::Locked,
                A::LockedAfter,
                A::Precondition,
                A::Unprocessable,
                A::ThrottledFor,
                A::Throttled,
                A::Forbidden,
                A::Broken,
                A::Unavailable,
                A::BrokenAfter,
                A::Reset,
                A::ResetAfter,
                A::Cut,
                A::Slow,
                A::Failed,
                A::Endless,
            ]),
        };
        Self {
            call,
            answer,
            // A change is one or two writes, a deletion is one: what is to
            // strike later than that mostly never does.
            after: draw.weighted(&[(12, 0), (2, 1), (1, 2)]),
            count: u8::try_from(draw.between(1, 5)).unwrap_or(1),
        }
    }
}

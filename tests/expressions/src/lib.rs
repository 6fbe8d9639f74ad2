//! The C# of Azure API Management's policy expressions, as a small typed
//! interpreter: `@(…)` and `@{ … return …; }` are parsed and type-checked when
//! a policy is written, and executed against a [`Context`] when a request
//! comes.
//!
//! It must never give a wrong value: what it does not know (a type, a member,
//! a form of statement) is a [`ParseError`] with line and column, before any
//! request. It must never read a file, a clock or the network, never run
//! longer than its [`Limits`] allow, and never share code with the operator.
//!
//! Its source is the documentation of policy expressions,
//! <https://learn.microsoft.com/azure/api-management/api-management-policy-expressions>.
//!
//! ```
//! use apim_expressions::{Context, Expression, Limits};
//!
//! let expression = Expression::parse(r#"@("Hi There".Length + 1)"#)?;
//! let value = expression.evaluate(&mut Context::default(), &Limits::default())?;
//! assert_eq!(value.to_string(), "9");
//!
//! let error = Expression::parse("@(context.Requets.Method)").unwrap_err();
//! assert_eq!((error.line, error.column), (1, 11));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod check;
mod context;
mod error;
mod evaluate;
mod expression;
mod limits;
mod members;
mod multimap;
mod syntax;
mod text;
mod types;
mod value;

pub use context::{
    Api, BasicAuthCredentials, Body, Certificate, Context, Deployment, Group, LastError, Operation,
    Product, Request, Response, Subscription, SubscriptionKeyNames, Url, User, UserIdentity,
};
pub use error::{EvaluationError, ParseError};
pub use expression::Expression;
pub use limits::Limits;
pub use multimap::MultiMap;
pub use text::Text;
pub use value::{
    DateTime, DateTimeKind, DateTimeOffset, Json, Jwt, Number, Opaque, TimeSpan, Value,
};

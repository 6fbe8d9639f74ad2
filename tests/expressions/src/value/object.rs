//! Values that only expressions can look into.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use super::Value;
use crate::evaluate::Function;
use crate::types::Type;
use crate::{Api, Group, Response, UserIdentity};

/// Everything that is not a variant of [`Value`].
#[derive(Debug)]
pub(crate) enum Object {
    /// A part of `context`.
    Part(Part),
    /// A part of a stored response.
    PartOf(Part, Arc<Response>),
    Api(Arc<Api>),
    Group(Arc<Group>),
    Identity(Arc<UserIdentity>),
    Items(Items),
    /// Keys and values, in the order in which they came.
    Dictionary(Dictionary),
    Pair(Value, Value),
    Anonymous(Arc<[Arc<str>]>, Vec<Value>),
    Closure(Closure),
    Query(Query),
    Builder(Mutex<String>),
    Encoding(Encoding),
    Hash(Hash),
    Random(Mutex<u64>),
    Uri(url::Url),
    Regex(Arc<fancy_regex::Regex>),
    Match(Arc<Match>),
    Groups(Arc<Match>),
    GroupOf(Arc<Match>, usize),
    Exception(&'static str, Arc<str>),
    /// A member of an enumeration: its type and name.
    Enum(&'static str, &'static str),
    Address(std::net::IpAddr),
    /// The claims of a token.
    Claims(Arc<crate::Jwt>),
}

/// A part of `context`, which is read where it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Context,
    Deployment,
    LastError,
    Operation,
    Product,
    Request,
    Response,
    Subscription,
    User,
    Url,
    OriginalUrl,
    ServiceUrl,
    Query,
    OriginalQuery,
    ServiceQuery,
    RequestHeaders,
    ResponseHeaders,
    RequestBody,
    ResponseBody,
    MatchedParameters,
    Variables,
    Certificates,
}

/// An array or a list of anything but bytes.
#[derive(Debug)]
pub(crate) struct Items {
    pub(crate) element: Type,
    pub(crate) kind: ItemsKind,
    pub(crate) values: Mutex<Vec<Value>>,
}

/// What an [`Items`] is in .NET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemsKind {
    Array,
    List,
    HashSet,
}

/// `Dictionary<TKey, TValue>`.
#[derive(Debug)]
pub(crate) struct Dictionary {
    pub(crate) key: Type,
    pub(crate) value: Type,
    pub(crate) entries: Mutex<indexmap::IndexMap<Key, (Value, Value)>>,
}

/// What makes two keys of a dictionary the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Bool(bool),
    Char(u16),
    Integer(i128),
    Text(Arc<str>),
    Guid(Uuid),
    Ticks(i64),
}

/// A variable that functions share.
pub(crate) type Cell = Arc<Mutex<Value>>;

/// A lambda or a local function with the variables it uses.
#[derive(Debug)]
pub(crate) struct Closure {
    pub(crate) function: Arc<Function>,
    pub(crate) captured: Vec<Cell>,
}

/// A sequence that is made when it is walked.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) source: Value,
    pub(crate) step: Step,
    /// How many queries this one is made of.
    pub(crate) length: u16,
}

/// What a [`Query`] does with its source.
#[derive(Debug)]
pub(crate) enum Step {
    Where(Value),
    Select(Value),
    SelectMany(Value),
    Skip(usize),
    Take(usize),
    SkipWhile(Value),
    TakeWhile(Value),
    Concat(Value),
    /// As the source; made when it is walked: sorted, reversed, grouped.
    Distinct,
    Reverse,
    OrderBy(Value, bool),
    Cast(Type),
    OfType(Type),
    Zip(Value, Value),
}

/// `System.Text.Encoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Ascii,
    Unicode,
    Latin1,
}

/// A hash algorithm, with a key where it is an HMAC.
#[derive(Debug)]
pub(crate) struct Hash {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: Option<Mutex<Vec<u8>>>,
}

/// Which hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// A match of a regular expression, by bytes of its text.
#[derive(Debug)]
pub(crate) struct Match {
    pub(crate) text: Arc<str>,
    pub(crate) regex: Option<Arc<fancy_regex::Regex>>,
    pub(crate) groups: Vec<Option<(usize, usize)>>,
}

impl fmt::Display for Object {
    /// `ToString()` of a class that has none of its own is the class's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Items(items) => match items.kind {
                ItemsKind::Array => write!(f, "{}[]", clr_name(&items.element)),
                ItemsKind::List => generic(f, "System.Collections.Generic.List", &[&items.element]),
                ItemsKind::HashSet => {
                    generic(f, "System.Collections.Generic.HashSet", &[&items.element])
                }
            },
            Self::Dictionary(dictionary) => generic(
                f,
                "System.Collections.Generic.Dictionary",
                &[&dictionary.key, &dictionary.value],
            ),
            Self::Pair(key, value) => write!(f, "[{key}, {value}]"),
            Self::Anonymous(names, values) => {
                f.write_str("{ ")?;
                for (index, (name, value)) in names.iter().zip(values).enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{name} = {value}")?;
                }
                f.write_str(" }")
            }
            Self::Builder(text) => f.write_str(&text.lock()),
            Self::Uri(uri) => f.write_str(uri.as_str()),
            Self::Regex(regex) => f.write_str(regex.as_str()),
            Self::Match(found) => f.write_str(found.group(0).unwrap_or_default()),
            Self::GroupOf(found, index) => f.write_str(found.group(*index).unwrap_or_default()),
            Self::Exception(name, message) => write!(f, "System.{name}: {message}"),
            Self::Enum(_, name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
            other => f.write_str(other.class()),
        }
    }
}

impl Object {
    /// A name for messages.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::Part(part) | Self::PartOf(part, _) => part.class(),
            Self::Api(_) => "IApi",
            Self::Group(_) => "IGroup",
            Self::Identity(_) => "IUserIdentity",
            Self::Items(items) => match items.kind {
                ItemsKind::Array => "System.Array",
                ItemsKind::List => "System.Collections.Generic.List",
                ItemsKind::HashSet => "System.Collections.Generic.HashSet",
            },
            Self::Dictionary(_) => "System.Collections.Generic.Dictionary",
            Self::Pair(..) => "System.Collections.Generic.KeyValuePair",
            Self::Anonymous(..) => "<>f__AnonymousType",
            Self::Closure(_) => "System.Func",
            Self::Query(_) => "System.Linq.Enumerable",
            Self::Builder(_) => "System.Text.StringBuilder",
            Self::Encoding(_) => "System.Text.Encoding",
            Self::Hash(_) => "System.Security.Cryptography.HashAlgorithm",
            Self::Random(_) => "System.Random",
            Self::Uri(_) => "System.Uri",
            Self::Regex(_) => "System.Text.RegularExpressions.Regex",
            Self::Match(_) => "System.Text.RegularExpressions.Match",
            Self::Groups(_) => "System.Text.RegularExpressions.GroupCollection",
            Self::GroupOf(..) => "System.Text.RegularExpressions.Group",
            Self::Exception(..) => "System.Exception",
            Self::Enum(name, _) => name,
            Self::Address(_) => "System.Net.IPAddress",
            Self::Claims(_) => "IReadOnlyDictionary",
        }
    }
}

impl Drop for Object {
    /// What holds others is taken apart step by step: a chain of a hundred
    /// thousand would exhaust the stack if each dropped the next.
    fn drop(&mut self) {
        let mut rest = Vec::new();
        self.take_children(&mut rest);
        while let Some(value) = rest.pop() {
            if let Value::Object(super::Opaque(object)) = value
                && let Some(mut object) = Arc::into_inner(object)
            {
                object.take_children(&mut rest);
            }
        }
    }
}

impl Object {
    fn take_children(&mut self, rest: &mut Vec<Value>) {
        match self {
            Self::Items(items) => rest.append(items.values.get_mut()),
            Self::Dictionary(dictionary) => {
                for (_, (key, value)) in dictionary.entries.get_mut().drain(..) {
                    rest.extend([key, value]);
                }
            }
            Self::Pair(key, value) => rest.extend([std::mem::take(key), std::mem::take(value)]),
            Self::Anonymous(_, values) => rest.append(values),
            Self::Closure(closure) => {
                let cells = std::mem::take(&mut closure.captured);
                rest.extend(
                    cells
                        .into_iter()
                        .filter_map(Arc::into_inner)
                        .map(Mutex::into_inner),
                );
            }
            Self::Query(query) => {
                rest.push(std::mem::take(&mut query.source));
                match &mut query.step {
                    Step::Where(one)
                    | Step::Select(one)
                    | Step::SelectMany(one)
                    | Step::SkipWhile(one)
                    | Step::TakeWhile(one)
                    | Step::Concat(one)
                    | Step::OrderBy(one, _) => rest.push(std::mem::take(one)),
                    Step::Zip(one, two) => rest.extend([std::mem::take(one), std::mem::take(two)]),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

impl Part {
    fn class(self) -> &'static str {
        match self {
            Self::Context => "IProxyRequestContext",
            Self::Deployment => "IDeployment",
            Self::LastError => "ILastError",
            Self::Operation => "IOperation",
            Self::Product => "IProduct",
            Self::Request => "IRequest",
            Self::Response => "IResponse",
            Self::Subscription => "ISubscription",
            Self::User => "IUser",
            Self::Url | Self::OriginalUrl | Self::ServiceUrl => "IUrl",
            Self::RequestBody | Self::ResponseBody => "IMessageBody",
            Self::Query
            | Self::OriginalQuery
            | Self::ServiceQuery
            | Self::RequestHeaders
            | Self::ResponseHeaders
            | Self::MatchedParameters
            | Self::Variables
            | Self::Certificates => "IReadOnlyDictionary",
        }
    }
}

impl Match {
    /// The text of a group that took part.
    pub(crate) fn group(&self, index: usize) -> Option<&str> {
        let (start, end) = (*self.groups.get(index)?)?;
        self.text.get(start..end)
    }
}

fn generic(f: &mut fmt::Formatter<'_>, name: &str, arguments: &[&Type]) -> fmt::Result {
    let names: Vec<String> = arguments.iter().map(|one| clr_name(one)).collect();
    write!(f, "{name}`{}[{}]", names.len(), names.join(","))
}

/// The full .NET name of a type, where it is one of the usual.
pub(crate) fn clr_name(one: &Type) -> String {
    match one {
        Type::Object => "System.Object".to_owned(),
        Type::Bool => "System.Boolean".to_owned(),
        Type::Char => "System.Char".to_owned(),
        Type::String => "System.String".to_owned(),
        Type::Number(kind) => kind.clr_name().to_owned(),
        Type::Array(element) => format!("{}[]", clr_name(element)),
        other => other.to_string(),
    }
}

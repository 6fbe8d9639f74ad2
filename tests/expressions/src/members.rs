//! What types there are and what members they have: one table for each, which
//! is the only place that says so. The checker reads the signatures, the
//! machine runs what stands beside them.

mod registry;
mod table;

mod collections;
mod context;
mod convert;
mod crypto;
mod exceptions;
mod guid;
mod json;
mod json_path;
mod jwt;
mod linq;
mod math;
mod messages;
mod numbers;
mod object;
mod regex;
mod strings;
mod text;
mod time;
mod time_offset;
mod uri;
mod web;

pub(crate) use context::enumerate;
pub(crate) use convert::{parse_bool, rounded};
pub(crate) use exceptions::exception_is;
pub(crate) use guid::parse_guid;
pub(crate) use numbers::parse_number;
pub(crate) use registry::{
    Class, Entry, Formal, alike, as_base, derives, is_struct, registry, substitute,
};
pub(crate) use strings::compare_text;
pub(crate) use table::Table;

/// Every table: a new type is one file and one line.
const TABLES: &[&[Table]] = &[
    object::TABLES,
    strings::TABLES,
    text::TABLES,
    numbers::TABLES,
    math::TABLES,
    convert::TABLES,
    guid::TABLES,
    time::TABLES,
    time_offset::TABLES,
    collections::TABLES,
    linq::TABLES,
    json::TABLES,
    context::TABLES,
    messages::TABLES,
    jwt::TABLES,
    regex::TABLES,
    uri::TABLES,
    web::TABLES,
    crypto::TABLES,
    exceptions::TABLES,
];

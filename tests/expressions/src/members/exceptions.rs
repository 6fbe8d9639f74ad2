//! Exceptions.

use super::table::{Member, Table};
use crate::error::Fault;
use crate::evaluate::{Call, Machine};
use crate::value::{Object, Value};

macro_rules! exception {
    ($name:literal, $base:literal, $namespace:literal) => {
        Table {
            name: $name,
            namespace: $namespace,
            bases: &[$base],
            members: &[
                Member("new()", |_, _| {
                    Ok(Value::object(Object::Exception(
                        $name,
                        concat!("Exception of type 'System.", $name, "' was thrown.").into(),
                    )))
                }),
                Member("new(string message)", |_, a| {
                    Ok(Value::object(Object::Exception($name, a.text_or_empty(0))))
                }),
            ],
            ..Table::CLASS
        }
    };
}

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "Exception",
        namespace: "System",
        members: &[
            Member("new()", |_, _| {
                Ok(Value::object(Object::Exception(
                    "Exception",
                    "Exception of type 'System.Exception' was thrown.".into(),
                )))
            }),
            Member("new(string message)", |_, a| {
                Ok(Value::object(Object::Exception(
                    "Exception",
                    a.text_or_empty(0),
                )))
            }),
            Member("string Message", message),
        ],
        ..Table::CLASS
    },
    exception!("ArgumentException", "Exception", "System"),
    exception!("ArgumentNullException", "ArgumentException", "System"),
    exception!("ArgumentOutOfRangeException", "ArgumentException", "System"),
    exception!("ArithmeticException", "Exception", "System"),
    exception!("DivideByZeroException", "ArithmeticException", "System"),
    exception!("OverflowException", "ArithmeticException", "System"),
    exception!("FormatException", "Exception", "System"),
    exception!("IndexOutOfRangeException", "Exception", "System"),
    exception!("InvalidCastException", "Exception", "System"),
    exception!("InvalidOperationException", "Exception", "System"),
    exception!("NotSupportedException", "Exception", "System"),
    exception!("NullReferenceException", "Exception", "System"),
    exception!(
        "KeyNotFoundException",
        "Exception",
        "System.Collections.Generic"
    ),
    exception!("UriFormatException", "FormatException", "System"),
    exception!("JsonException", "Exception", "Newtonsoft.Json"),
    exception!("JsonReaderException", "JsonException", "Newtonsoft.Json"),
    exception!(
        "CryptographicException",
        "Exception",
        "System.Security.Cryptography"
    ),
];

fn message(machine: &mut Machine<'_>, call: &mut Call<'_>) -> Result<Value, Fault> {
    match &*call.object(0)? {
        Object::Exception(_, message) => machine.text(message.clone()),
        _ => Err(Fault::null()),
    }
}

/// Whether `catch (wanted)` catches an exception.
pub(crate) fn exception_is(name: &'static str, wanted: &'static str) -> bool {
    use crate::types::Type;
    wanted == "Exception" || super::derives(&Type::named(name), &Type::named(wanted))
}

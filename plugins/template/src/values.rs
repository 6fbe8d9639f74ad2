//! From the text of an attribute or an element to a value of the policy.

use policy_sdk::{Form, Part, Value};
use quick_xml::escape::unescape;

use crate::functions::Code;
use crate::marks;
use crate::result::{Fault, Reading};

/// What API Management reads as code or as a named value.
const SPECIAL: [&str; 3] = ["{{", "@(", "@{"];

/// A piece of a text, in the order of the text.
enum Piece {
    /// The template's own text.
    Own(String),
    /// What it inserted.
    Inserted(String),
    /// What stands in the place of a mark.
    Code(Code),
}

/// The value of an attribute.
pub(crate) fn attribute(reading: &Reading<'_>, raw: &str, at: usize) -> Result<Value, Fault> {
    value(reading, pieces(reading, raw, at)?, at)
}

/// The text of an element; none where there is nothing but the template's
/// white space, which is also taken off both ends.
pub(crate) fn text(reading: &Reading<'_>, raw: &str, at: usize) -> Result<Option<Value>, Fault> {
    let at = at + raw.len() - raw.trim_start().len();
    let mut pieces = pieces(reading, raw, at)?;
    if let Some(Piece::Own(own)) = pieces.first_mut() {
        *own = own.trim_start().to_owned();
    }
    if let Some(Piece::Own(own)) = pieces.last_mut() {
        *own = own.trim_end().to_owned();
    }
    pieces.retain(|piece| !matches!(piece, Piece::Own(own) if own.is_empty()));
    if pieces.is_empty() {
        return Ok(None);
    }
    value(reading, pieces, at).map(Some)
}

fn value(reading: &Reading<'_>, pieces: Vec<Piece>, at: usize) -> Result<Value, Fault> {
    let mut pieces = pieces;
    if pieces.len() == 1
        && let Some(Piece::Code(Code::CSharp { form, parts })) =
            pieces.pop_if(|piece| matches!(piece, Piece::Code(Code::CSharp { .. })))
    {
        return Ok(Value {
            form,
            parts,
            pointer: None,
        });
    }
    refuse_special(reading, &pieces, at)?;
    let mut parts: Vec<Part> = Vec::new();
    let mut pointer = None;
    for piece in pieces {
        match piece {
            Piece::Code(Code::CSharp { .. }) => {
                return Err(Fault::new(
                    at,
                    "an expression must be all of an attribute's value or of an element's text: put what \
                     stands beside it into its code",
                ));
            }
            Piece::Code(Code::NamedValue(name)) => parts.push(Part::NamedValue(name)),
            Piece::Inserted(text) => {
                pointer = pointer.or_else(|| reading.data.pointer_of(&text));
                push(&mut parts, text);
            }
            Piece::Own(text) => push(&mut parts, text),
        }
    }
    if parts.is_empty() {
        parts.push(Part::Text(String::new()));
    }
    Ok(Value {
        form: Form::Literal,
        parts,
        pointer,
    })
}

fn push(parts: &mut Vec<Part>, more: String) {
    if let Some(Part::Text(text)) = parts.last_mut() {
        text.push_str(&more);
    } else {
        parts.push(Part::Text(more));
    }
}

/// Refuses text that API Management would read as something else. The host
/// does so too; here it is known who wrote it.
fn refuse_special(reading: &Reading<'_>, pieces: &[Piece], at: usize) -> Result<(), Fault> {
    let find = |text: &str| SPECIAL.into_iter().find(|special| text.contains(special));
    for piece in pieces {
        if let Piece::Inserted(text) = piece
            && let Some(special) = find(text)
        {
            return Err(Fault::new(
                at,
                format!(
                    "a value that is inserted holds `{special}`, which API Management would not read as text: \
                     remove it there"
                ),
            )
            .about(reading.data.pointer_of(text)));
        }
    }
    // Also what two neighbours make together. Nothing is in the place of a
    // named value: it is not known here.
    let joined: String = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Own(text) | Piece::Inserted(text) => text.as_str(),
            Piece::Code(_) => "\u{0}",
        })
        .collect();
    let Some(special) = find(&joined) else {
        return Ok(());
    };
    Err(Fault::new(
        at,
        if special == "{{" {
            "it holds `{{`: a named value of API Management is written `{{ named_value(name=\"…\") }}`"
                .to_owned()
        } else {
            format!(
                "it holds `{special}`: code is written `{{{{ expression(code=\"…\") }}}}`, or with \
                 `statements`"
            )
        },
    ))
}

/// Takes a text apart at its marks.
fn pieces(reading: &Reading<'_>, raw: &str, at: usize) -> Result<Vec<Piece>, Fault> {
    let mut pieces = Vec::new();
    let mut rest = raw;
    let broken = || {
        Fault::new(
            at,
            "something was done to a text that holds inserted values or code: use filters on the values \
             themselves, and write code and values beside each other instead of joining them with `~`",
        )
    };
    while !rest.is_empty() {
        let (own, marked) = rest.split_at(rest.find(marks::ALL).unwrap_or(rest.len()));
        if !own.is_empty() {
            pieces.push(Piece::Own(plain(own, at)?));
        }
        let Some(mark) = marked.chars().next() else {
            break;
        };
        let inner = &marked[mark.len_utf8()..];
        let close = match mark {
            marks::OPEN => marks::CLOSE,
            marks::CODE => marks::END,
            _ => return Err(broken()),
        };
        // The first mark that follows must be the one that closes.
        let end = inner.find(marks::ALL).ok_or_else(broken)?;
        let (content, after) = inner.split_at(end);
        rest = after.strip_prefix(close).ok_or_else(broken)?;
        if mark == marks::OPEN {
            pieces.push(Piece::Inserted(plain(content, at)?));
        } else {
            let code = content
                .parse()
                .ok()
                .and_then(|index| reading.codes.get(index));
            pieces.push(Piece::Code(code.ok_or_else(broken)?));
        }
    }
    Ok(pieces)
}

fn plain(raw: &str, at: usize) -> Result<String, Fault> {
    unescape(raw)
        .map(std::borrow::Cow::into_owned)
        .map_err(|error| Fault::new(at, format!("{error}: write `&amp;` for `&`")))
}

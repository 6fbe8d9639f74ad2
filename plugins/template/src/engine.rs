//! Runs a template.

use tera::{Context, ErrorKind, Tera, Value};

use crate::data::Data;
use crate::functions::{self, Codes};
use crate::marks;
use crate::strings::strings;

/// The name under which Tera knows the template. The suffix switches the
/// marking of what is inserted on.
const NAME: &str = "template.xml";
/// How much of a line an error shows.
const SHOWN: usize = 120;

/// Runs a template. The answer is its text, with marks, and what the marks
/// stand for; or what is wrong, with its place in the template.
pub(crate) fn render(template: &str, data: &Data) -> Result<(String, Codes), String> {
    if let Some(at) = template.find(marks::ALL) {
        let mark = template[at..].chars().next().unwrap_or_default();
        return Err(format!(
            "{}: the private-use character U+{:04X} is not for templates: remove it",
            place(template, at),
            u32::from(mark)
        ));
    }
    let mut tera = Tera::new();
    tera.autoescape_on(vec![".xml"]);
    tera.set_escape_fn(marks::insert);
    let codes = functions::register(&mut tera, strings(template));
    let explain = |error: &tera::Error| explain(error, template);
    tera.add_raw_template(NAME, template)
        .map_err(|error| explain(&error))?;
    let mut context = Context::new();
    for (name, value) in &data.variables {
        let value = Value::try_from_serializable(value).map_err(|error| explain(&error))?;
        context.insert_value(name.clone(), value);
    }
    let text = tera
        .render(NAME, &context)
        .map_err(|error| explain(&error))?;
    Ok((text, codes))
}

/// What Tera found, in one line, with line and column.
fn explain(error: &tera::Error, template: &str) -> String {
    let (message, line, column) = match error.kind() {
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
            let span = report.span();
            (
                report.message().to_owned(),
                span.start_line,
                span.start_col + 1,
            )
        }
        other => match located(&other.to_string()) {
            Some(found) => found,
            None => return format!("the template: {}", one_line(&other.to_string())),
        },
    };
    let mut text = format!(
        "line {line}, column {column} of the template: {}: `{}`",
        one_line(&message).trim_end_matches('.'),
        shown(
            template
                .lines()
                .nth(line.saturating_sub(1))
                .unwrap_or_default()
        )
    );
    if message.contains("undefined") || message.contains("not defined") {
        text.push_str(
            ". The template has the variables `values`, `api`, `instance` and `operation`; a named value of \
             API Management is written `{{ named_value(name=\"…\") }}`",
        );
    }
    text
}

/// Reads Tera's report on what it found before it ran the template, of which
/// it gives the text alone.
fn located(report: &str) -> Option<(String, usize, usize)> {
    let message = report.lines().next()?.trim_start_matches("error: ");
    let place = report.split("--> ").nth(1)?.lines().next()?;
    let mut numbers = place.rsplit(':').map(|number| number.trim().parse());
    let column = numbers.next()?.ok()?;
    let line = numbers.next()?.ok()?;
    Some((message.to_owned(), line, column))
}

/// Where a byte of the template is.
fn place(template: &str, at: usize) -> String {
    let before = &template[..at];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[start..].chars().count() + 1;
    format!("line {line}, column {column} of the template")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A line as an error shows it.
pub(crate) fn shown(line: &str) -> String {
    let line = line.trim();
    let mut text: String = line.chars().take(SHOWN).collect();
    if line.chars().nth(SHOWN).is_some() {
        text.push('…');
    }
    text
}

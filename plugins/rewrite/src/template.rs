//! Templates of URLs.

use policy_sdk::{Context, Diagnostic};

/// Whether the text is a path, perhaps with parameters in braces: absolute,
/// without what means something else in a URL or leads out of it.
pub(crate) fn is_path(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !b"?#\\\"<>@".contains(&b);
    let leads_out = text.split('/').any(|segment| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == "." || segment == ".."
    });
    text.starts_with('/') && !text.starts_with("//") && text.bytes().all(plain) && !leads_out
}

/// Whether a template may stand here.
pub(crate) fn check(context: &Context, template: &str) -> Result<(), Diagnostic> {
    let wrong = |message: String| Err(Diagnostic::error("/template", message));
    let Some(operation) = &context.operation else {
        return wrong(
            "a template stands for one operation, and would send all of this API to one path: set it \
             under operation-plugins, or use prefix"
                .to_owned(),
        );
    };
    let shown = template.escape_debug();
    let (path, query) = template.split_once('?').unwrap_or((template, ""));
    if !is_path(path) || query.contains(['#', '@', '"', '<', '>', ' ']) {
        return wrong(format!(
            "`{shown}` is not a path with an optional query, as in /items/{{id}}?full=true"
        ));
    }
    let Some(names) = parameters(template) else {
        return wrong(format!(
            "the braces of `{shown}` do not match: a parameter is written {{name}}"
        ));
    };
    // Azure's reference: "You cannot add extra template path parameters".
    let known = context
        .api
        .operations
        .iter()
        .flatten()
        .find(|known| known.id == operation.id)
        .and_then(|known| parameters(&known.url_template).map(|names| (known, names)));
    let Some((known, allowed)) = known else {
        return Ok(());
    };
    match names.iter().find(|name| !allowed.contains(name)) {
        None => Ok(()),
        Some(name) => wrong(format!(
            "`{name}` is no parameter of the operation's own template, which is `{}`",
            known.url_template
        )),
    }
}

/// The names in braces; none if the braces do not match.
fn parameters(template: &str) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find(['{', '}']) {
        let inner = rest.get(open..)?.strip_prefix('{')?;
        let (name, after) = inner.split_once('}')?;
        // `{*path}` takes the rest of a path.
        let name = name.strip_prefix('*').unwrap_or(name);
        if name.is_empty() || name.contains('{') {
            return None;
        }
        names.push(name);
        rest = after;
    }
    Some(names)
}

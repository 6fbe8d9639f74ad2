//! What somebody probably meant.

/// The choice that is most like what was written, if any is like it at all.
pub fn nearest<'a>(written: &str, choices: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Case is the commonest slip of all.
    let written = written.to_ascii_lowercase();
    choices
        .into_iter()
        .map(|choice| {
            let score = strsim::jaro_winkler(&written, &choice.to_ascii_lowercase());
            (choice, score)
        })
        .filter(|(_, score)| *score >= 0.75)
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(choice, _)| choice)
}

/// The end of a sentence that offers the nearest choice, or nothing.
pub fn did_you_mean<'a>(written: &str, choices: impl IntoIterator<Item = &'a str>) -> String {
    nearest(written, choices)
        .map_or_else(String::new, |choice| format!("; did you mean `{choice}`?"))
}

/// A list for a message, cut where it gets long.
pub fn listed<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 20;
    let items: Vec<&str> = items.into_iter().collect();
    let shown: Vec<String> = items.iter().take(MOST).map(|i| format!("`{i}`")).collect();
    match items.len() {
        0 => "none".to_owned(),
        n if n > MOST => format!("{} and {} more", shown.join(", "), n - MOST),
        _ => shown.join(", "),
    }
}

/// A value for a message, cut where it gets long.
#[must_use]
pub fn shown(text: &str) -> String {
    const MOST: usize = 120;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let head: String = text.chars().take(MOST).collect();
    format!("{head}… ({} characters)", text.chars().count())
}

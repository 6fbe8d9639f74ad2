//! The mark in a text that people read: a comment of HTML, which neither HTML
//! nor Markdown shows.

/// What stands before and behind the mark.
const OPEN: &str = "<!-- ";
const CLOSE: &str = " -->";

/// A description that ends with the mark.
#[must_use]
pub fn marked(description: &str, mark: &str) -> String {
    let gap = if description.is_empty() { "" } else { "\n" };
    format!("{description}{gap}{OPEN}{mark}{CLOSE}")
}

/// What a description says, and the mark at its end, if it has one.
#[must_use]
pub fn mark_in(description: &str) -> (&str, Option<&str>) {
    let found = description
        .strip_suffix(CLOSE)
        .and_then(|rest| rest.rsplit_once(OPEN))
        .filter(|(_, mark)| crate::mark::OwnershipMark::parse(mark).is_some());
    match found {
        Some((text, mark)) => (text.strip_suffix('\n').unwrap_or(text), Some(mark)),
        None => (description, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &str = "apim-operator/1 01234567 shop/gold";

    #[test]
    fn a_mark_is_an_html_comment_at_the_end() {
        assert_eq!(
            marked("For <b>partners</b>", MARK),
            "For <b>partners</b>\n<!-- apim-operator/1 01234567 shop/gold -->"
        );
        assert_eq!(
            marked("", MARK),
            "<!-- apim-operator/1 01234567 shop/gold -->"
        );
        for text in ["", "For partners", "two\nlines\n"] {
            assert_eq!(mark_in(&marked(text, MARK)), (text, Some(MARK)));
        }
    }

    #[test]
    fn what_only_looks_like_a_mark_is_none() {
        for text in [
            "For partners",
            "<!-- apim-operator/1 01234567 shop/gold --> and more",
            "<!-- a comment -->",
            " -->",
        ] {
            assert_eq!(mark_in(text), (text, None));
        }
    }
}

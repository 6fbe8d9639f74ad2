//! URL templates of operations.

use super::percent_decode;
use regex::{Regex, RegexBuilder};

/// A compiled `urlTemplate`.
#[derive(Debug)]
pub(crate) struct Template {
    segments: Vec<Segment>,
    /// Parameters that the template asks for in the query: (query name,
    /// template parameter).
    query: Vec<(String, String)>,
}

#[derive(Debug)]
enum Segment {
    /// Compared without case, decoded.
    Literal(String),
    Parameter(String),
    /// Text and parameters in one segment.
    Mixed(Regex, Vec<String>),
    /// The rest of the path, with its name if it has one.
    Wildcard(Option<String>),
}

impl Template {
    /// Compiles a template; the error says what is wrong with it.
    pub(crate) fn parse(template: &str) -> Result<Self, String> {
        let (path, query) = template.split_once('?').unwrap_or((template, ""));
        let path = path.strip_prefix('/').unwrap_or(path);
        let mut segments = Vec::new();
        if !path.is_empty() {
            for part in path.split('/') {
                if matches!(segments.last(), Some(Segment::Wildcard(_))) {
                    return Err(format!("'{template}' goes on behind a wildcard"));
                }
                segments.push(Segment::parse(part)?);
            }
        }
        let query = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .filter_map(|(name, value)| {
                let value = value.strip_prefix('{')?.strip_suffix('}')?;
                Some((percent_decode(name), value.to_owned()))
            })
            .collect();
        Ok(Self { segments, query })
    }

    /// What the parameters match in a path's segments and a query, or `None`
    /// where the template does not fit.
    pub(crate) fn matches(
        &self,
        segments: &[&str],
        query: &[(String, String)],
    ) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        let mut rest = segments;
        for segment in &self.segments {
            if let Segment::Wildcard(name) = segment {
                if let Some(name) = name {
                    // Slashes that were encoded and slashes of the path are the
                    // same in what a wildcard gives.
                    found.push((name.clone(), percent_decode(&rest.join("/"))));
                }
                rest = &[];
                break;
            }
            let (first, others) = rest.split_first()?;
            segment.matches(&percent_decode(first), &mut found)?;
            rest = others;
        }
        // `/items/` is `/items`: inferred; routes of ASP.NET take both.
        if !(rest.is_empty() || rest == [""]) {
            return None;
        }
        for (name, parameter) in &self.query {
            let value = query
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
            found.push((parameter.clone(), value.1.clone()));
        }
        Some(found)
    }

    /// What decides between templates that fit: segment by segment, literal
    /// text before text with a parameter before a parameter before a wildcard,
    /// and more query parameters before fewer. Inferred: the order is not
    /// documented; this is the one of ASP.NET's routing.
    fn rank(&self) -> (Vec<u8>, std::cmp::Reverse<usize>) {
        let mut ranks: Vec<u8> = self
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Literal(_) => 1,
                Segment::Mixed(..) => 2,
                Segment::Parameter(_) => 3,
                Segment::Wildcard(_) => 4,
            })
            .collect();
        // A template that ends is nearer than one that goes on with a wildcard.
        ranks.push(0);
        (ranks, std::cmp::Reverse(self.query.len()))
    }
}

impl Segment {
    fn parse(part: &str) -> Result<Self, String> {
        if part == "*" {
            return Ok(Self::Wildcard(None));
        }
        if let Some(name) = part
            .strip_prefix("{*")
            .and_then(|name| name.strip_suffix('}'))
        {
            let name = Some(name.to_owned()).filter(|name| !name.is_empty());
            return Ok(Self::Wildcard(name));
        }
        if !part.contains(['{', '}']) {
            return Ok(Self::Literal(percent_decode(part).to_lowercase()));
        }
        let mut pattern = String::from("^");
        let mut names = Vec::new();
        let mut rest = part;
        while let Some(start) = rest.find('{') {
            let length = rest[start..]
                .find('}')
                .ok_or_else(|| format!("'{part}' does not close a brace"))?;
            let name = &rest[start + 1..start + length];
            if name.is_empty() || name.contains(['{', '*']) {
                return Err(format!("'{part}' has a parameter without a proper name"));
            }
            pattern.push_str(&regex::escape(&percent_decode(&rest[..start])));
            pattern.push_str("(.+?)");
            names.push(name.to_owned());
            rest = &rest[start + length + 1..];
        }
        if names.is_empty() {
            return Err(format!("'{part}' closes a brace that was not opened"));
        }
        if let [name] = names.as_slice()
            && part.len() == name.len() + 2
        {
            return Ok(Self::Parameter(name.clone()));
        }
        pattern.push_str(&regex::escape(&percent_decode(rest)));
        pattern.push('$');
        let pattern = RegexBuilder::new(&pattern)
            .case_insensitive(true)
            .dot_matches_new_line(true)
            .build()
            .map_err(|error| format!("'{part}': {error}"))?;
        Ok(Self::Mixed(pattern, names))
    }

    fn matches(&self, segment: &str, found: &mut Vec<(String, String)>) -> Option<()> {
        match self {
            Self::Literal(text) => (*text == segment.to_lowercase()).then_some(()),
            Self::Parameter(name) => {
                if segment.is_empty() {
                    return None;
                }
                found.push((name.clone(), segment.to_owned()));
                Some(())
            }
            Self::Mixed(pattern, names) => {
                let captures = pattern.captures(segment)?;
                for (name, value) in names.iter().zip(captures.iter().skip(1)) {
                    found.push((name.clone(), value.map_or("", |m| m.as_str()).to_owned()));
                }
                Some(())
            }
            Self::Wildcard(_) => None,
        }
    }
}

/// The operation that a path means among those of one method: its place in
/// `templates`, and what the parameters are.
pub(crate) fn best<'t>(
    templates: impl Iterator<Item = (usize, &'t Template)>,
    segments: &[&str],
    query: &[(String, String)],
) -> Option<(usize, Vec<(String, String)>)> {
    templates
        .filter_map(|(index, template)| {
            let found = template.matches(segments, query)?;
            Some((template.rank(), index, found))
        })
        .min_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)))
        .map(|(_, index, found)| (index, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chosen(templates: &[&str], path: &str, query: &[(&str, &str)]) -> Option<String> {
        let compiled: Vec<Template> = templates
            .iter()
            .map(|template| Template::parse(template).unwrap())
            .collect();
        let query: Vec<_> = query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let segments = if path == "/" { &[] } else { &segments[..] };
        best(compiled.iter().enumerate(), segments, &query).map(|(index, found)| {
            let found: Vec<String> = found
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("{} {}", templates[index], found.join(" "))
                .trim_end()
                .to_owned()
        })
    }

    #[test]
    fn literal_text_wins_over_parameters_and_wildcards_come_last() {
        let templates = [
            "/*",
            "/items/{*rest}",
            "/items/{id}",
            "/items/special",
            "/items/{id}/parts/{part}",
            "/items/v{version}",
            "/",
            "/search?q={text}",
            "/search",
        ];
        let cases = [
            ("/", "/"),
            ("/items/special", "/items/special"),
            ("/ITEMS/Special/", "/items/special"),
            ("/items/7", "/items/{id} id=7"),
            ("/items/V2", "/items/v{version} version=2"),
            ("/items/a%2Fb", "/items/{id} id=a/b"),
            ("/items/7/x/y", "/items/{*rest} rest=7/x/y"),
            ("/items/7/parts/9", "/items/{id}/parts/{part} id=7 part=9"),
            ("/other/thing", "/*"),
            ("/search", "/search"),
        ];
        for (path, expected) in cases {
            assert_eq!(
                chosen(&templates, path, &[]).as_deref(),
                Some(expected),
                "{path}"
            );
        }
        assert_eq!(
            chosen(&templates, "/search", &[("Q", "x")]).as_deref(),
            Some("/search?q={text} text=x")
        );
        assert_eq!(chosen(&["/items"], "/item", &[]), None);
        assert_eq!(chosen(&["/items/{id}"], "/items/", &[]), None);
    }

    #[test]
    fn templates_that_cannot_be_are_refused() {
        for template in ["/{a", "/a}", "/{*a}/b", "/{}/x{}"] {
            assert!(Template::parse(template).is_err(), "{template}");
        }
    }

    proptest! {
        #[test]
        fn any_path_and_template_are_survived(
            template in "/?[a-c{}*/?=%0-9.]{0,20}",
            path in "[a-c/%0-9A-F.{}]{0,20}",
        ) {
            if let Ok(template) = Template::parse(&template) {
                let segments: Vec<&str> = path.split('/').collect();
                let _ = template.matches(&segments, &[]);
            }
        }
    }
}

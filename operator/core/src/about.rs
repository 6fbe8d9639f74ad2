//! What is said of an API beside its name: the `info` of its OpenAPI document,
//! and the annotation `info` above it.

use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;

use crate::annotations::did_you_mean;
use crate::annotations::nearest::{listed, shown};

/// Terms, contact and licence of an API, as the portal shows them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// The URL of the terms of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_of_service: Option<String>,
    /// Whom to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// Under which licence it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<License>,
}

/// Whom to ask about an API.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Contact {
    /// The name of a person or a team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// An address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// The licence of an API.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct License {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Contact {
    /// Nothing where no field says anything.
    #[must_use]
    pub fn filled(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

impl License {
    /// Nothing where no field says anything.
    #[must_use]
    pub fn filled(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

impl About {
    /// The contact in a line.
    #[must_use]
    pub fn contact_line(&self) -> Option<String> {
        let contact = self.contact.as_ref()?;
        Some(line([&contact.name, &contact.url, &contact.email]))
    }

    /// The licence in a line.
    #[must_use]
    pub fn license_line(&self) -> Option<String> {
        let license = self.license.as_ref()?;
        Some(line([&license.name, &license.url]))
    }
}

fn line<const N: usize>(parts: [&Option<String>; N]) -> String {
    let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    parts.join(", ")
}

/// What one place says; what it does not name is absent, and what it names
/// empty is the inner nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Info {
    /// What the API is for.
    pub description: Option<Option<String>>,
    /// The URL of the terms of service.
    pub terms_of_service: Option<Option<String>>,
    /// Whom to ask.
    pub contact: Option<Option<Contact>>,
    /// Under which licence it is.
    pub license: Option<Option<License>>,
}

/// The longest description. API Management's specification names no limit: this
/// is what a plan and a page can still show.
const MAX_DESCRIPTION: usize = 4000;
const FIELDS: [&str; 4] = ["description", "termsOfService", "contact", "license"];

impl Info {
    /// Reads `{description, termsOfService, contact: {name, url, email}, license: {name, url}}`.
    /// Messages stand behind a pointer.
    pub(crate) fn read(value: &Value) -> Result<Self, Vec<(String, String)>> {
        let mut reader = Reader::default();
        let info = reader.info(value);
        if reader.0.is_empty() {
            Ok(info)
        } else {
            Err(reader.0)
        }
    }

    /// The `info` of a document: what cannot be shown is left out, with a
    /// message for each.
    pub(crate) fn of_document(value: &Value) -> (Self, Vec<(String, String)>) {
        let known = value.as_object().into_iter().flatten();
        let known = known.filter(|(field, _)| FIELDS.contains(&field.as_str()));
        let mut reader = Reader::default();
        // Extensions, and what later versions of OpenAPI add, are not shown.
        let mut parts: Map<String, Value> = known.map(|(k, v)| (k.clone(), v.clone())).collect();
        for (part, fields) in [("contact", &CONTACT[..]), ("license", &LICENSE[..])] {
            if let Some(Value::Object(part)) = parts.get_mut(part) {
                part.retain(|field, _| fields.contains(&field.as_str()));
            }
        }
        let info = reader.info(&Value::Object(parts));
        (info, reader.0)
    }

    /// This, and where it says nothing, `below`.
    #[must_use]
    pub fn above(self, below: Self) -> Self {
        Self {
            description: self.description.or(below.description),
            terms_of_service: self.terms_of_service.or(below.terms_of_service),
            contact: self.contact.or(below.contact),
            license: self.license.or(below.license),
        }
    }

    /// The description, and the rest.
    #[must_use]
    pub fn parts(self) -> (Option<String>, About) {
        let about = About {
            terms_of_service: self.terms_of_service.flatten(),
            contact: self.contact.flatten(),
            license: self.license.flatten(),
        };
        (self.description.flatten(), about)
    }
}

const CONTACT: [&str; 3] = ["name", "url", "email"];
const LICENSE: [&str; 2] = ["name", "url"];

/// Collects what is wrong.
#[derive(Default)]
struct Reader(Vec<(String, String)>);

impl Reader {
    fn say(&mut self, pointer: &str, message: impl Into<String>) {
        self.0.push((pointer.to_owned(), message.into()));
    }

    fn info(&mut self, value: &Value) -> Info {
        let Some(map) = self.object("", value, &FIELDS) else {
            return Info::default();
        };
        let present = |field: &str| map.get(field);
        let mut info = Info {
            description: present("description").map(|v| self.description("/description", v)),
            terms_of_service: present("termsOfService").map(|v| self.url("/termsOfService", v)),
            ..Info::default()
        };
        if let Some(value) = present("contact") {
            let contact = self
                .object("/contact", value, &CONTACT)
                .map(|part| Contact {
                    name: self.part(part, "/contact/name", Self::text),
                    url: self.part(part, "/contact/url", Self::url),
                    email: self.part(part, "/contact/email", Self::email),
                });
            info.contact = Some(contact.and_then(Contact::filled));
        }
        if let Some(value) = present("license") {
            let license = self
                .object("/license", value, &LICENSE)
                .map(|part| License {
                    name: self.part(part, "/license/name", Self::text),
                    url: self.part(part, "/license/url", Self::url),
                });
            info.license = Some(license.and_then(License::filled));
        }
        info
    }

    fn part(
        &mut self,
        part: &Map<String, Value>,
        pointer: &str,
        read: fn(&mut Self, &str, &Value) -> Option<String>,
    ) -> Option<String> {
        let (_, field) = pointer.rsplit_once('/')?;
        read(self, pointer, part.get(field)?)
    }

    fn object<'v>(
        &mut self,
        pointer: &str,
        value: &'v Value,
        fields: &[&str],
    ) -> Option<&'v Map<String, Value>> {
        match value {
            Value::Null => None,
            Value::Object(map) => {
                let fields = || fields.iter().copied();
                for other in map.keys().filter(|key| !fields().any(|f| f == *key)) {
                    let message = format!(
                        "holds `{}`; its fields are {}{}",
                        shown(other),
                        listed(fields()),
                        did_you_mean(other, fields())
                    );
                    self.say(pointer, message);
                }
                Some(map)
            }
            _ => {
                let names = listed(fields.iter().copied());
                self.say(pointer, format!("expected an object with {names}"));
                None
            }
        }
    }

    fn text(&mut self, pointer: &str, value: &Value) -> Option<String> {
        match value {
            Value::Null => None,
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            _ => {
                self.say(pointer, "expected a text");
                None
            }
        }
    }

    fn description(&mut self, pointer: &str, value: &Value) -> Option<String> {
        let text = self.text(pointer, value)?;
        let count = text.chars().count();
        if count > MAX_DESCRIPTION {
            let message =
                format!("has {count} characters, and at most {MAX_DESCRIPTION} are shown");
            self.say(pointer, message);
            return None;
        }
        Some(text)
    }

    fn url(&mut self, pointer: &str, value: &Value) -> Option<String> {
        let text = self.text(pointer, value)?;
        let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        if Url::parse(&text).is_ok_and(|url| is_web(&url)) {
            return Some(text);
        }
        let message = format!(
            "`{}` is not a URL that API Management takes: begin with `https://` or `http://`",
            shown(&text)
        );
        self.say(pointer, message);
        None
    }

    fn email(&mut self, pointer: &str, value: &Value) -> Option<String> {
        let text = self.text(pointer, value)?;
        let fits = text.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && !host.is_empty() && !host.contains('@')
        });
        if fits && !text.contains(char::is_whitespace) {
            return Some(text);
        }
        let message = format!("`{}` is not an e-mail address", shown(&text));
        self.say(pointer, message);
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Result<(Option<String>, About), Vec<String>> {
        let said = |found: Vec<(String, String)>| {
            found
                .iter()
                .map(|(at, what)| format!("{at}: {what}"))
                .collect()
        };
        Info::read(value).map(Info::parts).map_err(said)
    }

    #[test]
    fn what_an_annotation_says_wins_part_by_part_and_null_takes_away() {
        let (document, found) = Info::of_document(&json!({
            "title": "Orders", "version": "1", "description": " All orders. ", "x-team": "shop",
            "termsOfService": "https://example.com/terms",
            "contact": {"name": "Shop", "email": "shop@example.com", "x-chat": "#shop"},
            "license": {"name": "MIT", "identifier": "MIT"},
        }));
        assert_eq!(found, []);
        let above = Info::read(&json!({
            "contact": {"url": "https://example.com/shop"}, "license": null,
        }));
        let (description, about) = above.unwrap().above(document).parts();
        assert_eq!(description.as_deref(), Some("All orders."));
        assert_eq!(
            serde_json::to_value(about).unwrap(),
            json!({"termsOfService": "https://example.com/terms", "contact": {"url": "https://example.com/shop"}})
        );
        assert_eq!(read(&json!({})), Ok((None, About::default())));
    }

    #[test]
    fn each_mistake_of_an_annotation_is_named_with_its_place() {
        let value = json!({
            "descripton": "x", "termsOfService": "terms.html",
            "contact": {"name": 5, "url": "ftp://example.com", "email": "shop"},
            "license": "MIT",
        });
        assert_eq!(
            read(&value).unwrap_err(),
            [
                ": holds `descripton`; its fields are `description`, `termsOfService`, `contact`, `license`; did you mean `description`?",
                "/termsOfService: `terms.html` is not a URL that API Management takes: begin with `https://` or `http://`",
                "/contact/name: expected a text",
                "/contact/url: `ftp://example.com` is not a URL that API Management takes: begin with `https://` or `http://`",
                "/contact/email: `shop` is not an e-mail address",
                "/license: expected an object with `name`, `url`",
            ]
        );
    }

    #[test]
    fn what_a_document_says_wrong_is_left_out_and_told() {
        let (info, found) = Info::of_document(&json!({
            "description": "x", "contact": {"name": "Shop", "email": "nobody"},
        }));
        let (description, about) = info.parts();
        assert_eq!(description.as_deref(), Some("x"));
        let name = Some("Shop".to_owned());
        assert_eq!(
            about.contact,
            Some(Contact {
                name,
                ..Contact::default()
            })
        );
        assert_eq!(found.len(), 1);
    }
}

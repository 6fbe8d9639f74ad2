//! The document of an API, as the service writes it out.

use serde::Deserialize;
use url::Url;

use crate::arm::{ArmReader, absent};
use crate::error::{ArmError, Cause};
use crate::secret::Secret;
use operator_core::class::ErrorClass;

/// What an export answers. Newer interfaces put the link deeper:
/// <https://learn.microsoft.com/rest/api/apimanagement/api-export/get>.
#[derive(Deserialize)]
struct Exported {
    link: Option<String>,
    value: Option<Link>,
    properties: Option<Deeper>,
}

#[derive(Deserialize)]
struct Deeper {
    value: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    link: Option<String>,
}

impl ArmReader {
    /// Where the API's OpenAPI document lies, as JSON, for five minutes; none
    /// where there is no such API. Whoever has the link can read the document,
    /// so it is a secret.
    pub async fn document_link(&self, id: &str) -> Result<Option<Secret<Url>>, ArmError> {
        let query = [("export", "true"), ("format", "openapi+json-link")];
        let what = format!("export of API {id}");
        let call = self.get(&["apis", id], &query, "apiExport", what);
        let Some(answer) = absent(self.read(&call).await)? else {
            return Ok(None);
        };
        let exported: Exported = answer.json(&call.name())?;
        let deeper = exported.properties.and_then(|deeper| deeper.value);
        let link = exported
            .link
            .or_else(|| exported.value.or(deeper)?.link)
            .and_then(|link| Url::parse(&link).ok());
        match link {
            Some(link) => Ok(Some(Secret::new(link))),
            None => Err(ArmError::without_answer(
                &call.name(),
                Cause::Protocol,
                ErrorClass::Transient,
                "the answer holds no link".to_owned(),
            )),
        }
    }
}

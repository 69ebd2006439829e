//! The function's `config` of the project file, as it was when the deployment was made: literals, and texts of files.

use serde::de::DeserializeOwned;

use crate::host;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("config {key} is missing; set it in the function's config")]
    Missing { key: String },
    #[error("config {key} is not what the function reads: {reason}")]
    Unreadable { key: String, reason: String },
    #[error("config {key} could not be read: {reason}")]
    Host { key: String, reason: String },
}

/// A value as its text.
pub fn text(key: &str) -> Result<Option<String>, Error> {
    host::config(key).map_err(|reason| Error::Host { key: key.to_owned(), reason })
}

/// A value that is JSON, or with the feature `toml` a TOML document. A missing one is an error.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<T, Error> {
    find(key)?.ok_or_else(|| Error::Missing { key: key.to_owned() })
}

/// Like [`get`], for a value that may be missing.
pub fn find<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Error> {
    let read = |text: String| parse(&text).map_err(|reason| Error::Unreadable { key: key.to_owned(), reason });
    text(key)?.map(read).transpose()
}

#[cfg(not(feature = "toml"))]
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// A document that is valid as both (`[1]`) is JSON.
#[cfg(feature = "toml")]
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Host;

    #[derive(Debug, serde::Deserialize)]
    struct Policy {
        branches: Vec<String>,
    }

    #[test]
    fn json_is_read_and_what_is_wrong_names_its_key() {
        let _host = Host::new().config("policy", r#"{"branches": ["main"]}"#).config("broken", "{");
        assert_eq!(get::<Policy>("policy").unwrap().branches, ["main"]);
        assert_eq!(text("policy").unwrap().unwrap(), r#"{"branches": ["main"]}"#);
        assert!(find::<Policy>("other").unwrap().is_none());
        assert_eq!(
            get::<Policy>("other").unwrap_err().to_string(),
            "config other is missing; set it in the function's config"
        );
        assert!(get::<Policy>("broken").unwrap_err().to_string().starts_with("config broken is not what"));
    }

    #[cfg(feature = "toml")]
    #[test]
    fn toml_is_read_too() {
        let _host = Host::new().config("policy", "# who may push\nbranches = [\"main\"]\n");
        assert_eq!(get::<Policy>("policy").unwrap().branches, ["main"]);
    }
}

//! The admission rules, and where they are written.

use std::collections::BTreeSet;

use serde::Deserialize;

/// Where they lie in a repository.
pub const PATH: &str = ".tidegate/admission.toml";
/// What this function says itself is no check that it waits for.
pub const CONTEXT: &str = "tidegate/admission";

/// What is asked of a commit before it counts.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Branches that are guarded; in config only.
    protected: Vec<String>,
    pub direct_push: bool,
    pub force_push: bool,
    /// People who approve the head; 0: nobody is asked.
    pub reviews: usize,
    pub checks: Vec<Check>,
}

/// A check run or a commit status that must have succeeded.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Written")]
pub struct Check {
    pub name: String,
    /// The app whose word counts; none: that of whoever may report.
    pub app: Option<String>,
    /// Whether skipped and neutral count too.
    pub skipped: bool,
}

/// A name, or a table.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Name(String),
    Table(Table),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: String,
    app: Option<String>,
    #[serde(default)]
    skipped: bool,
}

impl From<Written> for Check {
    fn from(written: Written) -> Self {
        match written {
            Written::Name(name) => Check { name, app: None, skipped: false },
            Written::Table(Table { name, app, skipped }) => Check { name, app, skipped },
        }
    }
}

impl Rules {
    /// Rules that lie on a branch; the error says what is wrong with them.
    pub fn of_repository(text: &str) -> Result<Self, String> {
        let rules: Rules = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        if !rules.protected.is_empty() {
            return Err("protected belongs into the function's config: no branch vouches for itself".to_owned());
        }
        rules.check()?;
        Ok(rules)
    }

    pub fn check(&self) -> Result<(), String> {
        match self.checks.iter().any(|check| check.name == CONTEXT) {
            true => Err(format!("checks names {CONTEXT}, which would wait for itself")),
            false => Ok(()),
        }
    }

    pub fn protects(&self, branch: &str, default_branch: Option<&str>) -> bool {
        match self.protected.as_slice() {
            [] => default_branch == Some(branch),
            patterns => patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(start) => branch.starts_with(start),
                None => branch == pattern,
            }),
        }
    }

    /// What both ask for.
    pub fn and(self, other: Rules) -> Rules {
        let mut checks = self.checks;
        checks.extend(other.checks);
        Rules {
            protected: self.protected,
            direct_push: self.direct_push && other.direct_push,
            force_push: self.force_push && other.force_push,
            reviews: self.reviews.max(other.reviews),
            checks,
        }
    }

    pub fn check_names(&self) -> BTreeSet<&str> {
        self.checks.iter().map(|check| check.name.as_str()).collect()
    }
}

//! What the operator allows tasks to run: the `config` of a function that is `native:process`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use super::ConfigValue;

const PROGRAMS: &str = "programs";
const ENV: &str = "env";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSettings {
    /// By the name that a task says. Invariant: each path is absolute.
    programs: BTreeMap<String, PathBuf>,
    /// Names of variables that programs get from the server's environment.
    pub env: Vec<String>,
}

/// What is wrong with one key of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("config {key} {problem}")]
pub struct ProcessSettingsError {
    pub key: String,
    pub problem: String,
}

impl ProcessSettings {
    /// Reads the whole configuration; every problem of it.
    pub fn read(config: &BTreeMap<String, ConfigValue>) -> Result<Self, Vec<ProcessSettingsError>> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, problem: String| {
            problems.push(ProcessSettingsError { key: key.to_owned(), problem });
        };
        for key in config.keys().filter(|key| ![PROGRAMS, ENV].contains(&key.as_str())) {
            problem(key, format!("is not known to native:process; known are {PROGRAMS} and {ENV}"));
        }
        let programs: BTreeMap<String, PathBuf> = value(config, PROGRAMS).unwrap_or_else(|| {
            problem(PROGRAMS, "is no table of names and paths, like { cargo = \"/usr/bin/cargo\" }".to_owned());
            BTreeMap::new()
        });
        for (name, path) in programs.iter().filter(|(_, path)| !path.is_absolute()) {
            problem(PROGRAMS, format!("names {} for {name}, which is no absolute path", path.display()));
        }
        let env: Vec<String> = value(config, ENV).unwrap_or_else(|| {
            problem(ENV, "is no array of names of variables, like [\"PATH\"]".to_owned());
            Vec::new()
        });
        if problems.is_empty() { Ok(ProcessSettings { programs, env }) } else { Err(problems) }
    }

    /// The path of a program that tasks may run.
    pub fn program(&self, name: &str) -> Option<&PathBuf> {
        self.programs.get(name)
    }
}

/// A key's value, the empty one if there is no such key. None: it cannot be read.
fn value<T: DeserializeOwned + Default>(config: &BTreeMap<String, ConfigValue>, key: &str) -> Option<T> {
    config.get(key).map_or_else(|| Some(T::default()), |value| serde_json::from_str(&value.text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &[(&str, &str)]) -> Result<ProcessSettings, Vec<ProcessSettingsError>> {
        let value =
            |(key, text): &(&str, &str)| ((*key).to_owned(), ConfigValue { text: (*text).to_owned(), file: None });
        ProcessSettings::read(&config.iter().map(value).collect())
    }

    #[test]
    fn a_program_is_allowed_by_its_name_alone() {
        let settings = read(&[("programs", r#"{"cargo": "/usr/bin/cargo"}"#), ("env", r#"["PATH"]"#)]).unwrap();
        assert_eq!(settings.program("cargo"), Some(&PathBuf::from("/usr/bin/cargo")));
        assert_eq!((settings.program("/usr/bin/cargo"), settings.program("sh")), (None, None));
        assert_eq!(settings.env, ["PATH"]);
        assert_eq!(read(&[]).unwrap().program("cargo"), None);
    }

    #[test]
    fn every_problem_is_told_with_its_key() {
        let problems = read(&[("programs", r#"{"make": "make", "sh": "bin/sh"}"#), ("env", "PATH"), ("shell", "true")]);
        let problems: Vec<String> = problems.unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "config shell is not known to native:process; known are programs and env",
                "config programs names make for make, which is no absolute path",
                "config programs names bin/sh for sh, which is no absolute path",
                "config env is no array of names of variables, like [\"PATH\"]",
            ]
        );
        assert!(read(&[("programs", "[]")]).is_err());
    }
}

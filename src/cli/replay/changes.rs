//! From `--with`, `--edit`, `--input` and `--config` to what a replay is given otherwise.

use std::collections::BTreeMap;
use std::path::Path;

use super::source::Source;
use super::{ChangeArgs, compile};
use crate::cli::{CliError, input};
use crate::deployment::Digest;
use crate::event;
use crate::invoke::{Compiled, Engine};
use crate::record::{COMPONENT_BYTES_MAX, Changes};

/// `source`: where a component is looked for that is named by its digest.
pub async fn read(args: &ChangeArgs, engine: &Engine, source: Option<&mut Source>) -> Result<Changes, CliError> {
    let input = args.input.as_deref().map(event_of).transpose()?;
    let component = match &args.with {
        Some(with) => Some(component(with, engine, source).await?),
        None => None,
    };
    let config = args.config.iter().map(|text| config_value(text)).collect::<Result<BTreeMap<_, _>, _>>()?;
    Ok(Changes { component, config, input, edits: args.edit.clone() })
}

async fn component(with: &str, engine: &Engine, source: Option<&mut Source>) -> Result<Compiled, CliError> {
    match (with.parse::<Digest>(), source) {
        (Ok(digest), Some(source)) => source.component(digest).await,
        (Ok(_), None) => Err(CliError::Usage("a bundle has no other component; name a file with --with".to_owned())),
        (Err(_), _) => {
            let bytes = input::read_bytes(Path::new(with), COMPONENT_BYTES_MAX)?;
            compile(engine, Digest::of(&bytes), bytes.into()).await
        }
    }
}

fn event_of(path: &Path) -> Result<event::Event, CliError> {
    let text = input::read_text(path)?;
    let malformed = |reason: String| CliError::Malformed { path: path.display().to_string(), reason };
    event::from_json(text.as_bytes()).map_err(|error| malformed(error.to_string()))
}

/// `KEY=FILE`
fn config_value(text: &str) -> Result<(String, String), CliError> {
    let (key, path) = text
        .split_once('=')
        .filter(|(key, path)| !key.is_empty() && !path.is_empty())
        .ok_or_else(|| CliError::Usage(format!("--config {text}: write KEY=FILE, like policy=policy.toml")))?;
    Ok((key.to_owned(), input::read_text(Path::new(path))?))
}

//! What a function was released to since the project file was applied.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Component, ConfigValue, Deployment, Digest, Function, OciReference};
use crate::event::Position;

/// Why a function runs something else than the file says: an event asked for it. `Function::component` and `config` are what
/// runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pin {
    /// The event's place in the log.
    pub request: Position,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Keys of the configuration that it set, over those of the file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    pub file: Filed,
}

/// What the file says of a function, as far as a pin stands in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Filed {
    pub component: Component,
    pub config: BTreeMap<String, ConfigValue>,
}

/// What an event asks to be pinned.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    pub request: Position,
    pub release: Option<String>,
    pub reference: OciReference,
    /// Of the component's bytes.
    pub component: Digest,
    /// None: as it is.
    pub config: Option<BTreeMap<String, String>>,
}

impl Function {
    /// What the project file says of it.
    pub fn filed(&self) -> Filed {
        match &self.pin {
            Some(pin) => pin.file.clone(),
            None => Filed { component: self.component.clone(), config: self.config.clone() },
        }
    }

    /// The function as the file has it, whatever was released since.
    fn unpinned(&self) -> Function {
        let Filed { component, config } = self.filed();
        Function { component, config, pin: None, ..self.clone() }
    }

    /// The function once it is released: other bytes and other configuration, and everything else as it is.
    pub fn released(&self, release: Release) -> Function {
        let Release { request, release, reference, component, config } = release;
        let config = config.or_else(|| self.pin.as_ref().map(|pin| pin.config.clone())).unwrap_or_default();
        let pin = Pin { request, release, config, file: self.filed() };
        self.pinned(pin, Component { reference: super::ComponentRef::Oci(reference), digest: component })
    }

    /// What was released to the function, over what a newer file says of it.
    pub(super) fn keeping(self, running: &Function) -> Function {
        match &running.pin {
            Some(pin) => {
                let pin = Pin { file: self.filed(), ..pin.clone() };
                self.pinned(pin, running.component.clone())
            }
            None => self,
        }
    }

    fn pinned(&self, pin: Pin, component: Component) -> Function {
        let mut config = pin.file.config.clone();
        let set = |(key, text): (&String, &String)| (key.clone(), ConfigValue { text: text.clone(), file: None });
        config.extend(pin.config.iter().map(set));
        Function { component, config, pin: Some(pin), ..self.clone() }
    }
}

impl Deployment {
    /// Digest of what its project file says, whatever was released since.
    pub fn filed_digest(&self) -> Digest {
        let functions: Vec<Function> = self.functions.iter().map(Function::unpinned).collect();
        Deployment { functions: functions.into(), ..self.clone() }.compute_digest()
    }

    /// The same deployment, to be appended, with one function changed.
    pub fn with(&self, changed: Function) -> Deployment {
        let replace = |function: &Function| match function.id == changed.id {
            true => changed.clone(),
            false => function.clone(),
        };
        let functions: Vec<Function> = self.functions.iter().map(replace).collect();
        let mut deployment = Deployment { number: 0, functions: functions.into(), ..self.clone() };
        deployment.digest = deployment.compute_digest();
        deployment
    }

    /// What was released since stays in force under a newer file: components and the keys of configuration that releases
    /// set. Everything else is the file's.
    pub fn keeping_releases(self, running: &Deployment) -> Deployment {
        self.keeping(running, |_, _| true)
    }

    /// The same where a person deploys: what they changed of a function is what runs, and its release goes.
    pub fn keeping_releases_of_unchanged(self, running: &Deployment) -> Deployment {
        self.keeping(running, |filed, running| filed.filed() == running.filed())
    }

    fn keeping(mut self, running: &Deployment, stays: impl Fn(&Function, &Function) -> bool) -> Deployment {
        let keep = |function: &Function| match running.function_by_id(function.id) {
            Some(running) if stays(function, running) => function.clone().keeping(running),
            Some(_) | None => function.clone(),
        };
        let functions: Vec<Function> = self.functions.iter().map(keep).collect();
        self.functions = functions.into();
        self.digest = self.compute_digest();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::testing::Shipped;
    use crate::deployment::{Manifest, plan};

    /// Two functions, `shop` with more keys of its table.
    fn deployment(shop: &str) -> Deployment {
        let text = format!(
            "name = \"test\"\n[[function]]\nname = \"other\"\ncomponent = \"builtin:other\"\non = [\"org.test.*\"]\n\
             [[function]]\nname = \"shop\"\non = [\"org.test.*\"]\n{shop}\n"
        );
        let (manifest, problems) = Manifest::parse(&text, &Shipped);
        let known = [("other", 1), ("shop", 2)].map(|(name, id)| {
            (name.parse().unwrap(), crate::deployment::FunctionId::from_uuid(uuid::Uuid::from_u128(id)))
        });
        plan(&known.into(), &manifest.unwrap_or_else(|| panic!("{problems:?}"))).unwrap()
    }

    const FILED: &str = "component = \"builtin:unreleased\"\nconfig = { mode = \"filed\", to = \"filed\" }";

    fn release(request: Position, bytes: &[u8], config: Option<&[(&str, &str)]>) -> Release {
        let config =
            config.map(|pairs| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect());
        let (component, release) = (Digest::of(bytes), Some(format!("shop-{request}")));
        let reference = format!("registry.example.com/shop@{component}").parse().unwrap();
        Release { request, release, reference, component, config }
    }

    fn released(deployment: &Deployment, release: Release) -> Deployment {
        deployment.with(deployment.function("shop").unwrap().released(release))
    }

    #[track_caller]
    fn check(deployment: &Deployment, component: &[u8], config: &[(&str, &str)], pinned_by: Option<Position>) {
        let shop = deployment.function("shop").unwrap();
        assert_eq!(shop.component.digest, Digest::of(component));
        let found: Vec<(&str, &str)> =
            shop.config.iter().map(|(key, value)| (key.as_str(), value.text.as_str())).collect();
        assert_eq!(found, config);
        assert_eq!(shop.pin.as_ref().map(|pin| pin.request), pinned_by);
        assert_eq!(deployment.digest, deployment.compute_digest());
    }

    #[test]
    fn a_release_sets_component_and_keys_of_configuration_over_the_file_s() {
        let filed = deployment(FILED);
        let first = released(&filed, release(7, b"one", Some(&[("to", "released"), ("more", "1")])));
        check(&first, b"one", &[("mode", "filed"), ("more", "1"), ("to", "released")], Some(7));
        let next = released(&first, release(8, b"two", None));
        check(&next, b"two", &[("mode", "filed"), ("more", "1"), ("to", "released")], Some(8));
        let last = released(&next, release(9, b"two", Some(&[("mode", "released")])));
        check(&last, b"two", &[("mode", "released"), ("to", "filed")], Some(9));
        assert_eq!(last.filed_digest(), filed.digest);
        assert_eq!(last.function("other"), filed.function("other"));
    }

    #[test]
    fn a_newer_file_changes_what_is_the_file_s_and_keeps_what_was_released() {
        let running = released(&deployment(FILED), release(7, b"one", Some(&[("to", "released")])));
        let newer = "component = \"builtin:newer\"\nconfig = { mode = \"newer\", to = \"newer\" }\nconcurrency = 3";
        let kept = deployment(newer).keeping_releases(&running);
        check(&kept, b"one", &[("mode", "newer"), ("to", "released")], Some(7));
        assert_eq!(kept.function("shop").unwrap().concurrency, 3);
        assert_eq!(kept.filed_digest(), deployment(newer).digest);
        assert_ne!(kept.filed_digest(), running.filed_digest());
    }

    #[test]
    fn what_a_person_changed_of_a_function_runs_and_the_rest_keeps_its_release() {
        let running = released(&deployment(FILED), release(7, b"one", Some(&[("to", "released")])));
        let kept = deployment(&format!("{FILED}\nconcurrency = 3")).keeping_releases_of_unchanged(&running);
        check(&kept, b"one", &[("mode", "filed"), ("to", "released")], Some(7));
        let changed = FILED.replace("mode = \"filed\"", "mode = \"changed\"");
        let kept = deployment(&changed).keeping_releases_of_unchanged(&running);
        check(&kept, b"component", &[("mode", "changed"), ("to", "filed")], None);
    }

    #[test]
    fn what_was_never_released_is_the_file_s() {
        let filed = deployment(FILED);
        assert_eq!(filed.clone().keeping_releases(&deployment(FILED)), filed);
        assert_eq!(filed.filed_digest(), filed.digest);
    }
}

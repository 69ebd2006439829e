//! The shipped functions and the SDK, carried in the binary. `build.rs` makes both lists: `BUILTINS`, the components by
//! name, and `SDK_FILES`, texts by their path in the source.

include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// The component of a shipped function: `builtin:NAME`.
pub fn component(name: &str) -> Option<&'static [u8]> {
    BUILTINS.iter().find(|(other, _)| *other == name).map(|(_, component)| *component)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "wasi:config/store";
    const HTTP: [&str; 2] = ["wasi:http/outgoing-handler", "wasi:http/types"];
    const KEYS: &str = "wasi:keyvalue/store";
    const STATISTICS: &str = "tidegate:statistics/statistics";

    /// Imports beside those that every function has, without their versions.
    fn granted(component: &[u8]) -> Vec<String> {
        const BASE: [&str; 6] =
            ["tidegate:handler/", "wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/"];
        let imports = crate::invoke::imports(component).unwrap();
        let own = imports.iter().filter(|import| !BASE.iter().any(|base| import.starts_with(base)));
        let mut own: Vec<String> = own.map(|import| import.split('@').next().unwrap().to_owned()).collect();
        own.sort_unstable();
        own
    }

    #[test]
    fn a_shipped_function_imports_what_it_uses_and_no_more() {
        let [handler, types] = HTTP;
        let expected: [(&str, &[&str]); 14] = [
            ("commit", &[CONFIG, handler, types]),
            ("deploy", &[CONFIG, KEYS]),
            ("drift", &[CONFIG, KEYS]),
            ("gate", &[CONFIG, KEYS]),
            ("image", &[CONFIG, handler, types, KEYS]),
            ("pipeline", &[CONFIG, handler, types, KEYS]),
            ("placement", &[CONFIG]),
            ("relay", &[CONFIG]),
            ("rollback", &[CONFIG, KEYS]),
            ("scan", &[CONFIG, KEYS]),
            ("storefront", &[]),
            ("unreleased", &[]),
            ("verify", &[STATISTICS, CONFIG, KEYS]),
            ("workflow", &[CONFIG, handler, types, KEYS]),
        ];
        let found: Vec<(&str, Vec<String>)> = BUILTINS.iter().map(|(name, bytes)| (*name, granted(bytes))).collect();
        let expected =
            expected.map(|(name, imports)| (name, imports.iter().map(|&import| import.to_owned()).collect()));
        assert_eq!(found, expected);
        assert_eq!(component("sdk"), None);
    }
}

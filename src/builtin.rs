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

    /// Imports beside those that every function has.
    #[track_caller]
    fn check(name: &str, expected: &[&str]) {
        const BASE: [&str; 6] =
            ["tidegate:handler/", "wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/"];
        let imports = crate::invoke::imports(component(name).unwrap()).unwrap();
        let mut granted: Vec<&str> = imports
            .iter()
            .map(String::as_str)
            .filter(|import| !BASE.iter().any(|base| import.starts_with(base)))
            .collect();
        granted.sort_unstable();
        assert_eq!(granted, expected, "{name}");
    }

    #[test]
    fn a_shipped_function_imports_what_it_uses_and_no_more() {
        check("commit", &["wasi:config/store@0.2.0-rc.1"]);
        check("gate", &["wasi:config/store@0.2.0-rc.1", "wasi:keyvalue/store@0.2.0-draft"]);
        check("relay", &["wasi:config/store@0.2.0-rc.1"]);
        check("scan", &[]);
        assert_eq!(BUILTINS.len(), 4, "a new one has its line above");
        assert_eq!(component("sdk"), None);
    }
}

//! The shipped functions and the SDK, carried in the binary. `build.rs` makes both lists.

include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// The component of a shipped function: `builtin:NAME`.
pub fn component(name: &str) -> Option<&'static [u8]> {
    BUILTINS.iter().find(|(other, _)| *other == name).map(|(_, component)| *component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_function_is_a_component() {
        let names: Vec<&str> = BUILTINS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["commit", "gate", "scan"]);
        for name in names {
            // The preamble of a component: magic, version 13, layer 1.
            assert_eq!(component(name).unwrap()[..8], *b"\0asm\x0d\0\x01\0", "{name}");
        }
        assert_eq!(component("sdk"), None);
    }
}

//! What tests of this floor read a project file with.

use super::Sources;

/// Every shipped component there could be, and nothing else.
pub struct Shipped;

impl Sources for Shipped {
    fn file(&self, _path: &str) -> Result<Vec<u8>, String> {
        Err("it is not there".to_owned())
    }

    fn builtin(&self, _name: &str) -> Option<&'static [u8]> {
        Some(b"component")
    }

    fn imports(&self, _component: &[u8]) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    fn env(&self, _name: &str) -> Option<String> {
        None
    }
}

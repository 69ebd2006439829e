//! What a component imports, held against what its function was granted.

use super::Function;

/// One problem for each import that the function was not granted, naming the import and the grant that would allow it.
/// `imports`: full names as the component spells them, like `wasi:keyvalue/store@0.2.0-draft`.
pub fn check_imports(_function: &Function, _imports: &[String]) -> Vec<String> {
    todo!()
}

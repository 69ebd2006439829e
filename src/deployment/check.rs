//! What a component imports, held against what its function was granted.

use super::{Function, Grants};

/// One problem for each import that the function was not granted, naming the import and the grant that would allow it.
/// `imports`: full names as the component spells them, like `wasi:keyvalue/store@0.2.0-draft`.
pub fn check_imports(function: &Function, imports: &[String]) -> Vec<String> {
    refused_imports(&function.grants, !function.config.is_empty(), imports)
}

/// The same for a function that is not made yet.
pub(super) fn refused_imports(grants: &Grants, configured: bool, imports: &[String]) -> Vec<String> {
    imports.iter().filter_map(|import| refusal(grants, configured, import)).collect()
}

fn refusal(grants: &Grants, configured: bool, import: &str) -> Option<String> {
    let unversioned = import.split('@').next().unwrap_or(import);
    let (package, interface) = unversioned.split_once('/').unwrap_or((unversioned, ""));
    let (granted, grant) = match (package, interface) {
        ("wasi:cli" | "wasi:io" | "wasi:clocks" | "wasi:random" | "wasi:filesystem" | "wasi:sockets", _)
        | ("tidegate:handler", _) => return None,
        ("wasi:keyvalue", _) => {
            let granted = !grants.keyvalue_write.is_empty() || !grants.keyvalue_read.is_empty();
            (granted, "the grant `keyvalue`, like grants.keyvalue = { write = [\"state\"] }")
        }
        ("wasi:config", _) => (configured, "`config` with at least one key"),
        ("wasi:logging", _) => (grants.logging, "the grant `logging`, like grants.logging = true"),
        ("wasi:http", "outgoing-handler" | "types") => {
            (!grants.http.is_empty(), "the grant `http`, like grants.http = [\"CONNECTION\"]")
        }
        ("tidegate:statistics", _) => {
            (!grants.statistics.is_empty(), "the grant `statistics`, like grants.statistics = [\"FUNCTION\"]")
        }
        _ => return Some(format!("imports {import}, which this runtime does not have")),
    };
    (!granted).then(|| format!("imports {import}, which needs {grant}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(import: &str, grants: Grants, configured: bool, expected: Option<&str>) {
        let refused = refused_imports(&grants, configured, &[import.to_owned()]);
        assert_eq!(refused, expected.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{import}");
    }

    #[test]
    fn what_is_always_there_needs_no_grant() {
        for import in [
            "wasi:cli/environment@0.2.6",
            "wasi:cli/stdout@0.2.0",
            "wasi:io/streams@0.2.6",
            "wasi:clocks/wall-clock@0.2.6",
            "wasi:random/random@0.2.6",
            "wasi:filesystem/preopens@0.2.6",
            "wasi:sockets/tcp@0.2.6",
            "tidegate:handler/types@0.1.0",
        ] {
            check(import, Grants::default(), false, None);
        }
    }

    #[test]
    fn what_a_grant_links_is_refused_without_it_by_the_name_of_import_and_grant() {
        let keyvalue = "wasi:keyvalue/store@0.2.0-draft";
        let writes = Grants { keyvalue_write: vec!["state".to_owned()], ..Grants::default() };
        let reads = Grants { keyvalue_read: vec!["state".to_owned()], ..Grants::default() };
        check(keyvalue, writes, false, None);
        check(keyvalue, reads, false, None);
        let message = "imports wasi:keyvalue/store@0.2.0-draft, which needs the grant `keyvalue`, \
                       like grants.keyvalue = { write = [\"state\"] }";
        check(keyvalue, Grants::default(), true, Some(message));

        let config = "wasi:config/store@0.2.0-rc.1";
        check(config, Grants::default(), true, None);
        let message = "imports wasi:config/store@0.2.0-rc.1, which needs `config` with at least one key";
        check(config, Grants::default(), false, Some(message));

        let logging = "wasi:logging/logging";
        check(logging, Grants { logging: true, ..Grants::default() }, false, None);
        let message = "imports wasi:logging/logging, which needs the grant `logging`, like grants.logging = true";
        check(logging, Grants::default(), false, Some(message));

        for http in ["wasi:http/outgoing-handler@0.2.6", "wasi:http/types@0.2.6"] {
            check(http, Grants { http: vec!["github".to_owned()], ..Grants::default() }, false, None);
            let message = format!("imports {http}, which needs the grant `http`, like grants.http = [\"CONNECTION\"]");
            check(http, Grants::default(), false, Some(&message));
        }
    }

    #[test]
    fn statistics_want_their_grant() {
        let import = "tidegate:statistics/statistics@0.1.0";
        check(import, Grants { statistics: vec!["shop-*".parse().unwrap()], ..Grants::default() }, false, None);
        let message =
            format!("imports {import}, which needs the grant `statistics`, like grants.statistics = [\"FUNCTION\"]");
        check(import, Grants::default(), false, Some(&message));
    }

    #[test]
    fn what_this_runtime_does_not_have_is_refused_by_name() {
        let all = Grants {
            keyvalue_write: vec!["state".to_owned()],
            http: vec!["github".to_owned()],
            logging: true,
            ..Grants::default()
        };
        for import in [
            "wasi:http/incoming-handler@0.2.6",
            "wasi:blobstore/container",
            "acme:db/sql@1.0.0",
            "env",
            "wasi:clicks/x",
        ] {
            let message = format!("imports {import}, which this runtime does not have");
            check(import, all.clone(), true, Some(&message));
        }
    }
}

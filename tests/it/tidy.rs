//! The code keeps to the map in `src/lib.rs`: imports point down the floors, files and functions stay short, and nothing is asked
//! for that is not used.

use std::fs;
use std::path::{Path, PathBuf};

/// The floors of `src/lib.rs`, from the ground up; within a floor, later modules may import earlier ones.
const FLOORS: [&[&str]; 8] = [
    &["clock", "event", "outcome", "filter", "deployment"],
    &["s3", "blob", "registry", "bus"],
    &["host"],
    &["invoke"],
    &["components", "native", "record"],
    &["trigger", "process", "dispatch", "reconcile"],
    &["api"],
    &["builtin", "scaffold", "project", "app", "bench", "cli"],
];
/// May be imported from every floor but the ground.
const BESIDE: [&str; 2] = ["telemetry", "tasks"];
/// Longer files hold several ideas. Tests at a file's end do not count.
const LINES_MAX: usize = 500;
/// One screen.
const FUNCTION_LINES_MAX: usize = 60;

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a source folder can be listed") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            files.extend(source_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// What a file is without the tests at its end.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file is text");
    let tests =
        ["\n#[cfg(test)]\nmod ", "\n#[cfg(test)]\npub(crate) mod "].iter().filter_map(|begin| text.find(begin)).min();
    text[..tests.unwrap_or(text.len())].to_owned()
}

fn is_test(path: &Path) -> bool {
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    ["tests", "conformance", "faulty", "testing"].contains(&name)
        || path.components().any(|part| part.as_os_str() == "tests")
}

/// The module of `src/` that a file belongs to; none for `lib.rs` and `main.rs`.
fn module(path: &Path) -> Option<String> {
    let inner = path.strip_prefix(src()).expect("a file of src");
    let first = inner.components().next()?.as_os_str().to_str()?.trim_end_matches(".rs").to_owned();
    (first != "lib" && first != "main").then_some(first)
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Modules named by `crate::MODULE` in code; comments may point anywhere.
fn imports(code: &str) -> Vec<String> {
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    code.split("crate::")
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_').collect())
        .filter(|name: &String| !name.is_empty())
        .collect()
}

#[test]
fn imports_point_down_the_floors() {
    let mut wrong = Vec::new();
    for path in source_files(&src()).iter().filter(|path| !is_test(path)) {
        let Some(importer) = module(path) else { continue };
        for imported in imports(&code(path)) {
            let up = match (floor(&importer), floor(&imported)) {
                (Some(from), Some(to)) => to > from,
                (Some(from), None) => !(BESIDE.contains(&imported.as_str()) && from > 0),
                // What stands beside the floors may look at them.
                (None, _) => !BESIDE.contains(&importer.as_str()),
            };
            if up {
                wrong.push(format!("{} imports crate::{imported}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let long: Vec<String> = source_files(&src())
        .iter()
        .filter(|path| !is_test(path))
        .map(|path| (path, code(path).lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

/// Functions by their first line, each with how many lines it has: as rustfmt writes them, a function ends with the first
/// brace that stands where its first line does.
fn functions(code: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let begins = |line: &str| {
        let words = line.trim_start().split(' ').take_while(|word| *word != "fn");
        let is_qualifier = |word: &str| {
            ["const", "async", "unsafe", "extern", "\"C\"", "in"].contains(&word) || word.starts_with("pub")
        };
        line.split(' ').any(|word| word == "fn") && words.into_iter().all(is_qualifier)
    };
    let mut functions = Vec::new();
    for (first, line) in lines.iter().enumerate().filter(|(_, line)| begins(line)) {
        let margin = &line[..line.len() - line.trim_start().len()];
        let opens = lines[first..].iter().position(|line| line.ends_with(['{', ';', '}'])).map(|line| first + line);
        // One that a trait only names, or that is whole on one line.
        let Some(opens) = opens.filter(|opens| lines[*opens].ends_with('{')) else { continue };
        let is_end = |line: &&str| line.strip_prefix(margin) == Some("}");
        let last = opens + lines[opens..].iter().position(is_end).expect("a function has an end");
        functions.push((line.trim(), last - first + 1));
    }
    functions
}

#[test]
fn no_function_is_longer_than_a_screen() {
    let mut long = Vec::new();
    let mut count = 0;
    for path in source_files(&src()).iter().filter(|path| !is_test(path)) {
        let code = code(path);
        for (first_line, lines) in functions(&code) {
            count += 1;
            if lines > FUNCTION_LINES_MAX {
                long.push(format!("{}: {lines} lines: {first_line}", path.display()));
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
    assert!(count > 1_000, "only {count} functions were seen");
}

#[test]
fn sql_stays_inside_the_embedded_bus() {
    let outside: Vec<PathBuf> = source_files(&src())
        .into_iter()
        .filter(|path| !path.starts_with(src().join("bus/embedded")) && code(path).contains("rusqlite"))
        .collect();
    assert!(outside.is_empty(), "{outside:#?}");
}

/// Names of the crates that a manifest asks for, as code spells them.
fn dependencies(manifest: &Path) -> Vec<String> {
    let text = fs::read_to_string(manifest).expect("a manifest is text");
    let mut is_list = false;
    let mut names = Vec::new();
    for line in text.lines() {
        if let Some(section) = line.strip_prefix('[') {
            is_list = section.trim_end_matches(']').ends_with("dependencies") && !section.starts_with("workspace");
        } else if is_list
            && !line.starts_with('#')
            && let Some((name, _)) = line.split_once(['=', '.'])
        {
            names.push(name.trim().replace('-', "_"));
        }
    }
    names
}

#[test]
fn every_dependency_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = fs::read_dir(root.join("functions")).expect("the functions can be listed");
    let crates = crates.map(|entry| entry.expect("an entry can be read").path()).chain([root.to_owned()]);
    let mut checked = 0;
    for folder in crates.filter(|folder| folder.join("Cargo.toml").is_file()) {
        let own = ["src", "tests", "benches"].map(|name| folder.join(name)).into_iter().filter(|path| path.is_dir());
        let mut files: Vec<PathBuf> = own.flat_map(|path| source_files(&path)).collect();
        files.extend([folder.join("build.rs")].into_iter().filter(|path| path.is_file()));
        let code: String = files.iter().map(|path| fs::read_to_string(path).expect("a source file is text")).collect();
        let is_used =
            |name: &String| code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name);
        let names = dependencies(&folder.join("Cargo.toml"));
        checked += names.len();
        let unused: Vec<String> = names.into_iter().filter(|name| !is_used(name)).collect();
        assert!(unused.is_empty(), "{}: {unused:?}", folder.display());
    }
    assert!(checked > 50, "{checked} dependencies were found");
}

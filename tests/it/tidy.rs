//! Rules that the source keeps: imports go down only, files stay short, each kind of side effect has one home.

use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the top; modules of one layer do not import each other unless [`BESIDE`] says so.
const LAYERS: [&[&str]; 10] = [
    &["cli"],
    &["stages"],
    &["simulate", "engine"],
    &["reasoning", "report"],
    &["train"],
    &["eval"],
    &["llm", "store", "corpus", "runtime", "sandbox", "benchmark", "records"],
    &["dedupe", "python", "nn"],
    &["graph"],
    &["config", "env", "ids", "progress", "shutdown", "telemetry"],
];

/// Imports within a layer, from and to: the store keeps what the corpus reads; benchmarks are files of records; logging
/// reads its filter's variable.
const BESIDE: [(&str, &str); 3] = [("store", "corpus"), ("benchmark", "records"), ("telemetry", "env")];

const LONGEST: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below `folder`, with their text.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// The top module of a file below `src`; none for `lib.rs` and `main.rs`.
fn module(path: &Path) -> Option<String> {
    let first = path.iter().nth(1)?.to_string_lossy().into_owned();
    let name = first.strip_suffix(".rs").unwrap_or(&first).to_owned();
    (!["lib", "main"].contains(&name.as_str())).then_some(name)
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Text without comments and test modules, which may reach anywhere.
fn code(text: &str) -> String {
    let program = text.split("#[cfg(test)]\n#[").next().unwrap_or_default();
    let program = program.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    program
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .fold(String::new(), |text, line| text + line + "\n")
}

/// Whether the file holds tests only, beside the module that they test.
fn is_test(path: &Path) -> bool {
    path.to_string_lossy().ends_with("tests.rs") || path.starts_with("src/graph/checks")
}

/// Modules that follow `crate::`, alone or in braces.
fn imports(code: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, mark) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + mark.len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (at, c) in group.char_indices() {
                    match c {
                        '}' if depth == 0 => break,
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && depth == 0 && !c.is_whitespace() => {
                            found.push(name(&group[at..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
            None => found.push(name(rest)),
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

#[test]
fn imports_go_down_only() {
    let mut wrong = Vec::new();
    for (path, text) in files("src").into_iter().filter(|(path, _)| !is_test(path)) {
        let Some(own) = module(&path) else { continue };
        let Some(from) = layer(&own) else {
            wrong.push(format!("{}: module `{own}` has no layer", path.display()));
            continue;
        };
        for other in imports(&code(&text)).into_iter().filter(|other| *other != own) {
            let beside = BESIDE.contains(&(own.as_str(), other.as_str()));
            match layer(&other) {
                Some(to) if to > from || to == from && beside => {}
                Some(_) => wrong.push(format!("{}: imports `{other}` from above or beside it", path.display())),
                None => wrong.push(format!("{}: imports `{other}`, which has no layer", path.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_import_is_found_however_it_is_written() {
    let text =
        "use crate::store::Store;\nuse crate::{ids::RunId, python::{Parser, cli}, config};\nlet a = crate::env::A;";
    assert_eq!(imports(text), ["store", "ids", "python", "config", "env"]);
    assert_eq!(code("use crate::a; // crate::b\n#[cfg(test)]\nmod tests {}\n"), "use crate::a; \n");
}

#[test]
fn files_stay_short() {
    let all = ["src", "tests", "benches"].into_iter().flat_map(files);
    let long: Vec<_> =
        all.map(|(path, text)| (path, text.lines().count())).filter(|(_, lines)| *lines > LONGEST).collect();
    assert!(long.is_empty(), "longer than {LONGEST} lines: {long:?}");
}

#[test]
fn only_the_store_has_sql_only_the_command_line_prints_and_only_llm_calls_models() {
    let rules =
        [("sqlx::query", "src/store"), ("println!(", "src/cli"), ("print!(", "src/cli"), ("reqwest::", "src/llm")];
    let mut wrong = Vec::new();
    for (path, text) in files("src").into_iter().filter(|(path, _)| !is_test(path)) {
        let code = code(&text);
        for (mark, home) in rules {
            if code.contains(mark) && !path.starts_with(home) {
                wrong.push(format!("{}: `{mark}` belongs into {home}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let all = ["src", "tests", "benches"].into_iter().flat_map(files).filter(|(path, _)| !is_test(path));
    let silent: Vec<_> = all.filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "without a first line of `//!`: {silent:?}");
}
